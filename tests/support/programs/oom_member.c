/*
 * A process for the out-of-memory killer to choose: `oom_member PROCS ADJUSTMENT PAGES HOW`.
 *
 * It enters the control group whose file of processes is PROCS, writes PAGES pages and waits to be
 * killed, alone, with three forked children, all alike, or with a vforked one (HOW is `plain`, `fork`
 * or `vfork`).  With `grow` it goes on taking pages, slowly, for a file in memory that nobody maps: they
 * count for the group and for no process.  Says its pid and the last child's, or 0, when all is as it
 * should be.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE 4096L
#define CHILDREN 3

static void put(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY);
    if (fd < 0 || write(fd, text, strlen(text)) < 0)
        exit(2);
    close(fd);
}

static void stay(int self, int child)
{
    char line[64];
    int length = snprintf(line, sizeof line, "%d %d\n", self, child);
    if (write(1, line, length) != length)
        _exit(3);
    for (;;)
        pause();
}

int main(int count, char **arguments)
{
    if (count < 5)
        return 1;
    put(arguments[1], "0");
    put("/proc/self/oom_score_adj", arguments[2]);
    long pages = atol(arguments[3]);
    char *memory = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED || madvise(memory, pages * PAGE, MADV_NOHUGEPAGE))
        return 4;
    for (long page = 0; page < pages; page++)
        memory[page * PAGE] = 1;
    if (strcmp(arguments[4], "grow") == 0) {
        int file = memfd_create("growing", 0);
        if (file < 0 || write(1, "0 0\n", 4) != 4)
            return 3;
        while (write(file, memory, PAGE) == PAGE)
            usleep(20);
        return 5;
    }
    if (strcmp(arguments[4], "fork") == 0) {
        pid_t child = 0;
        for (int i = 0; i < CHILDREN; i++)
            if ((child = fork()) == 0)
                for (;;)
                    pause();
        stay(getpid(), child);
    }
    if (strcmp(arguments[4], "vfork") == 0 && vfork() == 0)
        stay(getppid(), getpid());
    stay(getpid(), 0);
}
