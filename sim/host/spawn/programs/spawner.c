/*
 * A parent that starts children, and counts what that costs it and them.
 *
 *     spawner METHOD PAGES SPAWNS PROGRAM [ARGUMENT ...]
 *
 * It writes PAGES pages of anonymous memory, then SPAWNS times starts PROGRAM by METHOD (`f`
 * fork and exec, `v` vfork and exec, `p` as posix_spawn does), waits for it, and writes its pages
 * again.  On standard error, for each spawn, a `struct record`.
 */
#include "freestanding.h"

#include <linux/sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/resource.h>
#include <time.h>

struct record {
    int64_t status;                /* as wait4 gives it                                     */
    int64_t child_minflt, child_majflt;
    int64_t parent_minflt;         /* of the parent: from before the spawn to after the wait */
    int64_t rewrite_minflt;        /* of the parent: while it writes all its pages again     */
    int64_t spawn_ns;              /* until the parent goes on                              */
    int64_t fixed;                 /* addresses are not randomised                          */
};

struct job {
    char *program, **arguments, **environment;
};

static inline long minflt(void)
{
    struct rusage usage;
    CALL(getrusage, RUSAGE_SELF, &usage, 0, 0);
    return usage.ru_minflt;
}

static inline int64_t now_ns(void)
{
    struct timespec now;
    CALL(clock_gettime, CLOCK_MONOTONIC, &now, 0, 0);
    return now.tv_sec * 1000000000L + now.tv_nsec;
}

static inline void write_all(volatile char *memory, long pages)
{
    for (long page = 0; page < pages; page++)
        memory[page * PAGE] = 1;
}

static void become(struct job *job)
{
    CALL(execve, job->program, job->arguments, job->environment, 0);
    leave(127);
}

/* glibc's posix_spawn (2.34 and later): a child that borrows the memory, on a stack of its own. */
static long spawn(struct job *job)
{
    long bytes = 32 * 1024 + PAGE;
    long stack = call(SYS_mmap, 0, bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    struct clone_args how = {.flags = CLONE_VM | CLONE_VFORK, .exit_signal = SIGCHLD,
                             .stack = (uint64_t)stack, .stack_size = (uint64_t)bytes};
    long pid = SYS_clone3;
    __asm__ volatile("    syscall\n"
                     "    test %%rax, %%rax\n"
                     "    jnz 1f\n"
                     "    xor %%ebp, %%ebp\n"
                     "    mov %[job], %%rdi\n"
                     "    call *%[become]\n"
                     "1:\n"
                     : "+a"(pid)
                     : "D"(&how), "S"(sizeof how), [job] "r"(job), [become] "r"(become)
                     : "rcx", "r11", "memory");
    CALL(munmap, stack, bytes, 0, 0);
    return pid;
}

static inline long start(char method, struct job *job)
{
    long pid;
    if (method == 'p')
        return spawn(job);
    pid = method == 'v' ? CALL(vfork, 0, 0, 0, 0) : CALL(fork, 0, 0, 0, 0);
    if (pid == 0)
        become(job);
    return pid;
}

static long number(const char *text)
{
    long value = 0;
    while (*text >= '0' && *text <= '9')
        value = value * 10 + *text++ - '0';
    return value;
}

void run(char **stack)
{
    long count = (long)stack[0];
    char **arguments = stack + 1, **environment = arguments + count + 1;
    if (count < 5)
        leave(2);
    long persona = CALL(personality, 0xffffffff, 0, 0, 0);
    if (!(persona & ADDR_NO_RANDOMIZE)
        && CALL(personality, persona | ADDR_NO_RANDOMIZE, 0, 0, 0) >= 0) {
        char self[] = "/proc/self/exe";
        CALL(execve, self, arguments, environment, 0);
        leave(70);
    }
    long pages = number(arguments[2]), spawns = number(arguments[3]);
    struct job job = {arguments[4], arguments + 4, environment};
    char *memory = NULL;
    if (pages) {
        memory = (char *)call(SYS_mmap, 0, pages * PAGE, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if ((long)memory < 0 && (long)memory > -PAGE)
            leave(71);
        CALL(madvise, memory, pages * PAGE, MADV_NOHUGEPAGE, 0);
        write_all(memory, pages);
    }
    for (long i = 0; i < spawns; i++) {
        struct record record = {.fixed = (persona & ADDR_NO_RANDOMIZE) != 0};
        struct rusage usage;
        int status = 0;
        long before = minflt();
        int64_t started = now_ns();
        long pid = start(arguments[1][0], &job);
        record.spawn_ns = now_ns() - started;
        if (pid < 0 || CALL(wait4, pid, &status, 0, &usage) != pid)
            leave(72);
        long after = minflt();
        write_all(memory, pages);
        record.rewrite_minflt = minflt() - after;
        record.parent_minflt = after - before;
        record.status = status;
        record.child_minflt = usage.ru_minflt;
        record.child_majflt = usage.ru_majflt;
        if (CALL(write, 2, &record, sizeof record, 0) != sizeof record)
            leave(73);
    }
    leave(0);
}
