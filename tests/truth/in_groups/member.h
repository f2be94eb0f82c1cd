/* What those who ask and the members of groups both know. */
#include <stdatomic.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#define PAGE 4096L
#define MEMBERS 64
#define SLOW_NS 3000000L               /* longer than anything but a sleep, under emulation too */
#define SLOW 200
#define AREA ((char *)0x100000000000)
#define AREA_PAGES (1L << 22)
#define ROOT "/sys/fs/cgroup"

enum what { TOUCH, PLACE, READ, WRITE, LARGEST };

struct member {
    char name[16];
    pid_t pid;
    _Atomic uint32_t asked, answered;
    enum what what;
    char path[64];
    long first, end;
    _Atomic long done;                 /* pages of its step; the answer of `largest`               */
    char *area;
    long touched;
    int error;
    int slow;                          /* accesses that took longer than SLOW_NS, which and how long */
    long slow_page[SLOW], slow_ns[SLOW];
};

extern struct member *members;
extern char page[PAGE];

void die(const char *what);
void futex(_Atomic uint32_t *word, int what, uint32_t value, const struct timespec *most);

/* Join the group with that `cgroup.procs` as this user, and carry out steps for ever. */
void live(struct member *me, int procs, uid_t uid);
