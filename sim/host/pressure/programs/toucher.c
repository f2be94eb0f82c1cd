/*
 * Touches anonymous memory in a control group, by a few processes, one at a time.
 *
 *     toucher PROCS SHARED
 *
 * PROCS is the `cgroup.procs` of the group to join.  SHARED is what the processes talk through, and
 * whoever asks: `struct shared`, a page of stack for each process, and the steps, words of 64 bits:
 * an operation in the highest byte, a region and a process in the next two, a page below.
 *
 *     1 map      the region, of so many pages
 *     2 read     a byte of the page
 *     3 write    the same byte
 *     4 fork     the process of that number
 *     5 tell     `waiting` is set to 1; go on when it is 0 again
 *     6 share    the region, of so many pages, shared with children to come
 *     7 wait     so many milliseconds
 *
 * A process has nothing but the code below, what is shared, a window to flush the TLB with, and
 * regions: so the group is charged for regions, and what fork makes, alone.  It has no C library,
 * and its stack is in shared memory.  `toucher` itself stays outside and waits for the first of them
 * to end: 0 where all steps were done, 100 where it was killed.  Each thing that can fail has an
 * exit status of its own.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/futex.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../../quiet.h"

#ifndef MADV_COLD
#define MADV_COLD 20                   /* older headers do not know it */
#endif
#define PAGE 4096L
#define PROCESSES 16
#define ARENA 0x100000000000L
#define APART (1L << 30)
#define SHARED 0x40000000L             /* all of the program's own but its code is in one leaf table */
#define WINDOW_PAGES 64                /* more than `tlb_single_page_flush_ceiling`, 33 */
#define WINDOW (SHARED + (512 - WINDOW_PAGES) * PAGE)
#define WINDOW_END (SHARED + 512 * PAGE)
#define TASK_END 0x7ffffffff000L
#define LOOK_NS 200000
#define KILLED 100
#define MEMBER __attribute__((section("member")))
#define INLINE static inline __attribute__((always_inline))

struct shared {
    volatile int64_t waiting, at, n_steps, n_processes, procs;
    volatile int32_t turn, born;
    volatile int64_t pids[PROCESSES];
    struct timespec look, left;
    char myself[8];                    /* what is written to PROCS */
};

#define shared ((struct shared *)SHARED)
#define stack_top(number) (SHARED + (2 + (number)) * PAGE)
#define steps ((volatile const int64_t *)(SHARED + (1 + PROCESSES) * PAGE))

extern char __start_member[], __stop_member[];

INLINE long ask(long number, long a, long b, long c, long d)
{
    long answer;
    register long fourth __asm__("r10") = d;
    __asm__ volatile("syscall"
                     : "=a"(answer)
                     : "a"(number), "D"(a), "S"(b), "d"(c), "r"(fourth)
                     : "rcx", "r11", "memory");
    return answer;
}

INLINE void end(int status)
{
    for (;;)
        ask(SYS_exit_group, status, 0, 0, 0);
}

INLINE void set(volatile int32_t *word, int32_t value)
{
    __atomic_store_n(word, value, __ATOMIC_SEQ_CST);
    ask(SYS_futex, (long)word, FUTEX_WAKE, PROCESSES, 0);
}

INLINE void wait_until(volatile int32_t *word, int32_t value)
{
    int32_t seen;
    while ((seen = __atomic_load_n(word, __ATOMIC_SEQ_CST)) != value)
        ask(SYS_futex, (long)word, FUTEX_WAIT, seen, 0);
}

INLINE void tell(void)
{
    __atomic_store_n(&shared->waiting, 1, __ATOMIC_SEQ_CST);
    while (__atomic_load_n(&shared->waiting, __ATOMIC_SEQ_CST) != 0)
        ask(SYS_nanosleep, (long)&shared->look, 0, 0, 0);
}

INLINE void wait_ms(long ms)
{
    volatile struct timespec *left = &shared->left;
    left->tv_sec = ms / 1000;
    left->tv_nsec = ms % 1000 * 1000000;
    while (ask(SYS_nanosleep, (long)left, (long)left, 0, 0) != 0)
        ;
}

/*
 * Reclaim makes entries old without a word to the processor, which then does not mark those as used
 * that it still remembers.  So it has to forget them all: more pages than are flushed one by one
 * lose a permission.
 */
INLINE void forget_entries(void)
{
    if (ask(SYS_mprotect, WINDOW, WINDOW_END - WINDOW, PROT_READ, 0) != 0 ||
        ask(SYS_mprotect, WINDOW, WINDOW_END - WINDOW, PROT_READ | PROT_WRITE, 0) != 0)
        end(12);
}

INLINE void map(long where, long size, long how)
{
    register long flags __asm__("r10") = how | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE;
    register long file __asm__("r8") = -1;
    register long offset __asm__("r9") = 0;
    long answer;
    __asm__ volatile("syscall"
                     : "=a"(answer)
                     : "a"(SYS_mmap), "D"(where), "S"(size * PAGE), "d"(PROT_READ | PROT_WRITE),
                       "r"(flags), "r"(file), "r"(offset)
                     : "rcx", "r11", "memory");
    if (answer != where)
        end(8);
}

