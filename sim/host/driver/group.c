/* A script in a control group of its own (version 1): who joins, what is charged, who is killed. */
#define _GNU_SOURCE
#include "driver.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ONE_LOOK_MS 5              /* how often we look whether whoever is to answer has died */

const char *group;
static long kills_seen;

static int open_in_group(const char *file, int flags)
{
    char name[512];
    snprintf(name, sizeof name, "%s/%s", group, file);
    int fd = open(name, flags | O_CLOEXEC);
    if (fd < 0)
        die(name);
    return fd;
}

/* The number behind `key` in a file of the group; the file's only one if `key` is "". */
static long number_in(const char *file, const char *key)
{
    char text[256];
    int fd = open_in_group(file, O_RDONLY);
    ssize_t length = read(fd, text, sizeof text - 1);
    close(fd);
    if (length < 0)
        die(file);
    text[length] = 0;
    const char *at = strstr(text, key);
    return at ? atol(at + strlen(key)) : 0;
}

void join_group(pid_t pid)
{
    char text[16];
    int fd = open_in_group("cgroup.procs", O_WRONLY);
    int length = snprintf(text, sizeof text, "%d", pid);
    if (write(fd, text, length) != length)
        die("cgroup.procs");
    close(fd);
}

void adjust_score(pid_t pid, long value)
{
    char name[64];
    snprintf(name, sizeof name, "/proc/%d/oom_score_adj", pid);
    FILE *file = fopen(name, "we");
    if (!file || fprintf(file, "%ld", value) < 0 || fclose(file))
        die(name);
}

void print_usage(void)
{
    printf("usage %ld %ld\n", number_in("memory.usage_in_bytes", "") / PAGE,
           number_in("memory.kmem.usage_in_bytes", "") / PAGE);
}

int has_ended(pid_t pid)
{
    struct pollfd end = {.fd = (int)syscall(SYS_pidfd_open, pid, 0), .events = POLLIN};
    if (end.fd < 0)
        return 1;
    int ended = poll(&end, 1, 0) == 1;
    close(end.fd);
    return ended;
}

int await_or_end(_Atomic uint32_t *word, uint32_t value, pid_t pid)
{
    for (int look = 0; look < FAIL_AFTER_S * 1000 / ONE_LOOK_MS; look++) {
        if (!wait_briefly(word, value, ONE_LOOK_MS))
            return 0;
        if (has_ended(pid))
            return atomic_load(word) == value ? 0 : 1;
    }
    return -1;
}

/* The kernel counts a kill when it chooses; the process ends a little later. */
int find_killed(int *killed, int known)
{
    long kills = number_in("memory.oom_control", "\noom_kill ");
    int found = 0;
    for (int look = 0; look < FAIL_AFTER_S * 1000; look++) {
        found = 0;
        for (int i = 0; i < MAX_PROCESSES; i++)
            if (slots[i].pid && has_ended(slots[i].pid))
                killed[found++] = i;
        if (found >= kills - kills_seen - known)
            break;
        usleep(1000);
    }
    kills_seen = kills;
    return found;
}
