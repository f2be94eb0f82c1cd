/*
 * Carries out a conformance script on the running kernel.
 *
 *     driver CPU DIRECTORY FORBID_HUGE TABLES GROUP < program
 *
 * A controller (this process) reads one operation a line,
 *
 *     SLOT VERB REGION FIRST END MODE CHILD BESIDE
 *
 * with processes as slot numbers in order of birth, and has it carried out by the process it
 * names, each a real one that was really forked as the script says.  After each operation it
 * prints
 *
 *     op ENDING ERRNO MINFLT MAJFLT NS TOUCHED
 *     figures SLOT REGION RSS ANON PDIRTY SDIRTY SWAP THP HUGETLB PSS LOCKED JOINED SPLIT (kB)
 *     tables SLOT VMPTE                         (kB; one per process, if TABLES is not 0)
 *     killed SLOT                               (one per process that was killed for want of memory)
 *     usage PAGES KERNEL                        (charged to the group, and of that kernel memory)
 *
 * where BESIDE is the region that a new one lies right behind, or, in lower case, right below;
 * the last two where GROUP is not `-`: a folder of the memory controller (version 1), which the first
 * process joins before the first operation.  `SLOT adjust - 0 VALUE - -1 -` sets its oom_score_adj, and
 * prints nothing.  ENDING is `ok`, `segv`, `bus`, `killed`, or `gone`: the process had ended before; JOINED names the regions whose areas the kernel has made one, or is `-`:
 * their figures are those of all together, and RSS, ANON, THP the region's own if SPLIT is 1.
 * process.c is what each process does, figures.c what is printed of it, shared.c what all of them
 * use.
 */
#define _GNU_SOURCE
#include "driver.h"
#include "quiet.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *const verbs[V_COUNT] = {
    [V_MAPHUGETLB] = "maphugetlb", [V_MAPSHHUGETLB] = "mapshhugetlb",
    [V_MAP] = "map", [V_SHMAP] = "shmap", [V_MAPFILE] = "mapfile", [V_MAPSHFILE] = "mapshfile",
    [V_STACK] = "stack", [V_BRK] = "brk", [V_RESIZE] = "resize", [V_MOVE] = "move",
    [V_WRITE] = "write", [V_READ] = "read", [V_FILEREAD] = "fileread",
    [V_FILEWRITE] = "filewrite", [V_FSYNC] = "fsync", [V_DROP] = "drop",
    [V_WILLNEED] = "willneed", [V_RANDOM] = "random", [V_SEQUENTIAL] = "sequential",
    [V_NORMAL] = "normal", [V_UNMAP] = "unmap",
    [V_PROTECT] = "protect", [V_LOCK] = "lock", [V_UNLOCK] = "unlock", [V_SYNC] = "sync",
    [V_DONTNEED] = "dontneed", [V_FREE] = "free", [V_COLLAPSE] = "collapse", [V_POPULATEREAD] = "populateread",
    [V_POPULATEWRITE] = "populatewrite", [V_HUGEPAGE] = "hugepage",
    [V_NOHUGEPAGE] = "nohugepage", [V_DONTFORK] = "dontfork", [V_DOFORK] = "dofork",
    [V_WIPEONFORK] = "wipeonfork", [V_KEEPONFORK] = "keeponfork", [V_FORK] = "fork",
    [V_VFORK] = "vfork", [V_EXEC] = "exec", [V_EXIT] = "exit", [V_REAP] = "reap",
    [V_ADJUST] = "adjust",
};

static int print_tables;           /* wanted: page tables of every process */

static void ask(int slot, const struct command *command)
{
    struct slot *them = &slots[slot];
    them->command = *command;
    set(&them->asked, atomic_load(&them->asked) + 1);
}

