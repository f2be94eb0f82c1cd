/* A process that is killed for lack of memory and has no CPU to exit on.

   Usage: oom_reaper MEMORY_GROUP CPU_GROUP MIB.  It enters the memory group (a folder of version
   1), writes MIB MiB, says "written", and waits for a line on its standard input.  Then it enters
   the group that hardly gets a CPU, and writes as much again. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static int enter(const char *folder) {
    char path[512];
    snprintf(path, sizeof path, "%s/cgroup.procs", folder);
    FILE *group = fopen(path, "w");
    return group != NULL && fprintf(group, "%d", getpid()) > 0 && fclose(group) == 0;
}
int main(int count, char **words) {
    if (count != 4 || !enter(words[1])) return 2;
    long bytes = atol(words[3]) << 20;
    char *at = mmap(NULL, 2 * bytes, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | MAP_PRIVATE, -1, 0);
    if (at == MAP_FAILED || madvise(at, 2 * bytes, MADV_NOHUGEPAGE) != 0) return 2;
    for (long i = 0; i < bytes; i += 4096) at[i] = 1;
    printf("written\n");
    fflush(stdout);
    char line[8];
    if (fgets(line, sizeof line, stdin) == NULL || !enter(words[2])) return 2;
    for (long i = bytes; i < 2 * bytes; i += 4096) at[i] = 1;
    return 0;
}
