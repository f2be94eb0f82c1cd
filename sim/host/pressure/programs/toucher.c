/*
 * Touches anonymous memory in a control group, and tells which pages are in memory.
 *
 *     toucher PROCS STEPS ANSWER
 *
 * PROCS is the `cgroup.procs` of the group to join.  STEPS holds words of 64 bits: an operation in
 * the highest byte, a region in the next, a page or a number of pages below.
 *
 *     1 map      the region, of so many pages
 *     2 read     a byte of the page
 *     3 write    the same byte
 *     4 tell     write a byte for each page of the region to ANSWER: 1 if it is in memory
 *     5 pause    until the first word of ANSWER, which is set to 1, is 0 again; the next three are
 *                the minor and major faults so far, and how much has been told; a fourth is the
 *                number of the step under way
 *
 * All other memory is touched before the group is joined, so that the group is charged for the
 * regions alone.  Each thing that can fail has an exit status of its own.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "../../quiet.h"

#define PAGE 4096L
#define REGIONS 8
#define ARENA 0x100000000000L
#define APART (1L << 30)
#define HEADER 4096
#define LOOK_NS 200000
#ifndef MADV_COLD
#define MADV_COLD 20                   /* older headers do not know it */
#endif
#define SCRATCH_PAGES 64               /* more than `tlb_single_page_flush_ceiling`, 33 */

static char scratch[SCRATCH_PAGES * PAGE] __attribute__((aligned(PAGE)));

static volatile unsigned char *regions[REGIONS];
static long pages[REGIONS];

static long size_of(int fd)
{
    struct stat about;
    if (fstat(fd, &about) != 0)
        _exit(10);
    return about.st_size;
}

static void pause_here(volatile int64_t *header, long told)
{
    struct rusage usage;
    struct timespec look = {0, LOOK_NS};
    getrusage(RUSAGE_SELF, &usage);
    header[1] = usage.ru_minflt;
    header[2] = usage.ru_majflt;
    header[3] = told;
    __atomic_store_n(header, 1, __ATOMIC_SEQ_CST);
    while (__atomic_load_n(header, __ATOMIC_SEQ_CST) != 0)
        nanosleep(&look, NULL);
}

/*
 * Reclaim makes entries old without a word to the processor, which then does not mark those as used
 * that it still remembers.  So it has to forget them all: more pages than are flushed one by one
 * lose a permission.
 */
static void forget_entries(void)
{
    if (mprotect(scratch, sizeof scratch, PROT_READ) != 0 ||
        mprotect(scratch, sizeof scratch, PROT_READ | PROT_WRITE) != 0)
        _exit(12);
}

static void map(int region, long size)
{
    char *where = (char *)ARENA + region * APART;
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE;
    regions[region] = mmap(where, size * PAGE, PROT_READ | PROT_WRITE, flags, -1, 0);
    if (regions[region] == MAP_FAILED)
        _exit(8);
    pages[region] = size;
}

int main(int count, char **words)
{
    if (count != 4)
        return 2;
    take_cpu();
    int steps_fd = open(words[2], O_RDONLY);
    int answer_fd = open(words[3], O_RDWR);
    int group = open(words[1], O_WRONLY);
    if (steps_fd < 0 || answer_fd < 0 || group < 0)
        return 3;
    long n_steps = size_of(steps_fd) / 8;
    long answer_bytes = size_of(answer_fd);
    const int64_t *steps = mmap(0, n_steps * 8, PROT_READ, MAP_SHARED | MAP_POPULATE, steps_fd, 0);
    unsigned char *answer =
        mmap(0, answer_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, answer_fd, 0);
    if (steps == MAP_FAILED || answer == MAP_FAILED)
        return 4;
    volatile unsigned char seen = 0;
    for (long at = 0; at < answer_bytes; at += PAGE)
        answer[at] = 0;
    for (long at = 0; at < n_steps * 8; at += PAGE)
        seen += ((const volatile unsigned char *)steps)[at];
    for (int region = 0; region < REGIONS; region++)
        regions[region] = 0, pages[region] = 0;
    for (long at = 0; at < (long)sizeof scratch; at += PAGE)
        scratch[at] = 1;
    forget_entries();
    map(0, 1);                         /* code is brought in as well */
    if (mincore((void *)regions[0], PAGE, answer) != 0 || munmap((void *)regions[0], PAGE) != 0)
        return 11;
    answer[0] = 0;
    volatile int64_t *header = (volatile int64_t *)answer;
    pause_here(header, 0);             /* what it needs is there now, the group is joined after it */
    map(0, 1);                         /* what this CPU has collected for the lists goes there */
    if (madvise((void *)regions[0], PAGE, MADV_COLD) != 0 ||
        munmap((void *)regions[0], PAGE) != 0)
        return 11;
    if (write(group, "0", 1) != 1)
        return 5;
    long told = HEADER;
    for (long step = 0; step < n_steps; step++) {
        int region = steps[step] >> 48 & 0xff;
        long page = steps[step] & 0xffffffff;
        header[4] = step;              /* so that it is known where a kill has come */
        switch (steps[step] >> 56) {
        case 1:
            map(region, page);
            break;
        case 2:
            forget_entries();
            seen += regions[region][page * PAGE];
            break;
        case 3:
            forget_entries();
            regions[region][page * PAGE] = 1 + page % 255;
            break;
        case 4:
            if (told + pages[region] > answer_bytes)
                return 6;
            if (mincore((void *)regions[region], pages[region] * PAGE, answer + told) != 0)
                return 7;
            told += pages[region];
            break;
        case 5:
            pause_here(header, told);
            break;
        default:
            return 9;
        }
    }
    return 0;
}
