/*
 * Which calls take the mmap lock of a process, and how: asked of the running kernel by two threads.
 *
 * One thread is inside a long call; the other makes a short one 3 ms after that has begun.  What is
 * printed, a line a pair, is how long both took and how long the long one went on after the short
 * one had returned (below 0: the short one returned after it).
 *
 *     mmap_lock HOLDER PROBE [REPEATS [behind]]
 *
 * With "behind" a third thread asks for a mapping, and waits, before the probe is made.
 */
#define _GNU_SOURCE
#include <errno.h>
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

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

#define PAGE 4096L
#define HUGE (512 * PAGE)
#define AREAS 24000L                /* areas that a call has to change one by one */
#define PAGES 60000L                /* pages that a call has to fill or free one by one */

static char *work;                  /* what the long call is about */
static char *own;                   /* pages of an area that has its anon_vma, far from `work` */
static char *fresh;                 /* an area of its own that nobody has touched */
static char *heap;
static atomic_int begun;
static long long begun_ns, ended_ns, asked_ns, answered_ns;

static long long now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void die(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, strerror(errno));
    exit(2);
}

static char *map(char *at, long bytes, int flags)
{
    char *p = mmap(at, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
    if (p == MAP_FAILED)
        die("mmap");
    return p;
}

static void check(int failed, const char *what)
{
    if (failed)
        die(what);
}

static void touch(char *start, long pages)
{
    for (long i = 0; i < pages; i++)
        *(volatile char *)(start + i * PAGE) = 1;
}

/* --- the long calls: what has to be there before, and the call --------------------------------- */

static void prepare_pages(void) { work = map(NULL, PAGES * PAGE, 0); touch(work, PAGES); }
static void prepare_empty(void) { work = map(NULL, PAGES * PAGE, 0); }
static void prepare_nothing(void) { work = NULL; }

static void prepare_areas(void)
{
    work = map(NULL, AREAS * PAGE, 0);
    for (long i = 0; i < AREAS; i += 2)
        check(mprotect(work + i * PAGE, PAGE, PROT_READ), "mprotect");
}

static void prepare_heap(void)
{
    heap = sbrk(PAGES * PAGE);
    if (heap == (char *)-1)
        die("sbrk");
    touch(heap, PAGES);
}

static void prepare_huge(void)
{
    char *p = map(NULL, 65 * HUGE, 0);
    work = (char *)(((unsigned long)p + HUGE - 1) & ~(HUGE - 1));
    check(madvise(work, 64 * HUGE, MADV_NOHUGEPAGE), "MADV_NOHUGEPAGE");
    touch(work, 64 * 512);
    check(madvise(work, 64 * HUGE, MADV_HUGEPAGE), "MADV_HUGEPAGE");
}

static void prepare_locked(void)
{
    char *p = map(NULL, (PAGES + 1) * PAGE, 0);
    check(munmap(p + PAGE, PAGES * PAGE), "munmap");
    work = p;
    check(mlock(work, PAGE), "mlock");
}

static void call_mmap_populate(void) { work = map(NULL, PAGES * PAGE, MAP_POPULATE); }
static void call_munmap(void) { check(munmap(work, PAGES * PAGE), "munmap"); }
static void call_mprotect(void) { check(mprotect(work, AREAS * PAGE, PROT_NONE), "mprotect"); }
static void call_mlock(void) { check(mlock(work, PAGES * PAGE), "mlock"); }
static void call_mlock_areas(void) { check(mlock(work, AREAS * PAGE), "mlock"); }
static void call_munlock(void) { check(munlock(work, AREAS * PAGE), "munlock"); }
static void call_brk_shrink(void) { check(brk(heap) < 0, "brk"); }

static void advise(long bytes, int advice)
{
    check(madvise(work, bytes, advice), "madvise");
}

static void call_dontneed(void) { advise(PAGES * PAGE, MADV_DONTNEED); }
static void call_free(void) { advise(PAGES * PAGE, MADV_FREE); }
static void call_dontfork(void) { advise(AREAS * PAGE, MADV_DONTFORK); }
static void call_populate_read(void) { advise(PAGES * PAGE, MADV_POPULATE_READ); }
static void call_populate_write(void) { advise(PAGES * PAGE, MADV_POPULATE_WRITE); }
static void call_collapse(void) { advise(64 * HUGE, MADV_COLLAPSE); }

static void call_mremap_shrink(void)
{
    check(mremap(work, PAGES * PAGE, PAGE, 0) == MAP_FAILED, "mremap");
}

static void call_mremap_grow(void)
{
    check(mremap(work, PAGE, PAGES * PAGE, MREMAP_MAYMOVE) == MAP_FAILED, "mremap");
}

static void call_fork(void)
{
    pid_t pid = fork();
    if (pid == 0)
        _exit(0);
    check(pid < 0, "fork");
}

static void call_sleep(void)
{
    struct timespec t = {0, 30000000};
    nanosleep(&t, NULL);
}

/* --- the short ones ------------------------------------------------------------------------------ */

static void probe_mmap(void) { munmap(map(NULL, PAGE, 0), 0); }
static void probe_munmap(void) { check(munmap(own + 15 * PAGE, PAGE), "munmap"); }
static void probe_mprotect(void) { check(mprotect(own + 8 * PAGE, PAGE, PROT_READ), "mprotect"); }
static void probe_mremap(void)
{
    check(mremap(own + 12 * PAGE, PAGE, PAGE, MREMAP_MAYMOVE) == MAP_FAILED, "mremap");
}
static void probe_brk(void) { check(sbrk(PAGE) == (void *)-1, "sbrk"); }
static void probe_mlock(void) { check(mlock(own + 4 * PAGE, PAGE), "mlock"); }
static void probe_munlock(void) { check(munlock(own + 4 * PAGE, PAGE), "munlock"); }
static void probe_fork(void)
{
    pid_t pid = vfork();               /* vfork takes no lock of areas; see fork_row */
    if (pid == 0)
        _exit(0);
}
static void probe_fault(void) { own[PAGE] = 1; }
static void probe_first_fault(void) { *(volatile char *)fresh = 1; }
static void probe_read_fault(void) { (void)*(volatile char *)(fresh + PAGE); }
static void probe_advice(int advice)
{
    check(madvise(own + 2 * PAGE, PAGE, advice), "madvise");
}
static void probe_dontneed(void) { probe_advice(MADV_DONTNEED); }
static void probe_free(void) { probe_advice(MADV_FREE); }
static void probe_random(void) { probe_advice(MADV_RANDOM); }
static void probe_hugepage(void) { probe_advice(MADV_HUGEPAGE); }
static void probe_dontfork(void) { probe_advice(MADV_DONTFORK); }
static void probe_wipeonfork(void) { probe_advice(MADV_WIPEONFORK); }
static void probe_populate_read(void) { probe_advice(MADV_POPULATE_READ); }
static void probe_populate_write(void) { probe_advice(MADV_POPULATE_WRITE); }
static void probe_collapse(void) { madvise(own, PAGE, MADV_COLLAPSE); }
static void probe_msync(void) { check(msync(own, PAGE, MS_SYNC), "msync"); }
static void probe_mincore(void)
{
    unsigned char resident;
    check(mincore(own, PAGE, &resident), "mincore");
}

struct long_call {
    const char *name;
    void (*prepare)(void), (*call)(void);
};
struct short_call {
    const char *name;
    void (*call)(void);
};

static const struct long_call holders[] = {
    {"nothing", prepare_nothing, call_sleep},
    {"mmap_populate", prepare_nothing, call_mmap_populate},
    {"munmap", prepare_pages, call_munmap},
    {"mprotect", prepare_areas, call_mprotect},
    {"mlock", prepare_empty, call_mlock},
    {"mlock_areas", prepare_areas, call_mlock_areas},
    {"munlock", prepare_areas, call_munlock},
    {"brk_shrink", prepare_heap, call_brk_shrink},
    {"dontneed", prepare_pages, call_dontneed},
    {"free", prepare_pages, call_free},
    {"dontfork", prepare_areas, call_dontfork},
    {"populate_read", prepare_empty, call_populate_read},
    {"populate_write", prepare_empty, call_populate_write},
    {"collapse", prepare_huge, call_collapse},
    {"mremap_shrink", prepare_pages, call_mremap_shrink},
    {"mremap_grow", prepare_locked, call_mremap_grow},
    {"fork", prepare_pages, call_fork},
};
static const struct short_call probes[] = {
    {"mmap", probe_mmap}, {"munmap", probe_munmap}, {"mprotect", probe_mprotect},
    {"mremap", probe_mremap}, {"brk", probe_brk}, {"mlock", probe_mlock},
    {"munlock", probe_munlock}, {"vfork", probe_fork}, {"fault", probe_fault},
    {"first_fault", probe_first_fault}, {"read_fault", probe_read_fault},
    {"dontneed", probe_dontneed}, {"free", probe_free}, {"random", probe_random},
    {"hugepage", probe_hugepage}, {"dontfork", probe_dontfork},
    {"wipeonfork", probe_wipeonfork}, {"populate_read", probe_populate_read},
    {"populate_write", probe_populate_write}, {"collapse", probe_collapse},
    {"msync", probe_msync}, {"mincore", probe_mincore},
};

static const struct long_call *holder;
static const struct short_call *probe;
static int behind;                  /* a writer that waits stands before the probe */

static void *hold(void *unused)
{
    begun_ns = now();
    atomic_store(&begun, 1);
    holder->call();
    ended_ns = now();
    return unused;
}

static void *want_to_write(void *unused)
{
    while (!atomic_load(&begun))
        sched_yield();
    struct timespec wait = {0, 2000000};
    nanosleep(&wait, NULL);
    probe_mmap();
    return unused;
}

/* One measurement, in a process of its own; ahead of all others on the machine, if that may be. */
static void measure(void)
{
    pthread_t thread;
    struct sched_param ahead = {.sched_priority = 1};
    sched_setscheduler(0, SCHED_FIFO, &ahead);
    own = map(NULL, 16 * PAGE, 0);
    touch(own, 1);
    touch(own + 2 * PAGE, 14);
    check(mlock(own + 4 * PAGE, PAGE), "mlock");
    char *fence = map(NULL, 4 * PAGE, MAP_NORESERVE);  /* keeps what follows an area of its own */
    check(mprotect(fence, 4 * PAGE, PROT_NONE), "mprotect");
    fresh = map(NULL, 2 * PAGE, MAP_NORESERVE);
    check(madvise(fresh, 2 * PAGE, MADV_SEQUENTIAL), "madvise");
    holder->prepare();
    pthread_t writer;
    if (behind)
        check(pthread_create(&writer, NULL, want_to_write, NULL), "pthread_create");
    check(pthread_create(&thread, NULL, hold, NULL), "pthread_create");
    while (!atomic_load(&begun))
        sched_yield();
    struct timespec wait = {0, 3000000};
    nanosleep(&wait, NULL);
    asked_ns = now();
    probe->call();
    answered_ns = now();
    pthread_join(thread, NULL);
    printf("%s %s %lld %lld %lld\n", holder->name, probe->name, ended_ns - begun_ns,
           answered_ns - asked_ns, ended_ns - answered_ns);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    static char told[256];             /* nothing here may use the heap: brk is one of the calls */
    if (argc < 3)
        return 2;
    setvbuf(stdout, told, _IOFBF, sizeof told);
    for (unsigned i = 0; i < sizeof holders / sizeof *holders; i++)
        if (!strcmp(argv[1], holders[i].name))
            holder = &holders[i];
    for (unsigned i = 0; i < sizeof probes / sizeof *probes; i++)
        if (!strcmp(argv[2], probes[i].name))
            probe = &probes[i];
    if (!holder || !probe)
        return 2;
    behind = argc > 4;
    for (int i = argc > 3 ? atoi(argv[3]) : 1; i > 0; i--) {
        pid_t pid = fork();
        if (pid == 0) {
            measure();
            _exit(0);
        }
        int status;
        if (pid < 0 || waitpid(pid, &status, 0) < 0 || status) {
            fprintf(stderr, "%s %s: status %x\n", holder->name, probe->name, status);
            return 1;
        }
    }
    return 0;
}
