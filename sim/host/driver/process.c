/*
 * A process of a script: does what it is asked, and counts its own faults while it does.
 *
 * All memory that it uses for itself is touched before the counters are read, by running the
 * measured code once on a page of its own, and the TLB is empty: what is counted is the region's
 * faults and nothing else.  It talks through a shared mapping and futexes, never inside a measurement, and does not
 * allocate.
 */
#define _GNU_SOURCE
#include "driver.h"
#include "accesses.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25           /* older headers do not know it */
#endif

static const int advices[V_COUNT] = {
    [V_DONTNEED] = MADV_DONTNEED, [V_FREE] = MADV_FREE,
    [V_COLLAPSE] = MADV_COLLAPSE,
    [V_POPULATEREAD] = MADV_POPULATE_READ, [V_POPULATEWRITE] = MADV_POPULATE_WRITE,
    [V_HUGEPAGE] = MADV_HUGEPAGE, [V_NOHUGEPAGE] = MADV_NOHUGEPAGE,
    [V_DONTFORK] = MADV_DONTFORK, [V_DOFORK] = MADV_DOFORK,
    [V_RANDOM] = MADV_RANDOM, [V_SEQUENTIAL] = MADV_SEQUENTIAL, [V_NORMAL] = MADV_NORMAL,
    [V_WIPEONFORK] = MADV_WIPEONFORK, [V_KEEPONFORK] = MADV_KEEPONFORK,
};

static struct slot *self;
static struct rusage usage_before, usage_after;
static struct timespec time_before, time_after;
static char own_page[2 * PAGE] __attribute__((aligned(PAGE)));
static char signal_stack[16 * PAGE] __attribute__((aligned(PAGE)));
static char vfork_stacks[2][16 * PAGE] __attribute__((aligned(PAGE)));
static char *heap_start;
static char *window;

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
    self->answer.segv = number;
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

void prepare_process(void)
{
    stack_t alternate = {.ss_sp = signal_stack, .ss_size = sizeof signal_stack};
    struct sigaction action = {.sa_handler = on_segv, .sa_flags = SA_ONSTACK};
    if (sigaltstack(&alternate, NULL) < 0 || sigaction(SIGSEGV, &action, NULL) < 0
        || sigaction(SIGBUS, &action, NULL) < 0)
        die("sigaction");
    window = new_window();
    if (!window)
        die("mmap");
    prepare_heap();
}

/* One-byte accesses, one a page, one after the other; nothing else between the counters. */
static void touch(struct answer *answer, volatile char *start, long pages, int writing)
{
    getrusage(RUSAGE_SELF, &usage_before);
    clock_gettime(CLOCK_MONOTONIC, &time_before);
    for (long page = 0; page < pages; page++) {
        touch_byte(start + page * PAGE, writing);
        answer->touched = page + 1;
    }
    clock_gettime(CLOCK_MONOTONIC, &time_after);
    getrusage(RUSAGE_SELF, &usage_after);
    record(answer);
}

/* Touch all that a measurement itself uses: code, stacks, counters, the shared mapping; flush. */
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
    if (forget_translations(window) < 0)
        die("mprotect");
}

/* A new file of `pages` pages, written page by page, fsynced and read: clean in the page cache. */
static int new_file(long pages)
{
    char name[512];
    snprintf(name, sizeof name, "%s/cowpool-XXXXXX", directory);
    int fd = mkostemp(name, O_CLOEXEC);
    if (fd < 0)
        return -1;
    unlink(name);
    memset(own_page, 1, PAGE);
    for (long page = 0; page < pages; page++)
        if (pwrite(fd, own_page, PAGE, page * PAGE) != PAGE)
            return -1;
    if (fsync(fd) < 0)
        return -1;
    for (long page = 0; page < pages; page++)
        if (pread(fd, own_page, PAGE, page * PAGE) != PAGE)
            return -1;
    return fd;
}

