/*
 * Carries out a conformance script on the running kernel.
 *
 *     driver CPU DIRECTORY NOHUGEPAGE < program
 *
 * A controller (this process) reads one operation a line,
 *
 *     SLOT VERB REGION FIRST END MODE CHILD
 *
 * with processes as slot numbers in order of birth, and has it carried out by the process it
 * names, each a real one that was really forked as the script says.  After each operation it
 * prints
 *
 *     op ENDING ERRNO MINFLT MAJFLT NS
 *     figures SLOT REGION RSS ANON PDIRTY SDIRTY SWAP THP PSS LOCKED      (kB; one per region)
 *
 * where ENDING is `ok` or `segv`.  All memory that a process uses for itself is touched before
 * the counters are read, by running the measured code once on a page of its own: what is counted
 * is the region's faults and nothing else.  The processes and the controller talk through one
 * shared mapping and futexes, never inside a measurement; no process allocates.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PAGE 4096L
#define ALIGNMENT (2L << 20)       /* every region starts at such a boundary ...               */
#define SEPARATION (2L << 20)      /* ... and is at least this far from the next               */
#define ARENA 0x100000000000L      /* far from everything the loader and the heap put anywhere */
#define MAX_PROCESSES 256
#define REGIONS 26
#define FAIL_AFTER_S 60            /* a process that does not answer by then is reported lost  */

enum verb {
    V_MAP, V_SHMAP, V_MAPFILE, V_MAPSHFILE, V_WRITE, V_READ, V_DONTNEED, V_UNMAP, V_PROTECT,
    V_HUGEPAGE, V_DONTFORK, V_WIPEONFORK, V_FORK, V_EXIT, V_REAP, V_COUNT
};
static const char *const verb_names[V_COUNT] = {
    "map", "shmap", "mapfile", "mapshfile", "write", "read", "dontneed", "unmap", "protect",
    "hugepage", "dontfork", "wipeonfork", "fork", "exit", "reap"
};

struct command {
    int verb, region, protection, child;
    long first, end;               /* pages; end < 0: the whole region */
    char *address;                 /* where a new mapping goes         */
};

struct answer {
    int segv, error;
    long minflt, majflt, ns;
};

struct region {
    char *start;                   /* NULL: the process has no such region */
    long pages;
    int dontfork;
};

/* One a process, in the shared mapping. */
struct slot {
    _Atomic uint32_t asked, answered;
    struct command command;
    struct answer answer;
    struct region regions[REGIONS];
    pid_t pid;                     /* 0: never lived, or has been reaped */
    int parent;
};

static struct slot *slots;
static const char *directory;      /* where mapped files are made: a disk file system */
static int forbid_huge;            /* THP is `always`: every region must refuse it     */
static pid_t controller;

static void die(const char *what)
{
    fprintf(stderr, "driver: %s: %s\n", what, strerror(errno));
    exit(70);
}

/* ---- talking ------------------------------------------------------------------------------ */

static int wait_for(_Atomic uint32_t *word, uint32_t value)
{
    for (int second = 0; second < FAIL_AFTER_S; second++) {
        uint32_t seen = atomic_load(word);
        if (seen == value)
            return 0;
        struct timespec one_second = {.tv_sec = 1};
        syscall(SYS_futex, word, FUTEX_WAIT, seen, &one_second, NULL, 0);
    }
    return atomic_load(word) == value ? 0 : -1;
}

static void set(_Atomic uint32_t *word, uint32_t value)
{
    atomic_store(word, value);
    syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0);
}

/* ---- in a process of the script ------------------------------------------------------------ */

static struct slot *self;
static struct rusage usage_before, usage_after;
static struct timespec time_before, time_after;
static char own_page[2 * PAGE] __attribute__((aligned(PAGE)));
static char signal_stack[16 * PAGE] __attribute__((aligned(PAGE)));

static void record(struct answer *answer)
{
    answer->minflt = usage_after.ru_minflt - usage_before.ru_minflt;
    answer->majflt = usage_after.ru_majflt - usage_before.ru_majflt;
    answer->ns = (time_after.tv_sec - time_before.tv_sec) * 1000000000L
                 + time_after.tv_nsec - time_before.tv_nsec;
}

/* The first access that may not be: count what came before it, say so, die. */
static void on_segv(int number)
{
    clock_gettime(CLOCK_MONOTONIC, &time_after);
    getrusage(RUSAGE_SELF, &usage_after);
    record(&self->answer);
    self->answer.segv = 1;
    set(&self->answered, atomic_load(&self->asked));
    _exit(128 + number);
}

