/*
 * Carries out a conformance script on the running kernel.
 *
 *     driver CPU DIRECTORY FORBID_HUGE TABLES < program
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
 *     tables SLOT VMPTE                         (kB; one per process, if TABLES is not 0)
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
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/personality.h>
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
#define SLOTS_BYTES (sizeof(struct slot) * MAX_PROCESSES)
#define FAIL_AFTER_S 20            /* a process that does not answer by then is reported lost  */

enum verb {
    V_MAP, V_SHMAP, V_MAPFILE, V_MAPSHFILE, V_STACK, V_BRK, V_RESIZE, V_MOVE, V_WRITE, V_READ,
    V_FILEREAD, V_FILEWRITE, V_FSYNC, V_UNMAP, V_PROTECT, V_LOCK, V_UNLOCK, V_SYNC, V_DONTNEED, V_FREE, V_POPULATEREAD,
    V_POPULATEWRITE, V_HUGEPAGE, V_NOHUGEPAGE, V_DONTFORK, V_DOFORK, V_WIPEONFORK, V_KEEPONFORK,
    V_FORK, V_VFORK, V_EXEC, V_EXIT, V_REAP, V_COUNT
};

static const struct { const char *name; int advice; } verbs[V_COUNT] = {
    [V_MAP] = {"map", 0}, [V_SHMAP] = {"shmap", 0}, [V_MAPFILE] = {"mapfile", 0},
    [V_MAPSHFILE] = {"mapshfile", 0}, [V_STACK] = {"stack", 0}, [V_BRK] = {"brk", 0},
    [V_RESIZE] = {"resize", 0}, [V_MOVE] = {"move", 0}, [V_WRITE] = {"write", 0},
    [V_READ] = {"read", 0}, [V_FILEREAD] = {"fileread", 0}, [V_FILEWRITE] = {"filewrite", 0},
    [V_FSYNC] = {"fsync", 0}, [V_UNMAP] = {"unmap", 0}, [V_PROTECT] = {"protect", 0},
    [V_LOCK] = {"lock", 0}, [V_UNLOCK] = {"unlock", 0}, [V_SYNC] = {"sync", 0},
    [V_DONTNEED] = {"dontneed", MADV_DONTNEED}, [V_FREE] = {"free", MADV_FREE},
    [V_POPULATEREAD] = {"populateread", MADV_POPULATE_READ},
    [V_POPULATEWRITE] = {"populatewrite", MADV_POPULATE_WRITE},
    [V_HUGEPAGE] = {"hugepage", MADV_HUGEPAGE}, [V_NOHUGEPAGE] = {"nohugepage", MADV_NOHUGEPAGE},
    [V_DONTFORK] = {"dontfork", MADV_DONTFORK}, [V_DOFORK] = {"dofork", MADV_DOFORK},
    [V_WIPEONFORK] = {"wipeonfork", MADV_WIPEONFORK},
    [V_KEEPONFORK] = {"keeponfork", MADV_KEEPONFORK}, [V_FORK] = {"fork", 0},
    [V_VFORK] = {"vfork", 0}, [V_EXEC] = {"exec", 0}, [V_EXIT] = {"exit", 0},
    [V_REAP] = {"reap", 0},
};

struct command {
    int verb, region, protection, map_flags, child;
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
    long room;                     /* bytes from `start` to the boundary it may grow to */
    int dontfork;
    int fd;                        /* of a mapped file, which stays open; else -1 */
};

/* One a process, in the shared mapping. */
struct slot {
    _Atomic uint32_t asked, answered, alive;
    struct command command;
    struct answer answer;
    struct region regions[REGIONS];
    pid_t pid;                     /* 0: never lived, or has been reaped */
    int parent;
    int lender;                    /* the slot whose memory a vforked process uses; else -1 */
};

static struct slot *slots;
static const char *directory;      /* where mapped files are made: a disk file system */
static int print_tables;           /* wanted: page tables of every process             */
static int forbid_huge;            /* THP is `always`: every region must refuse it     */
static pid_t controller;
static int slots_fd;               /* the shared mapping, for an image that exec brings in */
static char **arguments;