/* The child begins in `live`, on a stack of its own; all are children of who waits outside. */
INLINE void begin_child(long number)
{
    long answer;
    __asm__ volatile("syscall\n\t"
                     "test %%rax, %%rax\n\t"
                     "jnz 1f\n\t"
                     "mov %%rbx, %%rdi\n\t"
                     "call live\n"
                     "1:"
                     : "=a"(answer)
                     : "a"(SYS_clone), "D"(CLONE_PARENT | SIGCHLD), "S"(stack_top(number)), "d"(0),
                       "b"(number)
                     : "rcx", "r11", "memory");
    if (answer < 0)
        end(13);
    wait_until(&shared->born, number);
}

/* The first process gets rid of what it had before, and joins the group. */
INLINE void join(void)
{
    long code = (long)__start_member / PAGE * PAGE;
    long code_end = ((long)__stop_member + PAGE - 1) / PAGE * PAGE;
    if (ask(SYS_munmap, 0, code, 0, 0) != 0 ||
        ask(SYS_munmap, code_end, SHARED - code_end, 0, 0) != 0 ||
        ask(SYS_munmap, WINDOW_END, TASK_END - WINDOW_END, 0, 0) != 0)
        end(11);
    forget_entries();
    tell();
    /* What this CPU has collected for the lists goes there. */
    if (ask(SYS_madvise, WINDOW, WINDOW_END - WINDOW, MADV_COLD, 0) != 0)
        end(14);
    if (ask(SYS_write, shared->procs, (long)shared->myself, 1, 0) != 1)
        end(5);
}

__attribute__((used, noreturn)) MEMBER void live(long me)
{
    volatile unsigned char *window = (volatile unsigned char *)WINDOW;
    window[0] = 1;
    window[(WINDOW_PAGES - 1) * PAGE] = 1;
    shared->pids[me] = ask(SYS_getpid, 0, 0, 0, 0);
    shared->n_processes = me + 1;
    if (ask(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0) != 0)
        end(15);
    if (me == 0)
        join();
    else
        set(&shared->born, me);
    for (;;) {
        wait_until(&shared->turn, me);
        while (shared->at < shared->n_steps) {
            long step = steps[shared->at];
            long who = step >> 40 & 0xff, page = step & 0xffffffff;
            long region = ARENA + (step >> 48 & 0xff) * APART;
            volatile unsigned char *byte = (volatile unsigned char *)(region + page * PAGE);
            if (who != me) {
                set(&shared->turn, who);
                break;
            }
            long what = step >> 56;
            if (what == 1)
                map(region, page, MAP_PRIVATE);
            else if (what == 2) {
                forget_entries();
                (void)*byte;
            } else if (what == 3) {
                forget_entries();
                *byte = 1 + page % 255;
            } else if (what == 4)
                begin_child(page);
            else if (what == 5)
                tell();
            else if (what == 6)
                map(region, page, MAP_SHARED);
            else if (what == 7)
                wait_ms(page);
            else
                end(9);
            shared->at++;
        }
        if (shared->at == shared->n_steps)
            end(0);
    }
}

static int wait_for_first(void)
{
    for (;;) {
        int status;
        pid_t pid = waitpid(-1, &status, 0);
        if (pid < 0)
            return 16;
        for (int i = 0; i < shared->n_processes; i++)
            if (shared->pids[i] == pid)
                return WIFEXITED(status) ? WEXITSTATUS(status)
                                         : WTERMSIG(status) == SIGKILL ? KILLED : 17;
    }
}

int main(int count, char **words)
{
    struct stat about;
    if (count != 3)
        return 2;
    take_cpu();
    int group = open(words[1], O_WRONLY);
    int file = open(words[2], O_RDWR);
    if (group < 0 || file < 0 || fstat(file, &about) != 0 || about.st_size > WINDOW - SHARED)
        return 3;
    int how = MAP_SHARED | MAP_FIXED_NOREPLACE | MAP_POPULATE;
    if (mmap((void *)SHARED, about.st_size, PROT_READ | PROT_WRITE, how, file, 0) == MAP_FAILED ||
        mmap((void *)WINDOW, WINDOW_END - WINDOW, PROT_READ | PROT_WRITE, how | MAP_ANONYMOUS, -1,
             0) == MAP_FAILED)
        return 4;
    for (long at = 0; at < about.st_size; at += PAGE)
        ((volatile char *)SHARED)[at] = ((volatile char *)SHARED)[at];
    shared->procs = group;
    shared->look.tv_nsec = LOOK_NS;
    shared->myself[0] = '0';
    pid_t first = fork();
    if (first < 0)
        return 6;
    if (first == 0)
        __asm__ volatile("mov %0, %%rsp\n\txor %%edi, %%edi\n\tcall live" : : "r"(stack_top(0)));
    int status = wait_for_first();
    for (int i = 0; i < shared->n_processes; i++)
        kill(shared->pids[i], SIGKILL);
    for (int i = 0; i < shared->n_processes; i++)
        waitpid(shared->pids[i], NULL, 0);
    return status;
}
