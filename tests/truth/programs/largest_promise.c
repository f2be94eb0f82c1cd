/*
 * What is the largest mapping under overcommit mode 2?  Sets the mode, so only for a machine of its
 * own.  On standard output lines of a word and a number, in pages: what decides, and the answer.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE 4096L

static long kilobytes(const char *path, const char *name)
{
    char line[256];
    long value = -1;
    FILE *file = fopen(path, "r");
    while (file && fgets(line, sizeof line, file)) {
        if (strncmp(line, name, strlen(name)) == 0) {
            value = atol(line + strlen(name));
            break;
        }
    }
    if (file)
        fclose(file);
    return value;
}

int main(void)
{
    int mode = open("/proc/sys/vm/overcommit_memory", O_WRONLY);
    if (mode < 0 || write(mode, "2", 1) != 1)
        return 1;
    printf("memory %ld\n", kilobytes("/proc/meminfo", "MemTotal:") / 4);
    printf("limit %ld\n", kilobytes("/proc/meminfo", "CommitLimit:") / 4);
    printf("user %ld\n", kilobytes("/proc/sys/vm/user_reserve_kbytes", "") / 4);
    printf("mapped %ld\n", kilobytes("/proc/self/status", "VmSize:") / 4);
    fflush(stdout);
    long low = 0, high = 1L << 24;
    while (high - low > 1) {
        long middle = (low + high) / 2;
        void *at = mmap(NULL, middle * PAGE, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (at == MAP_FAILED)
            high = middle;
        else {
            low = middle;
            munmap(at, middle * PAGE);
        }
    }
    printf("largest %ld\n", low);
    /* what was promised, now that large requests have brought the counters of all CPUs together */
    printf("promised %ld\n", kilobytes("/proc/meminfo", "Committed_AS:") / 4);
    return 0;
}
