/* Pages that are swapped out and come back by swapoff: what they are mapped as then.

   Usage: swapoff GROUP KIND PAGES.  It enters the group (a folder of version 1), writes
   PAGES pages of its own (KIND "own"), of its own with nothing but zeros ("zeros"), of its own
   before a fork ("forked"), or of shared memory ("shared"), says "written", and waits for a line on its standard input: the pages may be back
   then.  It says how many are swapped out still, and how many faults it takes to read all of them,
   to write all of them in the child, if there is one, and to write all of them in the parent. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static const long SIZE = 4096;
static long faults(void) {
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    return used.ru_minflt + used.ru_majflt;
}
static long touch(volatile char *at, long pages, int write) {
    long before = faults();
    for (long i = 0; i < pages; i++) {
        if (write) at[i * SIZE] = 2; else (void)at[i * SIZE];
    }
    return faults() - before;
}
static long swapped(void) {
    char line[256];
    long kib = -1;
    FILE *status = fopen("/proc/self/status", "r");
    while (fgets(line, sizeof line, status))
        if (sscanf(line, "VmSwap: %ld", &kib) == 1) break;
    fclose(status);
    return kib / 4;
}
int main(int count, char **words) {
    char line[256];
    if (count < 4) return 2;
    snprintf(line, sizeof line, "%s/cgroup.procs", words[1]);
    FILE *group = fopen(line, "w");
    if (group == NULL || fprintf(group, "%d", getpid()) < 0 || fclose(group) != 0) return 2;
    int forks = strcmp(words[2], "forked") == 0, shares = strcmp(words[2], "shared") == 0;
    long pages = atol(words[3]);
    char *at = mmap(NULL, pages * SIZE, PROT_READ | PROT_WRITE,
                    MAP_ANONYMOUS | (shares ? MAP_SHARED : MAP_PRIVATE), -1, 0);
    if (at == MAP_FAILED) return 2;
    madvise(at, pages * SIZE, MADV_NOHUGEPAGE);
    char word = strcmp(words[2], "zeros") != 0;
    for (long i = 0; i < pages; i++) at[i * SIZE] = word;
    int go[2];
    if (pipe(go) != 0) return 2;
    swapped(); faults();
    pid_t child = forks ? fork() : -1;
    if (child == 0) {
        if (read(go[0], line, 1) != 1) _exit(2);
        printf("child %ld\n", touch(at, pages, 1));
        fflush(stdout);
        _exit(0);
    }
    printf("written\n");
    fflush(stdout);
    if (fgets(line, sizeof line, stdin) == NULL) return 2;
    printf("swapped %ld\n", swapped());
    printf("read %ld\n", touch(at, pages, 0));
    fflush(stdout);
    if (forks) {
        if (write(go[1], "", 1) != 1) return 2;
        waitpid(child, NULL, 0);
    }
    printf("write %ld\n", touch(at, pages, 1));
    return 0;
}
