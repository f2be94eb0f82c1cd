/*
 * Carries out a script of malloc, free and touches with the malloc it is linked to, or given in
 * LD_PRELOAD.
 *
 *     heap IN0 OUT0 IN1 OUT1 ...
 *
 * Actor n, a process or a thread, reads `struct command`s from descriptor INn and answers each on
 * OUTn.  Actor 0 is this process; it and its children make the others as they are told to.
 *
 * Faults that are not the library's stay out of the counts: everything that was mapped at the
 * start (code, data, stacks, the library's own variables) is populated then, and again in parent
 * and child after every fork, because both have to copy it.
 */
#define _GNU_SOURCE
#include "accesses.h"

#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#define MADV_POPULATE_WRITE 23
#endif

/* jemalloc's, if it is there. */
extern int mallctl(const char *, void *, size_t *, void *, size_t) __attribute__((weak));

enum { PAGE = 4096, MAX_ACTORS = 64, MAX_BLOCKS = 4096, MAX_THREADS = 8, MAX_RANGES = 256 };
enum { STACK = 128 << 10, HEAP_FROM = 1 << 20 };

/* In the order of `CODES` in real.py. */
enum verb { MALLOC, CALLOC, REALLOC, FREE, WRITE, READ, TRIM, MALLOPT, THREAD, JOIN, FORK, EXIT };

struct command {
    int32_t verb, block;
    int64_t first, end; /* bytes of the block, a size and nothing, an option and its value */
    int32_t child, unused;
};

struct answer {
    int64_t minflt, pid, refused;
};

static int in_of[MAX_ACTORS], out_of[MAX_ACTORS];
static void *blocks[MAX_BLOCKS];
static struct range { uintptr_t start, end; int writable; } ranges[MAX_RANGES];
static int n_ranges, n_threads;
static pthread_t threads[MAX_ACTORS];
static char stacks[MAX_THREADS][STACK] __attribute__((aligned(PAGE)));
static char text[256 << 10];
static char *window;

static void die(const char *what)
{
    perror(what);
    _exit(70);
}

/* Note what is mapped now, but for the heap of a library that has begun one (a large area). */
static void note_ranges(void)
{
    int fd = open("/proc/self/maps", O_RDONLY);
    size_t length = 0;
    for (ssize_t got; (got = read(fd, text + length, sizeof text - 1 - length)) > 0;)
        length += got;
    close(fd);
    for (char *line = text; *line && n_ranges < MAX_RANGES; line = strchr(line, '\n') + 1) {
        char *rest;
        struct range r = {.start = strtoul(line, &rest, 16)};
        r.end = strtoul(rest + 1, &rest, 16);
        r.writable = rest[2] == 'w';
        char *name = memchr(rest, '[', strchr(line, '\n') - rest);
        int is_file = memchr(rest, '/', strchr(line, '\n') - rest) != NULL;
        int is_ours = r.start <= (uintptr_t)stacks && (uintptr_t)stacks < r.end;
        int is_heap = r.writable && !name && !is_file && !is_ours && r.end - r.start >= HEAP_FROM;
        if (rest[1] == 'r' && !is_heap && !(name && name[1] == 'v'))
            ranges[n_ranges++] = r;
    }
}

static void warm(void)
{
    for (struct range *r = ranges; r < ranges + n_ranges; r++) {
        int advice = r->writable ? MADV_POPULATE_WRITE : MADV_POPULATE_READ;
        if (madvise((void *)r->start, r->end - r->start, advice) == 0)
            continue;
        for (volatile char *at = (char *)r->start; at < (char *)r->end; at += PAGE)
            if (r->writable)
                *at = *at;
            else
                (void)*at;
    }
}

static void touch(const struct command *c)
{
    volatile char *block = blocks[c->block];
    uintptr_t end = (uintptr_t)block + c->end;
    for (uintptr_t at = (uintptr_t)block + c->first; at < end; at = (at / PAGE + 1) * PAGE)
        touch_byte((volatile char *)at, c->verb == WRITE);
}

static void *serve(void *actor);

static void begin_thread(int actor)
{
    if (n_threads == MAX_THREADS)
        die("threads");
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstack(&attributes, stacks[n_threads++], STACK);
    if (pthread_create(&threads[actor], &attributes, serve, (void *)(intptr_t)actor))
        die("pthread_create");
    pthread_attr_destroy(&attributes);
}

/* Whether the library refused. */
static int carry_out(const struct command *c)
{
    void *made = blocks[c->block];
    switch (c->verb) {
    case MALLOC:
        made = malloc(c->first);
        break;
    case CALLOC:
        made = calloc(1, c->first);
        break;
    case REALLOC:
        made = realloc(made, c->first);
        break;
    case FREE:
        free(made);
        return 0;
    case TRIM:
        if (mallctl) {
            mallctl("thread.tcache.flush", NULL, NULL, NULL, 0);
            mallctl("arena.4096.purge", NULL, NULL, NULL, 0); /* of all arenas */
        } else {
            malloc_trim(0);
        }
        return 0;
    case MALLOPT:
        return !mallopt(c->first, c->end);
    case THREAD:
        begin_thread(c->child);
        return 0;
    case JOIN:
        pthread_join(threads[c->child], NULL);
        return 0;
    default:
        touch(c);
        return 0;
    }
    if (made)
        blocks[c->block] = made;
    return !made;
}

static void *serve(void *which)
{
    int actor = (intptr_t)which;
    struct command c;
    struct answer a;
    struct rusage before, after;
    while (read(in_of[actor], &c, sizeof c) == sizeof c) {
        if (c.verb == EXIT && threads[actor])
            return NULL;
        if (c.verb == EXIT)
            break;
        a = (struct answer){.pid = getpid()};
        if (forget_translations(window) < 0)
            die("mprotect");
        getrusage(RUSAGE_THREAD, &before);
        if (c.verb == FORK) {
            pid_t child = fork();
            if (child < 0)
                die("fork");
            if (child == 0) {
                actor = c.child;
                memset(threads, 0, sizeof threads);
            }
            a.pid = getpid();
            warm();
        } else {
            a.refused = carry_out(&c);
        }
        getrusage(RUSAGE_THREAD, &after);
        a.minflt = after.ru_minflt - before.ru_minflt;
        if (write(out_of[actor], &a, sizeof a) != sizeof a)
            die("write");
    }
    _exit(0);
}

int main(int argc, char **argv)
{
    for (int i = 0; i < MAX_ACTORS && 2 * i + 2 < argc; i++) {
        in_of[i] = atoi(argv[2 * i + 1]);
        out_of[i] = atoi(argv[2 * i + 2]);
    }
    if (!prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0)) { /* for a library that begins before us, too */
        if (prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0))
            die("prctl");
        execv("/proc/self/exe", argv);
        die("exec");
    }
    signal(SIGCHLD, SIG_IGN);
    const char *version;
    size_t size = sizeof version;
    if (mallctl)
        mallctl("version", &version, &size, NULL, 0); /* which makes its tables of names */
    window = new_window();
    if (!window)
        die("mmap");
    note_ranges();
    warm();
    struct answer ready = {.pid = getpid()};
    if (write(out_of[0], &ready, sizeof ready) != sizeof ready)
        die("write");
    serve(0);
}
