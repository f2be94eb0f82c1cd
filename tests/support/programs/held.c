/*
 * How long does a start hold its caller?  `held vfork MS` starts a child that sleeps for MS ms and
 * exits, and prints for how many ns the caller was held.  `held fork MS` has the child wait for a
 * word that the caller gives when it goes on: if fork held it until then, nothing would be printed.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static long long now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

int main(int count, char **arguments)
{
    if (count < 3)
        return 2;
    long ms = atol(arguments[2]);
    struct timespec nap = {ms / 1000, ms % 1000 * 1000000};
    int ends[2], borrows = strcmp(arguments[1], "vfork") == 0;
    char word = 0;
    if (pipe(ends))
        return 3;
    long long started = now_ns();
    pid_t pid = borrows ? vfork() : fork();
    if (pid == 0) {
        if (borrows)
            nanosleep(&nap, NULL);
        else if (read(ends[0], &word, 1) != 1)
            _exit(1);
        _exit(0);
    }
    long long held = now_ns() - started;
    if (write(ends[1], "w", 1) != 1 || waitpid(pid, NULL, 0) != pid)
        return 4;
    printf("%lld\n", held);
    return 0;
}
