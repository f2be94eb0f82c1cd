/*
 * A CPU for oneself, as far as a program can have one.
 *
 * What a CPU collects before it acts (pages for the lists of reclaim, charges of control groups) it
 * collects for whoever runs on it.  So that nobody else does, the caller runs in the real-time
 * class, and while it sleeps an idler of the same class with less priority does: a process that
 * does nothing, and dies with the caller.  Kernel threads of that CPU wait meanwhile; other tasks
 * find another CPU.
 */
#ifndef COWPOOL_QUIET_H
#define COWPOOL_QUIET_H

#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#define IDLER_PRIORITY 1
#define OWN_PRIORITY 2
#define MOST_IDLE_US 20000000UL    /* should the caller hang, the kernel ends the idler then */

static inline int be_in_real_time(int priority)
{
    struct sched_param how = {.sched_priority = priority};
    return sched_setscheduler(0, SCHED_FIFO, &how) == 0;
}

/*
 * For a caller that stays on one CPU.  Without the right to, nothing changes.  It begins with this:
 * a fork leaves pages of the caller to be copied when they are written.
 */
static inline void take_cpu(void)
{
    struct rlimit most = {MOST_IDLE_US, MOST_IDLE_US};
    pid_t caller = getpid();

    if (!be_in_real_time(OWN_PRIORITY) || fork() != 0)
        return;
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != caller ||
        setrlimit(RLIMIT_RTTIME, &most) != 0 || !be_in_real_time(IDLER_PRIORITY))
        _exit(0);
    for (;;)
        __builtin_ia32_pause();
}

#endif