static long room_for(long pages)
{
    return (pages * PAGE + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

/* Leave, and let no process of the script live on. */
static void leave(int status) __attribute__((noreturn));
static void leave(int status)
{
    for (int i = 0; slots && getpid() == controller && i < MAX_PROCESSES; i++)
        if (slots[i].pid)
            kill(slots[i].pid, SIGKILL);
    exit(status);
}

static void die(const char *what)
{
    fprintf(stderr, "driver: %s: %s\n", what, strerror(errno));
    leave(70);
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
static char vfork_stacks[2][16 * PAGE] __attribute__((aligned(PAGE)));
static char *heap_start;

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

/* The heap of the script begins at a 2 MiB boundary, clear of the heap that is there already. */
static void prepare_heap(void)
{
    char *old = (char *)(((uintptr_t)sbrk(0) + PAGE - 1) / PAGE * PAGE);
    heap_start = (char *)((uintptr_t)old / ALIGNMENT * ALIGNMENT + ALIGNMENT + SEPARATION);
    if (brk(heap_start) < 0 || munmap(old, heap_start - old) < 0)
        die("brk");
}

static void prepare_process(void)
{
    stack_t alternate = {.ss_sp = signal_stack, .ss_size = sizeof signal_stack};
    struct sigaction action = {.sa_handler = on_segv, .sa_flags = SA_ONSTACK};
    if (sigaltstack(&alternate, NULL) < 0 || sigaction(SIGSEGV, &action, NULL) < 0
        || sigaction(SIGBUS, &action, NULL) < 0)
        die("sigaction");
    prepare_heap();
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

static char buffer[PAGE];

/* A new file of `pages` pages, written page by page, fsynced and read: clean in the page cache. */
static int new_file(long pages)
{
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
    int flags = command->map_flags | MAP_FIXED_NOREPLACE | (shared ? MAP_SHARED : MAP_PRIVATE);
    char *address = command->address;
    if (is_file) {
        fd = new_file(command->end);
        if (fd < 0)
            return errno;
    } else
        flags |= MAP_ANONYMOUS;
    if (command->verb == V_STACK) {        /* its last page now, the others when touched */
        flags |= MAP_GROWSDOWN;
        address += bytes - PAGE;
        bytes = PAGE;
    }
    char *at = mmap(address, bytes, PROT_READ | PROT_WRITE, flags, fd, 0);
    if (at == MAP_FAILED)
        return errno;
    if (forbid_huge && madvise(at, bytes, MADV_NOHUGEPAGE) < 0)
        return errno;
    *region = (struct region){command->address, command->end, room_for(command->end), 0, fd};
    return 0;
}

static int set_break(const struct command *command)
{
    struct region *region = &self->regions[command->region];
    if (brk(heap_start + command->end * PAGE) < 0)
        return errno;
    if (forbid_huge && madvise(heap_start, command->end * PAGE, MADV_NOHUGEPAGE) < 0)
        return errno;
    region->start = heap_start;
    region->pages = command->end;
    return 0;
}

static int remap(const struct command *command, struct region *region)
{
    int moving = command->verb == V_MOVE;
    long bytes = region->pages * PAGE;
    char *at = mremap(region->start, bytes, moving ? bytes : command->end * PAGE,
                      moving ? MREMAP_MAYMOVE | MREMAP_FIXED : 0, command->address);
    if (at == MAP_FAILED)
        return errno;
    region->start = at;
    if (!moving)
        region->pages = command->end;
    return 0;
}

static int on_range(const struct command *command, char *start, long bytes)
{
    struct region *region = &self->regions[command->region];
    int failed = 0;
    switch (command->verb) {
    case V_FILEREAD: case V_FILEWRITE:
        for (char *page = start; page < start + bytes && !failed; page += PAGE) {
            long at = page - region->start;
            failed = command->verb == V_FILEREAD ? pread(region->fd, buffer, PAGE, at) != PAGE
                                                 : pwrite(region->fd, buffer, PAGE, at) != PAGE;
        }
        break;
    case V_FSYNC:
        failed = fsync(region->fd);
        break;
    case V_UNMAP:
        failed = munmap(start, bytes);
        if (!failed && bytes == region->pages * PAGE)
            region->start = NULL;
        break;
    case V_PROTECT:
        failed = mprotect(start, bytes, command->protection);
        break;
    case V_LOCK:
        failed = mlock(start, bytes);
        break;
    case V_UNLOCK:
        failed = munlock(start, bytes);
        break;
    case V_SYNC:
        failed = msync(start, bytes, MS_SYNC);
        break;
    default:
        failed = madvise(start, bytes, verbs[command->verb].advice);
        if (command->verb == V_DONTFORK || command->verb == V_DOFORK)
            region->dontfork = command->verb == V_DONTFORK;
    }
    return failed ? errno : 0;
}

static void serve(int slot) __attribute__((noreturn));

static int run_vforked(void *theirs)
{
    ((struct slot *)theirs)->pid = getpid();
    set(&((struct slot *)theirs)->alive, 1);
    serve((int)((struct slot *)theirs - slots));
}

/* A stack for a vforked child: not the one that we run on, if we descend from such a child. */
static char *other_stack(void)
{
    char here;
    int on_first = &here >= vfork_stacks[0] && &here < vfork_stacks[1];
    return vfork_stacks[on_first] + sizeof vfork_stacks[on_first];
}

static int make_child(int child, int borrowing)
{
    struct slot *ours = self, *theirs = &slots[child];
    memcpy(theirs->regions, ours->regions, sizeof theirs->regions);
    for (int i = 0; i < REGIONS && !borrowing; i++)
        if (theirs->regions[i].dontfork)
            theirs->regions[i].start = NULL;
    theirs->parent = (int)(ours - slots);
    theirs->lender = borrowing ? theirs->parent : -1;
    pid_t pid;
    if (borrowing)
        pid = clone(run_vforked, other_stack(), CLONE_VM | CLONE_VFORK | CLONE_FILES | SIGCHLD, theirs);
    else
        pid = fork();
    if (pid == 0)
        serve(child);
    self = ours;                       /* a vforked child has used our variables */
    if (pid < 0)
        return errno;
    theirs->pid = pid;
    return 0;
}

/* Become a new image of this program; it answers, and has no region. */
static int replace_image(void)
{
    char slot[16], fd[16], parent[16];
    snprintf(slot, sizeof slot, "%d", (int)(self - slots));
    snprintf(fd, sizeof fd, "%d", slots_fd);
    snprintf(parent, sizeof parent, "%d", controller);
    char *argv[] = {arguments[0], arguments[1], arguments[2], arguments[3], arguments[4],
                    slot, fd, parent, NULL};
    execv("/proc/self/exe", argv);
    return errno;
}

static int perform(const struct command *command)
{
    switch (command->verb) {
    case V_MAP: case V_SHMAP: case V_MAPFILE: case V_MAPSHFILE: case V_STACK:
        return map_region(command);
    case V_BRK:
        return set_break(command);
    case V_RESIZE: case V_MOVE:
        return remap(command, &self->regions[command->region]);
    case V_FORK: case V_VFORK:
        return make_child(command->child, command->verb == V_VFORK);
    case V_EXEC:
        return replace_image();
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
    for (uint32_t number = atomic_load(&self->answered) + 1;; number++) {
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
            if (command->verb != V_VFORK)
                record(answer);
            answer->error = error;
        }
        if (self->lender >= 0)
            memcpy(slots[self->lender].regions, self->regions, sizeof self->regions);
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
        fprintf(stderr, "driver: process %d does not answer `%s`\n", slot,
                verbs[them->command.verb].name);
        leave(70);
    }
}

/* Whether a process waits for a vforked child to give its memory back. */
static int suspended(int slot)
{
    for (int i = 0; i < MAX_PROCESSES; i++)
        if (slots[i].pid && slots[i].lender == slot)
            return 1;
    return 0;
}

/*
 * Collect an ended process: its parent does, if it lives; else it is ours, the subreaper's. A
 * parent that is suspended does it never: then the end of the process is all we wait for.
 */
static void reap(int slot)
{
    struct slot *them = &slots[slot];
    if (them->parent < 0 || !slots[them->parent].pid) {
        if (waitpid(them->pid, NULL, 0) < 0)
            die("waitpid");
    } else if (suspended(them->parent)) {
        struct pollfd end = {.fd = (int)syscall(SYS_pidfd_open, them->pid, 0), .events = POLLIN};
        if (end.fd < 0 || poll(&end, 1, FAIL_AFTER_S * 1000) != 1)
            die("pidfd_open");
        close(end.fd);
    } else {
        struct command command = {.verb = V_REAP, .child = slot};
        ask(them->parent, &command);
        await(them->parent);
    }
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

/* Page tables of all levels, as the kernel charges them to the process. */
static void print_table_size(int slot)
{
    char name[64], line[256];
    snprintf(name, sizeof name, "/proc/%d/status", slots[slot].pid);
    FILE *status = fopen(name, "re");
    if (!status)
        die(name);
    while (fgets(line, sizeof line, status)) {
        long kb = after(line, "VmPTE:");
        if (kb >= 0)
            printf("tables %d %ld\n", slot, kb);
    }
    fclose(status);
}

static int verb_number(const char *name)
{
    for (int i = 0; i < V_COUNT; i++)
        if (!strcmp(name, verbs[i].name))
            return i;
    errno = EINVAL;
    die(name);
    return -1;
}

static int map_flags_of(const char *mode)
{
    if (!strcmp(mode, "populate"))
        return MAP_POPULATE;
    return strcmp(mode, "noreserve") ? 0 : MAP_NORESERVE;
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
    command->map_flags = map_flags_of(mode);
    command->address = cursor;
    if (command->verb <= V_STACK)
        cursor += room_for(command->end) + SEPARATION;
    else if (command->verb == V_MOVE)
        cursor += slots[*slot].regions[command->region].room + SEPARATION;
    return 1;
}

static void begin(void)
{
    controller = getpid();
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    slots_fd = memfd_create("cowpool", 0);
    if (slots_fd < 0 || ftruncate(slots_fd, SLOTS_BYTES) < 0)
        die("memfd_create");
    slots = mmap(NULL, SLOTS_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, slots_fd, 0);
    if (slots == MAP_FAILED)
        die("mmap");
    for (int i = 0; i < MAX_PROCESSES; i++)
        slots[i].parent = slots[i].lender = -1;
    pid_t pid = fork();
    if (pid < 0)
        die("fork");
    if (pid == 0) {
        prepare_process();
        serve(0);
    }
    slots[0].pid = pid;
}

/* What exec brought in: the same process goes on with a new image. */
static void resume(int slot, int fd, pid_t parent)
{
    slots_fd = fd;
    controller = parent;
    slots = mmap(NULL, SLOTS_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (slots == MAP_FAILED)
        die("mmap");
    prepare_process();
    memset(slots[slot].regions, 0, sizeof slots[slot].regions);
    memset(&slots[slot].answer, 0, sizeof slots[slot].answer);
    slots[slot].lender = -1;
    set(&slots[slot].answered, atomic_load(&slots[slot].asked));
    serve(slot);
}

/* Have one operation carried out, and collect whoever ended. */
static void carry_out(int slot, const struct command *command)
{
    struct slot *them = &slots[slot];
    int lender = them->lender;
    ask(slot, command);
    if (command->verb == V_VFORK) {    /* it answers when it gets its memory back */
        memset(&them->answer, 0, sizeof them->answer);
        if (wait_for(&slots[command->child].alive, 1) < 0)
            die("vfork");
        return;
    }
    if (command->verb == V_EXIT)
        memset(&them->answer, 0, sizeof them->answer);
    else
        await(slot);
    int ended = command->verb == V_EXIT || them->answer.segv;
    if (lender >= 0 && (ended || command->verb == V_EXEC)) {
        await(lender);
        them->lender = -1;
    }
    if (ended)
        reap(slot);
}

/* Start again without address randomisation, where we may: equal scripts get equal addresses. */
static void fix_addresses(char **argv)
{
    int persona = personality(0xffffffff);
    if (persona == -1 || (persona & ADDR_NO_RANDOMIZE))
        return;
    if (personality((unsigned long)persona | ADDR_NO_RANDOMIZE) != -1)
        execv("/proc/self/exe", argv);
}

int main(int argc, char **argv)
{
    cpu_set_t cpus;
    if (argc != 5 && argc != 8) {
        fprintf(stderr, "usage: driver CPU DIRECTORY FORBID_HUGE TABLES < program\n");
        return 2;
    }
    fix_addresses(argv);
    arguments = argv;
    directory = argv[2];
    forbid_huge = atoi(argv[3]);
    print_tables = atoi(argv[4]);
    if (argc == 8)
        resume(atoi(argv[5]), atoi(argv[6]), atoi(argv[7]));
    CPU_ZERO(&cpus);
    CPU_SET(atoi(argv[1]), &cpus);
    if (sched_setaffinity(0, sizeof cpus, &cpus) < 0)
        die("sched_setaffinity");
    begin();
    int slot;
    struct command command = {0};
    while (next_operation(&slot, &command)) {
        carry_out(slot, &command);
        struct answer *answer = &slots[slot].answer;
        printf("op %s %d %ld %ld %ld\n", answer->segv ? "segv" : "ok", answer->error,
               answer->minflt, answer->majflt, answer->ns);
        for (int i = 0; i < MAX_PROCESSES; i++)
            if (slots[i].pid) {
                print_figures(i);
                if (print_tables)
                    print_table_size(i);
            }
    }
    leave(fflush(stdout) ? 70 : 0);
}