/* Volatile one-byte accesses, one a page, in order; nothing else between the counters. */
static void touch(struct answer *answer, volatile char *start, long pages, int writing)
{
    getrusage(RUSAGE_SELF, &usage_before);
    clock_gettime(CLOCK_MONOTONIC, &time_before);
    if (writing)
        for (long page = 0; page < pages; page++)
            start[page * PAGE] = 1;
    else
        for (long page = 0; page < pages; page++)
            (void)start[page * PAGE];
    clock_gettime(CLOCK_MONOTONIC, &time_after);
    getrusage(RUSAGE_SELF, &usage_after);
    record(answer);
}

/* Touch all that a measurement itself uses: code, stacks, counters, the shared mapping. */
static void warm_up(void)
{
    volatile char stack[4 * PAGE];
    for (long i = 0; i < (long)sizeof stack; i += PAGE)
        stack[i] = 1;
    for (long i = 0; i < (long)sizeof signal_stack; i += PAGE)
        ((volatile char *)signal_stack)[i] = 1;
    memset(&self->answer, 0, sizeof self->answer);
    touch(&self->answer, own_page, 1, 1);
    touch(&self->answer, own_page, 1, 0);
    memset(&self->answer, 0, sizeof self->answer);
}

/* A new file of `pages` pages, written page by page, fsynced and read: clean in the page cache. */
static int new_file(long pages)
{
    static char buffer[PAGE];
    char name[512];
    snprintf(name, sizeof name, "%s/cowpool-XXXXXX", directory);
    int fd = mkostemp(name, O_CLOEXEC);
    if (fd < 0)
        return -1;
    unlink(name);
    memset(buffer, 1, sizeof buffer);
    for (long page = 0; page < pages; page++)
        if (pwrite(fd, buffer, PAGE, page * PAGE) != PAGE)
            return -1;
    if (fsync(fd) < 0)
        return -1;
    for (long page = 0; page < pages; page++)
        if (pread(fd, buffer, PAGE, page * PAGE) != PAGE)
            return -1;
    return fd;
}

static int map_region(const struct command *command)
{
    struct region *region = &self->regions[command->region];
    long bytes = command->end * PAGE;
    int shared = command->verb == V_SHMAP || command->verb == V_MAPSHFILE;
    int is_file = command->verb == V_MAPFILE || command->verb == V_MAPSHFILE;
    int fd = -1;
    int flags = MAP_FIXED_NOREPLACE | (shared ? MAP_SHARED : MAP_PRIVATE);
    if (is_file) {
        fd = new_file(command->end);
        if (fd < 0)
            return errno;
    } else
        flags |= MAP_ANONYMOUS;
    char *at = mmap(command->address, bytes, PROT_READ | PROT_WRITE, flags, fd, 0);
    int error = at == MAP_FAILED ? errno : 0;
    if (is_file)
        close(fd);
    if (error)
        return error;
    if (forbid_huge && madvise(at, bytes, MADV_NOHUGEPAGE) < 0)
        return errno;
    region->start = at;
    region->pages = command->end;
    region->dontfork = 0;
    return 0;
}

static int on_range(const struct command *command, char *start, long bytes)
{
    struct region *region = &self->regions[command->region];
    int failed = 0;
    switch (command->verb) {
    case V_DONTNEED:
        failed = madvise(start, bytes, MADV_DONTNEED);
        break;
    case V_UNMAP:
        failed = munmap(start, bytes);
        if (!failed && bytes == region->pages * PAGE)
            region->start = NULL;
        break;
    case V_PROTECT:
        failed = mprotect(start, bytes, command->protection);
        break;
    case V_HUGEPAGE:
        failed = madvise(start, bytes, MADV_HUGEPAGE);
        break;
    case V_DONTFORK:
        failed = madvise(start, bytes, MADV_DONTFORK);
        region->dontfork = 1;
        break;
    case V_WIPEONFORK:
        failed = madvise(start, bytes, MADV_WIPEONFORK);
        break;
    }
    return failed ? errno : 0;
}

static void serve(int slot) __attribute__((noreturn));

static int fork_child(int child)
{
    struct slot *theirs = &slots[child];
    int parent = (int)(self - slots);
    memcpy(theirs->regions, self->regions, sizeof theirs->regions);
    for (int i = 0; i < REGIONS; i++)
        if (theirs->regions[i].dontfork)
            theirs->regions[i].start = NULL;
    theirs->parent = parent;
    pid_t pid = fork();
    if (pid == 0)
        serve(child);
    if (pid < 0)
        return errno;
    theirs->pid = pid;
    return 0;
}

