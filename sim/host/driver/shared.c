/* What the controller and the processes of a script both know and use. */
#define _GNU_SOURCE
#include "driver.h"

#include <errno.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

struct slot *slots;
const char *directory;
int forbid_huge;
pid_t controller;
int slots_fd;
int image_fd;
char **arguments;

long room_for(long pages)
{
    return (pages * PAGE + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

void leave(int status)
{
    if (getpid() != controller)
        _exit(status);                 /* what is in the buffers is the controller's */
    for (int i = 0; slots && i < MAX_PROCESSES; i++)
        if (slots[i].pid)
            kill(slots[i].pid, SIGKILL);
    exit(status);
}

void die(const char *what)
{
    fprintf(stderr, "driver: %s: %s\n", what, strerror(errno));
    leave(70);
}

int wait_briefly(_Atomic uint32_t *word, uint32_t value, int ms)
{
    uint32_t seen = atomic_load(word);
    if (seen == value)
        return 0;
    struct timespec most = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L};
    syscall(SYS_futex, word, FUTEX_WAIT, seen, &most, NULL, 0);
    return atomic_load(word) == value ? 0 : -1;
}

int wait_for(_Atomic uint32_t *word, uint32_t value)
{
    for (int second = 0; second < FAIL_AFTER_S; second++)
        if (!wait_briefly(word, value, 1000))
            return 0;
    return -1;
}

void set(_Atomic uint32_t *word, uint32_t value)
{
    atomic_store(word, value);
    syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0);
}
