/*
 * Do page faults of another thread wait for a fork?  Needs two CPUs, and root.
 *
 * Low and high addresses hold many small areas, between them lies a large one that fork takes long
 * to copy.  A thread writes a page of one small area after the other while the main thread forks:
 * of low ones (`low`), of high ones that were written before (`high`), or of high ones that never
 * were and get their family now (`new`).  On standard output, for each: which part of the fork's
 * time the longest fault took that met it, in percent, for all tries in order of size.  A fault that
 * waits for the end of the fork takes most of it.  Both threads have a real-time priority then, so
 * that neither waits for a CPU, however many others want one.
 *
 *     faults_during_fork [TRIES]
 *
 * With a number it makes so few tries, and the large area once for all of them: that is quicker.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PAGE 4096L
#define BASE 0x200000000000L
#define APART (1L << 30)
#define LARGE (512L << 20)
#define AREAS 400L
#define STEP (3 * PAGE)                 /* two pages of an area, and one that nobody may touch */
#define PACE_US 100
#define TRIES 9

static struct { long began_ns, ended_ns; } faults[AREAS];
static atomic_int going, stop;
static char *target, *kept;
static int keep;                        /* the large area is made once, for all tries */

static long now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000L + now.tv_nsec;
}

static void on_cpu(int cpu)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    if (sched_setaffinity(0, sizeof set, &set))
        exit(3);
}

static void be_first(int yes)
{
    struct sched_param priority = {.sched_priority = yes};
    if (sched_setscheduler(0, (yes ? SCHED_FIFO : SCHED_OTHER) | SCHED_RESET_ON_FORK, &priority))
        exit(3);
}

static void *touch(void *unused)
{
    (void)unused;
    on_cpu(1);
    be_first(1);
    for (long i = 0; i < AREAS && !atomic_load(&stop); i++) {
        faults[i].began_ns = now_ns();
        target[i * STEP + PAGE] = 1;
        faults[i].ended_ns = now_ns();
        atomic_store(&going, i >= 5);
        usleep(PACE_US);
    }
    atomic_store(&going, 1);
    return NULL;
}

static char *map(long at, long bytes)
{
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE | MAP_NORESERVE;
    char *area = mmap((char *)BASE + at, bytes, PROT_READ | PROT_WRITE, flags, -1, 0);
    if (area != (char *)BASE + at || madvise(area, bytes, MADV_NOHUGEPAGE))
        exit(2);
    return area;
}

static char *map_small(long at, int written)
{
    char *areas = map(at, AREAS * STEP);
    for (long i = 0; i < AREAS; i++) {
        if (mprotect(areas + i * STEP + 2 * PAGE, PAGE, PROT_NONE))
            exit(2);
        if (written)
            areas[i * STEP] = 1;
    }
    return areas;
}

static long try(int is_low, int written)
{
    char *small = map_small(is_low ? 0 : 2 * APART, written);
    char *large = kept ? kept : map(APART, LARGE);
    pthread_t thread;
    if (!kept)
        memset(large, 1, LARGE);
    memset(faults, 0, sizeof faults);
    target = small;
    atomic_store(&going, 0);
    atomic_store(&stop, 0);
    pthread_create(&thread, NULL, touch, NULL);
    while (!atomic_load(&going))
        sched_yield();
    be_first(1);
    long before = now_ns(), longest = 0;
    pid_t pid = fork();
    if (pid == 0)
        _exit(0);
    long after = now_ns();
    be_first(0);
    atomic_store(&stop, 1);
    pthread_join(thread, NULL);
    waitpid(pid, NULL, 0);
    for (long i = 0; i < AREAS; i++) {
        long began = faults[i].began_ns < before ? before : faults[i].began_ns;
        long ended = faults[i].ended_ns > after ? after : faults[i].ended_ns;
        if (ended - began > longest)
            longest = ended - began;
    }
    munmap(small, AREAS * STEP);
    if (keep)
        kept = large;
    else
        munmap(large, LARGE);
    return 100 * longest / (after - before);
}

static int by_size(const void *a, const void *b)
{
    return *(const long *)a > *(const long *)b ? 1 : -1;
}

int main(int argc, char **argv)
{
    static const char *names[] = {"low", "high", "new"};
    long parts[3][TRIES];
    int tries = argc > 1 ? atoi(argv[1]) : TRIES;
    if (tries < 1 || tries > TRIES)
        return 2;
    keep = argc > 1;
    on_cpu(0);
    for (int i = 0; i < tries; i++)
        for (int kind = 0; kind < 3; kind++)
            parts[kind][i] = try(kind == 0, kind != 2);
    for (int kind = 0; kind < 3; kind++) {
        qsort(parts[kind], tries, sizeof parts[kind][0], by_size);
        printf("%s", names[kind]);
        for (int i = 0; i < tries; i++)
            printf(" %ld", parts[kind][i]);
        printf("\n");
    }
    return 0;
}
