/* A process in a control group: see asker.c. */
#define _GNU_SOURCE
#include "member.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static long now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000L + now.tv_nsec;
}

static long largest(void)
{
    long granted = 0;
    for (long more = 1L << 32; more; more /= 2) {
        void *at = mmap(NULL, (granted + more) * PAGE, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (at == MAP_FAILED)
            continue;
        munmap(at, (granted + more) * PAGE);
        granted += more;
    }
    return granted;
}

static void carry_out(struct member *me)
{
    int file = -1;
    me->done = me->slow = me->error = 0;
    if (me->what == READ || me->what == WRITE) {
        file = open(me->path, me->what == READ ? O_RDONLY : O_WRONLY);
        posix_fadvise(file, 0, 0, POSIX_FADV_RANDOM);
    }
    if (me->what == LARGEST)
        me->done = largest();
    if (me->what == PLACE) {
        me->area = mmap(NULL, me->end * PAGE, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        me->done = (uintptr_t)me->area / PAGE % 512;
        return;
    }
    for (long at = me->first; at < me->end; at++) {
        long before = now_ns(), got = PAGE;
        if (me->what == TOUCH)
            *(volatile char *)(me->area + at * PAGE) = 1;
        else if (me->what == READ)
            got = pread(file, page, PAGE, at * PAGE);
        else
            got = pwrite(file, page, PAGE, at * PAGE);
        long took = now_ns() - before;
        if (got != PAGE) {
            me->error = errno;
            break;
        }
        me->done++;
        if (took > SLOW_NS && me->slow < SLOW) {
            me->slow_page[me->slow] = at;
            me->slow_ns[me->slow++] = took;
        }
    }
    if (file >= 0)
        close(file);
}

void live(struct member *me, int procs, uid_t uid)
{
    struct timespec briefly = {.tv_nsec = 1};
    volatile char deep[64 << 10];
    for (unsigned i = 0; i < sizeof deep; i += 512)
        deep[i] = 1;
    memset(page, 1, sizeof page);
    me->what = TOUCH;
    me->first = me->end = 0;
    carry_out(me);
    now_ns();
    for (int i = 0; i < MEMBERS; i++)
        members[i].slow_ns[SLOW - 1] = members[i].slow_page[SLOW - 1] = 0;
    futex(&me->asked, FUTEX_WAIT, 0, &briefly);
    if (write(procs, "0", 1) != 1)
        die("cgroup.procs");
    if (uid && setuid(uid))
        die("setuid");
    void *at = mmap(AREA, AREA_PAGES * PAGE, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0);
    if (!uid && at != AREA)
        die("mmap");
    me->area = at;
    for (uint32_t step = 1;; step++) {
        atomic_store(&me->answered, step);
        futex(&me->answered, FUTEX_WAKE, 1, NULL);
        while (atomic_load(&me->asked) != step)
            futex(&me->asked, FUTEX_WAIT, step - 1, NULL);
        carry_out(me);
    }
}
