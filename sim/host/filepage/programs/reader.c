/*
 * Reads pages of files in a control group, and tells which are in the page cache.
 *
 *     reader PROCS ADVICE STEPS ANSWER FILE...
 *
 * PROCS is the `cgroup.procs` of the group to join.  ADVICE is `r` for POSIX_FADV_RANDOM, `n` for
 * none.  STEPS holds words of 64 bits: file << 32 | page, to read one byte of that page; -1, to
 * write a byte for each page of each file to ANSWER: 1 if it is in the page cache; or -2, to wait
 * until what was freed by RCU has left the group's account.  All memory is
 * touched before the group is joined, so that the group is charged for page cache alone.  Each
 * thing that can fail has an exit status of its own.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/membarrier.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "quiet.h"

#define FILES 16
#define PAGE 4096
#define GRACE_PERIODS 3

static char buffer[PAGE] __attribute__((aligned(PAGE)));

/* Callbacks run some ticks after the grace period that they wait for has ended. */
static void let_rcu_free(void)
{
    for (int period = 0; period < GRACE_PERIODS; period++)
        if (syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0) != 0)
            _exit(14);
}

static long size_of(int fd)
{
    struct stat about;
    if (fstat(fd, &about) != 0)
        _exit(10);
    return about.st_size;
}

int main(int count, char **words)
{
    int fds[FILES];
    long pages[FILES];
    void *maps[FILES];
    int files = count - 5;
    if (files < 1 || files > FILES)
        return 2;
    take_cpu();
    for (int file = 0; file < files; file++) {
        fds[file] = open(words[5 + file], O_RDONLY);
        if (fds[file] < 0)
            return 3;
        pages[file] = size_of(fds[file]) / PAGE;
        maps[file] = mmap(0, pages[file] * PAGE, PROT_READ, MAP_SHARED, fds[file], 0);
        if (maps[file] == MAP_FAILED)
            return 4;
        if (words[2][0] == 'r' && posix_fadvise(fds[file], 0, 0, POSIX_FADV_RANDOM) != 0)
            return 5;
    }
    int steps_fd = open(words[3], O_RDONLY);
    int answer_fd = open(words[4], O_RDWR);
    int group = open(words[1], O_WRONLY);
    if (steps_fd < 0 || answer_fd < 0 || group < 0)
        return 6;
    long n_steps = size_of(steps_fd) / 8;
    long answer_bytes = size_of(answer_fd);
    const int64_t *steps = mmap(0, n_steps * 8, PROT_READ, MAP_SHARED | MAP_POPULATE, steps_fd, 0);
    unsigned char *answer =
        mmap(0, answer_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, answer_fd, 0);
    if (steps == MAP_FAILED || answer == MAP_FAILED)
        return 7;
    volatile unsigned char seen = 0;
    for (long at = 0; at < answer_bytes; at += PAGE)
        answer[at] = 0;
    for (long at = 0; at < n_steps * 8; at += PAGE)
        seen += ((const volatile unsigned char *)steps)[at];
    buffer[0] = 1;
    if (write(group, "0", 1) != 1)
        return 8;
    /* The CPU's batch of new pages may hold some of ours: this moves them to their lists. */
    if (posix_fadvise(fds[0], 0, PAGE, POSIX_FADV_DONTNEED) != 0)
        return 13;
    long told = 0;
    for (long step = 0; step < n_steps; step++) {
        if (steps[step] >= 0) {
            int file = steps[step] >> 32;
            long page = steps[step] & 0xffffffff;
            if (file >= files || pread(fds[file], buffer, PAGE, page * PAGE) != PAGE)
                return 9;
            continue;
        }
        if (steps[step] == -2) {
            let_rcu_free();
            continue;
        }
        for (int file = 0; file < files; file++) {
            if (told + pages[file] > answer_bytes)
                return 11;
            if (mincore(maps[file], pages[file] * PAGE, answer + told) != 0)
                return 12;
            told += pages[file];
        }
    }
    return 0;
}
