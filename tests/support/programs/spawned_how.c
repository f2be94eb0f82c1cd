/*
 * How does the C library start a process?  `spawned_how spawn` or `spawned_how fork` prints what
 * ptrace calls it (2 a vfork, 1 a fork, 3 a clone), and whether parent and child share their memory.
 */
#define _GNU_SOURCE
#include <linux/kcmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static void start(const char *how)
{
    char *arguments[] = {"/bin/true", NULL};
    pid_t pid;
    if (ptrace(PTRACE_TRACEME, 0, 0, 0))
        _exit(1);                      /* nobody would wake us */
    raise(SIGSTOP);
    if (strcmp(how, "spawn") == 0)
        posix_spawn(&pid, arguments[0], NULL, NULL, arguments, environ);
    else if (fork() == 0)
        _exit(0);
    _exit(0);
}

int main(int count, char **arguments)
{
    int status;
    unsigned long child = 0;
    pid_t pid = fork();
    if (pid == 0)
        start(count > 1 ? arguments[1] : "");
    if (waitpid(pid, &status, 0) != pid || !WIFSTOPPED(status)
        || ptrace(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_EXITKILL | PTRACE_O_TRACEFORK
                  | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE)
        || ptrace(PTRACE_CONT, pid, 0, 0) || waitpid(pid, &status, 0) != pid || !WIFSTOPPED(status)
        || ptrace(PTRACE_GETEVENTMSG, pid, 0, &child))
        return 2;
    long differ = syscall(SYS_kcmp, (long)pid, (long)child, KCMP_VM, 0, 0);
    if (differ < 0)
        return 3;
    printf("%d %d\n", status >> 16, differ == 0);
    return 0;
}