static int map_region(const struct command *command)
{
    struct region *region = &self->regions[command->region];
    long bytes = command->end * PAGE;
    int hugetlb = command->verb == V_MAPHUGETLB || command->verb == V_MAPSHHUGETLB;
    int shared = command->verb == V_SHMAP || command->verb == V_MAPSHFILE
                 || command->verb == V_MAPSHHUGETLB;
    int is_file = command->verb == V_MAPFILE || command->verb == V_MAPSHFILE;
    int fd = -1;
    int flags = command->map_flags | MAP_FIXED_NOREPLACE | (shared ? MAP_SHARED : MAP_PRIVATE);
    char *address = command->address;
    if (is_file) {
        fd = new_file(command->end);
        if (fd < 0)
            return errno;
    } else
        flags |= MAP_ANONYMOUS | (hugetlb ? MAP_HUGETLB : 0);
    if (command->verb == V_STACK) {        /* its last page now, the others when touched */
        flags |= MAP_GROWSDOWN;
        address += bytes - PAGE;
        bytes = PAGE;
    }
    char *at = mmap(address, bytes, PROT_READ | PROT_WRITE, flags, fd, 0);
    if (at == MAP_FAILED)
        return errno;
    if (forbid_huge && !hugetlb && madvise(at, bytes, MADV_NOHUGEPAGE) < 0)
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
            failed = command->verb == V_FILEREAD ? pread(region->fd, own_page, PAGE, at) != PAGE
                                                 : pwrite(region->fd, own_page, PAGE, at) != PAGE;
        }
        break;
    case V_FSYNC:
        failed = fsync(region->fd);
        break;
    case V_DROP:
        failed = fsync(region->fd);
        if (!failed)
            failed = posix_fadvise(region->fd, 0, 0, POSIX_FADV_DONTNEED);
        break;
    case V_WILLNEED:
        for (char *page = start; page < start + bytes && !failed; page += PAGE)
            failed = posix_fadvise(region->fd, page - region->start, PAGE, POSIX_FADV_WILLNEED);
        for (char *page = start; page < start + bytes && !failed; page += PAGE)
            failed = pread(region->fd, own_page, PAGE, page - region->start) != PAGE;
        break;
    case V_RANDOM: case V_SEQUENTIAL: case V_NORMAL:
        posix_fadvise(region->fd, 0, 0,
                      command->verb == V_RANDOM ? POSIX_FADV_RANDOM : POSIX_FADV_NORMAL);
        failed = madvise(start, bytes, advices[command->verb]);
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
        failed = madvise(start, bytes, advices[command->verb]);
        if (command->verb == V_DONTFORK || command->verb == V_DOFORK)
            region->dontfork = command->verb == V_DONTFORK;
    }
    return failed ? errno : 0;
}

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
        pid = clone(run_vforked, other_stack(),
                    CLONE_VM | CLONE_VFORK | CLONE_FILES | SIGCHLD, theirs);
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
    char slot[16], fd[16], parent[16], image[16];
    snprintf(slot, sizeof slot, "%d", (int)(self - slots));
    snprintf(fd, sizeof fd, "%d", slots_fd);
    snprintf(parent, sizeof parent, "%d", controller);
    snprintf(image, sizeof image, "%d", image_fd);
    char *argv[] = {arguments[0], arguments[1], arguments[2], arguments[3], arguments[4],
                    arguments[5], slot, fd, parent, image, NULL};
    syscall(SYS_execveat, image_fd, "", argv, environ, AT_EMPTY_PATH);
    return errno;
}

static int perform(const struct command *command)
{
    switch (command->verb) {
    case V_MAP: case V_SHMAP: case V_MAPFILE: case V_MAPSHFILE: case V_STACK:
    case V_MAPHUGETLB: case V_MAPSHHUGETLB:
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

void serve(int slot)
{
    self = &slots[slot];
    if (!atomic_load(&self->alive)) {
        if (slot == 0)
            warm_up();                 /* before it joins a group: none of this is charged to it */
        set(&self->alive, 1);
    }
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

void resume(int slot, int fd, pid_t parent)
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