static int perform(const struct command *command)
{
    switch (command->verb) {
    case V_MAP: case V_SHMAP: case V_MAPFILE: case V_MAPSHFILE:
        return map_region(command);
    case V_FORK:
        return fork_child(command->child);
    case V_REAP:
        return waitpid(slots[command->child].pid, NULL, 0) < 0 ? errno : 0;
    default: {
        struct region *region = &self->regions[command->region];
        long end = command->end < 0 ? region->pages : command->end;
        return on_range(command, region->start + command->first * PAGE,
                        (end - command->first) * PAGE);
    }
    }
}

static void serve(int slot)
{
    self = &slots[slot];
    for (uint32_t number = 1;; number++) {
        while (wait_for(&self->asked, number) < 0)
            if (kill(controller, 0) < 0)
                _exit(1);              /* nobody is left to ask */
        struct command *command = &self->command;
        struct answer *answer = &self->answer;
        warm_up();
        if (command->verb == V_EXIT)
            _exit(0);
        if (command->verb == V_READ || command->verb == V_WRITE)
            touch(answer, self->regions[command->region].start + command->first * PAGE,
                  command->end - command->first, command->verb == V_WRITE);
        else {
            getrusage(RUSAGE_SELF, &usage_before);
            clock_gettime(CLOCK_MONOTONIC, &time_before);
            int error = perform(command);
            clock_gettime(CLOCK_MONOTONIC, &time_after);
            getrusage(RUSAGE_SELF, &usage_after);
            record(answer);
            answer->error = error;
        }
        set(&self->answered, number);
    }
}

/* ---- the controller ------------------------------------------------------------------------ */

static void ask(int slot, const struct command *command)
{
    struct slot *them = &slots[slot];
    them->command = *command;
    set(&them->asked, atomic_load(&them->asked) + 1);
}

static void await(int slot)
{
    struct slot *them = &slots[slot];
    if (wait_for(&them->answered, atomic_load(&them->asked)) < 0) {
        fprintf(stderr, "driver: process %d does not answer\n", slot);
        exit(70);
    }
}

/* Collect an ended process: its parent does, if it lives; else it is ours, the subreaper's. */
static void reap(int slot)
{
    struct slot *them = &slots[slot];
    if (them->parent >= 0 && slots[them->parent].pid) {
        struct command command = {.verb = V_REAP, .child = slot};
        ask(them->parent, &command);
        await(them->parent);
    } else if (waitpid(them->pid, NULL, 0) < 0)
        die("waitpid");
    them->pid = 0;
}

struct figures {
    long rss, anon, pdirty, sdirty, swap, thp, pss, locked;
    int areas;
};

static long after(const char *line, const char *key)
{
    size_t length = strlen(key);
    return strncmp(line, key, length) ? -1 : atol(line + length);
}

static int region_at(const struct slot *them, unsigned long address)
{
    for (int i = 0; i < REGIONS; i++) {
        unsigned long start = (unsigned long)them->regions[i].start;
        if (start && address >= start
            && address < start + (unsigned long)them->regions[i].pages * PAGE)
            return i;
    }
    return -1;
}

static void add_line(struct figures *sums, const char *line)
{
    const struct { const char *key; size_t offset; } fields[] = {
        {"Rss:", offsetof(struct figures, rss)}, {"Pss:", offsetof(struct figures, pss)},
        {"Private_Dirty:", offsetof(struct figures, pdirty)},
        {"Shared_Dirty:", offsetof(struct figures, sdirty)},
        {"Anonymous:", offsetof(struct figures, anon)},
        {"AnonHugePages:", offsetof(struct figures, thp)},
        {"Swap:", offsetof(struct figures, swap)}, {"Locked:", offsetof(struct figures, locked)},
    };
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        long kb = after(line, fields[i].key);
        if (kb >= 0)
            *(long *)((char *)sums + fields[i].offset) += kb;
    }
}