/* Wait for the answer of a process; 1 if it was killed in place of that. */
static int await(int slot)
{
    struct slot *them = &slots[slot];
    uint32_t number = atomic_load(&them->asked);
    int failed = group ? await_or_end(&them->answered, number, them->pid)
                       : wait_for(&them->answered, number);
    if (failed < 0) {
        fprintf(stderr, "driver: process %d does not answer `%s`\n", slot,
                verbs[them->command.verb]);
        leave(70);
    }
    return failed;
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

static int verb_number(const char *name)
{
    for (int i = 0; i < V_COUNT; i++)
        if (!strcmp(name, verbs[i]))
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
    char line[256], verb[32], region[8], mode[16], behind[8];
    if (!fgets(line, sizeof line, stdin))
        return 0;
    if (sscanf(line, "%d %31s %7s %ld %ld %15s %d %7s", slot, verb, region, &command->first,
               &command->end, mode, &command->child, behind) != 8) {
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
    if (behind[0] >= 'a' && behind[0] <= 'z') {
        struct region *above = &slots[*slot].regions[behind[0] - 'a'];
        command->address = above->start - command->end * PAGE;
    } else if (behind[0] != '-') {
        struct region *before = &slots[*slot].regions[behind[0] - 'A'];
        command->address = before->start + before->pages * PAGE;
    } else if (command->verb <= V_STACK)
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
    image_fd = open("/proc/self/exe", O_RDONLY);
    if (image_fd < 0)
        die("/proc/self/exe");
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
    if (wait_for(&slots[0].alive, 1) < 0)
        die("fork");
    if (group)
        join_group(pid);
}

/* Have one operation carried out, and collect whoever ended; say how it did. */
static const char *carry_out(int slot, const struct command *command)
{
    struct slot *them = &slots[slot];
    int lender = them->lender, killed = 0;
    ask(slot, command);
    if (command->verb == V_VFORK) {    /* it answers when it gets its memory back */
        memset(&them->answer, 0, sizeof them->answer);
        struct slot *child = &slots[command->child];
        if (group ? await_or_end(&child->alive, 1, them->pid) : wait_for(&child->alive, 1))
            die("vfork");
        return "ok";
    }
    if (command->verb != V_EXIT)
        killed = await(slot);
    if (command->verb == V_EXIT)
        memset(&them->answer, 0, sizeof them->answer);
    if (group && command->verb == V_FORK && !killed && slots[command->child].pid)
        await_or_end(&slots[command->child].alive, 1, slots[command->child].pid);
    int ended = command->verb == V_EXIT || them->answer.segv || killed;
    if (lender >= 0 && (ended || command->verb == V_EXEC)) {
        await(lender);
        them->lender = -1;
    }
    if (ended)
        reap(slot);
    if (killed)
        return "killed";
    return them->answer.segv == SIGBUS ? "bus" : them->answer.segv ? "segv" : "ok";
}

/* Tell who was killed while `slot` did something, and collect them. */
static void print_killed(int slot, int itself)
{
    int killed[MAX_PROCESSES];
    if (itself)
        printf("killed %d\n", slot);
    for (int i = 0, found = find_killed(killed, itself); i < found; i++) {
        printf("killed %d\n", killed[i]);
        reap(killed[i]);
    }
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
    if (argc != 6 && argc != 10) {
        fprintf(stderr, "usage: driver CPU DIRECTORY FORBID_HUGE TABLES GROUP < program\n");
        return 2;
    }
    fix_addresses(argv);
    arguments = argv;
    directory = argv[2];
    forbid_huge = atoi(argv[3]);
    print_tables = atoi(argv[4]);
    if (argc == 10) {
        image_fd = atoi(argv[9]);
        resume(atoi(argv[6]), atoi(argv[7]), atoi(argv[8]));
    }
    if (strcmp(argv[5], "-"))
        group = argv[5];
    CPU_ZERO(&cpus);
    CPU_SET(atoi(argv[1]), &cpus);
    if (sched_setaffinity(0, sizeof cpus, &cpus) < 0)
        die("sched_setaffinity");
    if (group)
        take_cpu();
    begin();
    int slot;
    struct command command = {0};
    while (next_operation(&slot, &command)) {
        struct answer *answer = &slots[slot].answer;
        if (command.verb == V_ADJUST) {
            if (slots[slot].pid)
                adjust_score(slots[slot].pid, command.end);
            continue;
        }
        int alive = slots[slot].pid != 0;
        if (!alive)
            memset(answer, 0, sizeof *answer);
        const char *ending = alive ? carry_out(slot, &command) : "gone";
        printf("op %s %d %ld %ld %ld %ld\n", ending, answer->error, answer->minflt, answer->majflt,
               answer->ns, answer->touched);
        if (group) {
            print_killed(slot, !strcmp(ending, "killed"));
            print_usage();
        }
        for (int i = 0; i < MAX_PROCESSES; i++)
            if (slots[i].pid) {
                print_figures(i);
                if (print_tables)
                    print_table_size(i);
            }
    }
    leave(fflush(stdout) ? 70 : 0);
}
