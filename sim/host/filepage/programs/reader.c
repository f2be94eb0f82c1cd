/*
 * Reads pages of files in a control group, and tells which are in the page cache.
 *
 *     reader PROCS ADVICE STEPS ANSWER FILE...
 *
 * PROCS is the `cgroup.procs` of the group to join.  ADVICE is `r` for POSIX_FADV_RANDOM, `n` for
 * none.  STEPS holds words of 64 bits: how << 40 | file << 32 | page, to read one byte of that page
 * (how 0), or to touch it, if it is in the page cache, through a mapping as data (1) or as text (2);
 * -1, to write a byte for each page of each file to ANSWER: 1 if it is in the page cache; or -2, to
 * wait until what was freed by RCU has left the group's account.  All memory is touched, and all
 * page tables are made, before the group is joined, so that it is charged for page cache alone.
 * Each thing that can fail has an exit status of its own.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/membarrier.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "accesses.h"
#include "quiet.h"

#define FILES 16
#define PAGE 4096L
#define LEAF_PAGES 512
#define MAPPINGS (1L << 40)
#define MAPPING_BYTES (1L << 31)
#define GRACE_PERIODS 3

static char buffer[PAGE] __attribute__((aligned(PAGE)));

/* Callbacks run some ticks after the grace period that they wait for has ended. */
static void let_rcu_free(void)
{
    for (int period = 0; period < GRACE_PERIODS; period++)
        if (syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0) != 0)
            _exit(14);
}

/* Where a file is mapped: as data (how 1), as text (2). */
static char *mapped_at(int file, int how)
{
    return (char *)(MAPPINGS + (2 * file + how - 1) * MAPPING_BYTES);
}

/* Map a file, make the page tables, and leave nothing in them, nor in the page cache. */
static int map_file(int fd, int file, int how, long pages)
{
    int protection = how == 2 ? PROT_READ | PROT_EXEC : PROT_READ;
    char *start = mapped_at(file, how);
    if (mmap(start, pages * PAGE, PROT_READ, MAP_SHARED | MAP_FIXED_NOREPLACE, fd, 0) != start)
        return -1;
    /* Text is read ahead whatever was advised (6.18): so it is none yet. */
    if (madvise(start, pages * PAGE, MADV_RANDOM) != 0)
        return -1;
    for (long page = 0; page < pages; page += LEAF_PAGES) {
        touch_byte(start + page * PAGE, 0);
        if (madvise(start + page * PAGE, PAGE, MADV_DONTNEED) != 0)
            return -1;
    }
    if (madvise(start, pages * PAGE, MADV_NORMAL) != 0)
        return -1;
    if (mprotect(start, pages * PAGE, protection) != 0)
        return -1;
    return posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
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
        for (int how = 1; how <= 2; how++)
            if (map_file(fds[file], file, how, pages[file]) != 0)
                return 15;
    }
    char *window = new_window();
    if (window == NULL || forget_translations(window) != 0)
        return 16;
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
            int how = steps[step] >> 40, file = steps[step] >> 32 & 0xff;
            long page = steps[step] & 0xffffffff;
            if (file >= files || page >= pages[file])
                return 9;
            if (how == 0) {
                if (pread(fds[file], buffer, PAGE, page * PAGE) != PAGE)
                    return 9;
                continue;
            }
            unsigned char there;
            if (mincore((char *)maps[file] + page * PAGE, PAGE, &there) != 0)
                return 12;
            /* Reclaim makes entries old and leaves the TLB alone. */
            if (forget_translations(window) != 0)
                return 16;
            if (there & 1)
                touch_byte(mapped_at(file, how) + page * PAGE, 0);
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