/* Sum /proc/PID/smaps over all areas inside each region: a region may have been split. */
static void print_figures(int slot)
{
    struct slot *them = &slots[slot];
    struct figures sums[REGIONS] = {0};
    char name[64], line[1024];
    unsigned long last = 0;
    for (int i = 0; i < REGIONS; i++)
        if (them->regions[i].start && (unsigned long)them->regions[i].start > last)
            last = (unsigned long)them->regions[i].start;
    if (!last)
        return;
    snprintf(name, sizeof name, "/proc/%d/smaps", them->pid);
    FILE *smaps = fopen(name, "re");
    if (!smaps)
        die(name);
    int region = -1;
    while (fgets(line, sizeof line, smaps)) {
        unsigned long start, end;
        if (sscanf(line, "%lx-%lx ", &start, &end) == 2) {
            if (start > last + ((unsigned long)1 << 40))
                break;                  /* past the regions: what follows is not ours */
            region = region_at(them, start);
            if (region >= 0)
                sums[region].areas++;
        } else if (region >= 0)
            add_line(&sums[region], line);
    }
    fclose(smaps);
    for (int i = 0; i < REGIONS; i++)
        if (sums[i].areas)
            printf("figures %d %c %ld %ld %ld %ld %ld %ld %ld %ld\n", slot, 'A' + i, sums[i].rss,
                   sums[i].anon, sums[i].pdirty, sums[i].sdirty, sums[i].swap, sums[i].thp,
                   sums[i].pss, sums[i].locked);
}

static int verb_number(const char *name)
{
    for (int i = 0; i < V_COUNT; i++)
        if (!strcmp(name, verb_names[i]))
            return i;
    errno = EINVAL;
    die(name);
    return -1;
}

static int protection_of(const char *mode)
{
    if (!strcmp(mode, "none"))
        return PROT_NONE;
    return strcmp(mode, "r") ? PROT_READ | PROT_WRITE : PROT_READ;
}

/* Read the next operation; 0 at the end of the program. */
static int next_operation(int *slot, struct command *command)
{
    static char *cursor = (char *)ARENA;
    char line[256], verb[32], region[8], mode[16];
    if (!fgets(line, sizeof line, stdin))
        return 0;
    if (sscanf(line, "%d %31s %7s %ld %ld %15s %d", slot, verb, region, &command->first,
               &command->end, mode, &command->child) != 7) {
        errno = EINVAL;
        die("program");
    }
    if (*slot < 0 || *slot >= MAX_PROCESSES || command->child >= MAX_PROCESSES) {
        errno = E2BIG;
        die("processes");
    }
    command->verb = verb_number(verb);
    command->region = region[0] == '-' ? 0 : region[0] - 'A';
    command->protection = protection_of(mode);
    if (command->verb <= V_MAPSHFILE) {
        command->address = cursor;
        cursor += (command->end * PAGE + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT + SEPARATION;
    }
    return 1;
}

static void begin(void)
{
    stack_t alternate = {.ss_sp = signal_stack, .ss_size = sizeof signal_stack};
    struct sigaction action = {.sa_handler = on_segv, .sa_flags = SA_ONSTACK};
    if (sigaltstack(&alternate, NULL) < 0 || sigaction(SIGSEGV, &action, NULL) < 0
        || sigaction(SIGBUS, &action, NULL) < 0)
        die("sigaction");
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    slots = mmap(NULL, sizeof *slots * MAX_PROCESSES, PROT_READ | PROT_WRITE,
                 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (slots == MAP_FAILED)
        die("mmap");
    slots[0].parent = -1;
    controller = getpid();
    pid_t pid = fork();
    if (pid < 0)
        die("fork");
    if (pid == 0)
        serve(0);
    slots[0].pid = pid;
}

int main(int argc, char **argv)
{
    cpu_set_t cpus;
    if (argc != 4) {
        fprintf(stderr, "usage: driver CPU DIRECTORY NOHUGEPAGE < program\n");
        return 2;
    }
    directory = argv[2];
    forbid_huge = atoi(argv[3]);
    CPU_ZERO(&cpus);
    CPU_SET(atoi(argv[1]), &cpus);
    if (sched_setaffinity(0, sizeof cpus, &cpus) < 0)
        die("sched_setaffinity");
    begin();
    int slot;
    struct command command = {0};
    while (next_operation(&slot, &command)) {
        struct slot *them = &slots[slot];
        ask(slot, &command);
        if (command.verb == V_EXIT) {
            memset(&them->answer, 0, sizeof them->answer);
            reap(slot);
        } else {
            await(slot);
            if (them->answer.segv)
                reap(slot);
        }
        printf("op %s %d %ld %ld %ld\n", them->answer.segv ? "segv" : "ok", them->answer.error,
               them->answer.minflt, them->answer.majflt, them->answer.ns);
        for (int i = 0; i < MAX_PROCESSES; i++)
            if (slots[i].pid)
                print_figures(i);
    }
    for (int i = MAX_PROCESSES - 1; i >= 0; i--)
        if (slots[i].pid) {
            kill(slots[i].pid, SIGKILL);
        }
    return fflush(stdout) ? 70 : 0;
}
