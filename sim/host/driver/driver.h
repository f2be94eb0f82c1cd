/* What the controller and the processes of a script share.  See controller.c for the whole. */
#ifndef COWPOOL_DRIVER_H
#define COWPOOL_DRIVER_H

#include <stdatomic.h>
#include <stdint.h>
#include <sys/types.h>

#define PAGE 4096L
#define ALIGNMENT (2L << 20)       /* every region starts at such a boundary ...               */
#define SEPARATION (2L << 20)      /* ... and is at least this far from the next, or right behind */
#define ARENA 0x100000000000L      /* far from everything the loader and the heap put anywhere */
#define MAX_PROCESSES 256
#define REGIONS 26
#define SLOTS_BYTES (sizeof(struct slot) * MAX_PROCESSES)
#define FAIL_AFTER_S 20            /* a process that does not answer by then is reported lost  */

enum verb {
    V_MAP, V_SHMAP, V_MAPFILE, V_MAPSHFILE, V_MAPHUGETLB, V_MAPSHHUGETLB, V_STACK, V_BRK, V_RESIZE,
    V_MOVE, V_WRITE, V_READ,
    V_FILEREAD, V_FILEWRITE, V_FSYNC, V_DROP, V_WILLNEED, V_RANDOM, V_SEQUENTIAL, V_NORMAL,
    V_UNMAP, V_PROTECT, V_LOCK, V_UNLOCK, V_SYNC, V_DONTNEED, V_FREE, V_COLLAPSE, V_POPULATEREAD,
    V_POPULATEWRITE, V_HUGEPAGE, V_NOHUGEPAGE, V_DONTFORK, V_DOFORK,
    V_WIPEONFORK, V_KEEPONFORK, V_FORK, V_VFORK, V_EXEC, V_EXIT, V_REAP, V_ADJUST, V_COUNT
};

struct command {
    int verb, region, protection, map_flags, child;
    long first, end;               /* pages; end < 0: the whole region */
    char *address;                 /* where a new mapping goes         */
};

struct answer {
    int segv, error;               /* segv: the signal that ended it, SIGSEGV or SIGBUS, or 0 */
    long minflt, majflt, ns;
    long touched;                  /* pages that a read or write has come to, killed or not */
};

struct region {
    char *start;                   /* NULL: the process has no such region */
    long pages;
    long room;                     /* bytes from `start` to the boundary it may grow to */
    int dontfork;
    int fd;                        /* of a mapped file, which stays open; else -1 */
};

/* One a process, in the shared mapping. */
struct slot {
    _Atomic uint32_t asked, answered, alive;
    struct command command;
    struct answer answer;
    struct region regions[REGIONS];
    pid_t pid;                     /* 0: never lived, or has been reaped */
    int parent;
    int lender;                    /* the slot whose memory a vforked process uses; else -1 */
};

extern struct slot *slots;
extern const char *directory;      /* where mapped files are made: a disk file system             */
extern int forbid_huge;            /* THP is `always`: every region must refuse it                */
extern pid_t controller;
extern int slots_fd;               /* the shared mapping, for an image that exec brings in        */
extern int image_fd;               /* that image: nothing need be looked up, and charged, for exec  */
extern char **arguments;
extern const char *group;          /* the folder of the script's control group, or NULL          */

/* Bytes that a region of `pages` takes up, to the boundary where it ends. */
long room_for(long pages);

/* Wait until `*word` is `value`; -1 if that takes too long. */
int wait_for(_Atomic uint32_t *word, uint32_t value);

/* As `wait_for`, for so many milliseconds at most. */
int wait_briefly(_Atomic uint32_t *word, uint32_t value, int ms);

/* Set `*word`, and wake whoever waits for it. */
void set(_Atomic uint32_t *word, uint32_t value);

/* Leave, with a word on what failed or without; no process of the script lives on. */
void die(const char *what) __attribute__((noreturn));
void leave(int status) __attribute__((noreturn));

/* Be the process of a slot, and do what is asked. */
void serve(int slot) __attribute__((noreturn));

/* What a new process, or a new image, needs before that. */
void prepare_process(void);

/* What exec brought in: the same process goes on with a new image. */
void resume(int slot, int fd, pid_t parent) __attribute__((noreturn));

/* Put a process into the group; give one another oom_score_adj. */
void join_group(pid_t pid);
void adjust_score(pid_t pid, long value);

/* Print the line that begins with `usage`. */
void print_usage(void);

/* Wait until `*word` is `value`; 1 if the process ends before that, -1 if it takes too long. */
int await_or_end(_Atomic uint32_t *word, uint32_t value, pid_t pid);

/* Find the slots of those that have been killed, but for `known`; return how many. */
int find_killed(int *killed, int known);

/* Whether a process has ended, and waits to be collected or has been. */
int has_ended(pid_t pid);

/* Print the lines that begin with `figures`, and the one that begins with `tables`. */
void print_figures(int slot);
void print_table_size(int slot);

#endif
