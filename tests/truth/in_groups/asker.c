/* Processes in control groups (version 2) that do as told, one step a line of standard input.
 *
 *     member < steps
 *
 * Who reads the steps stays in the root group, and says a line of what each came to:
 *
 *     set GROUP FILE VALUE         make the group if need be, and write into a file of it
 *     new NAME GROUP ADJ [UID]     a process in the group, with that oom_score_adj
 *     touch NAME PAGES             it writes to so many pages more of its area
 *     place NAME PAGES             its area is where the kernel maps one so large: which of 512 pages
 *     read NAME FILE FIRST END     it reads those pages of the file, page by page
 *     write NAME FILE FIRST END    it writes them, a page a call
 *     largest NAME                 the largest private mapping that it is granted
 *     file FILE PAGES              a file on disk, nothing of it in the page cache
 *     resident FILE                how much of it is there now
 *     show GROUP FILE [KEY]        what a file of the group says (of that)
 *     vm NAME                      what /proc/PID/statm says
 *     meminfo KEY                  a figure of the machine, in pages
 *     sysctl NAME [VALUE]          what /proc/sys/NAME says; or have it say so
 *     alive                        the processes that are
 *     sleep MS
 *
 * Nothing that a member needs for its steps is charged to its group: it has touched all of that
 * before it joins, and tells through memory of the one who asks.  Its area lies in a GiB of its own
 * 512, so that all page tables are.
 */
#define _GNU_SOURCE
#include "member.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

struct member *members;
char page[PAGE] = {1};
static char made[64][256];             /* folders of groups, in the order of their making         */
static int n_made;

void die(const char *what)
{
    fprintf(stderr, "member: %s: %s\n", what, strerror(errno));
    exit(70);
}

void futex(_Atomic uint32_t *word, int what, uint32_t value, const struct timespec *most)
{
    syscall(SYS_futex, word, what, value, most, NULL, 0);
}

static int in_group(const char *group, const char *file, int flags)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s/%s", ROOT, group, file);
    int fd = open(path, flags);
    if (fd < 0)
        die(path);
    return fd;
}

static void set(const char *group, const char *file, const char *value)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", ROOT, group);
    if (!mkdir(path, 0755))
        snprintf(made[n_made++], sizeof *made, "%s", path);
    else if (errno != EEXIST)
        die(path);
    int fd = in_group(group, file, O_WRONLY);
    if (write(fd, value, strlen(value)) < 0)
        printf("refused %s\n", strerror(errno));
    close(fd);
}

/* Wait until it has done its step, or has ended; return whether it lives. */
static int lives(struct member *who, uint32_t step)
{
    struct timespec briefly = {.tv_nsec = 10000000};
    while (who->pid && atomic_load(&who->answered) != step) {
        uint32_t seen = atomic_load(&who->answered);
        if (waitpid(who->pid, NULL, WNOHANG) == who->pid)
            who->pid = 0;
        else if (seen != step)
            futex(&who->answered, FUTEX_WAIT, seen, &briefly);
    }
    return who->pid != 0;
}

static struct member *called(const char *name)
{
    for (struct member *who = members; who < members + MEMBERS; who++)
        if (!strcmp(who->name, name))
            return who;
    errno = ESRCH;
    die(name);
    return NULL;
}

static void begin(const char *name, const char *group, const char *score, int uid)
{
    struct member *who = members;
    while (who->name[0])
        who++;
    memccpy(who->name, name, 0, sizeof who->name - 1);
    int procs = in_group(group, "cgroup.procs", O_WRONLY);
    fflush(stdout);
    pid_t pid = fork();                /* a child must not write `who->pid`: that is shared */
    if (pid == 0) {
        int fd = open("/proc/self/oom_score_adj", O_WRONLY);
        if (write(fd, score, strlen(score)) < 0)
            die("oom_score_adj");
        close(fd);
        live(who, procs, uid);
    }
    close(procs);
    who->pid = pid;
    if (!lives(who, 1))
        printf("new %s killed\n", name);
}

static void step(enum what what, const char *word, const char *name, const char *path, long first,
                 long end)
{
    struct member *who = called(name);
    if (what == TOUCH) {
        end = who->touched + first;
        first = who->touched;
    }
    who->what = what;
    who->first = first;
    who->end = end;
    snprintf(who->path, sizeof who->path, "%s", path);
    uint32_t number = atomic_load(&who->answered) + 1;
    int alive = who->pid != 0;
    if (alive) {
        atomic_store(&who->asked, number - 1);
        futex(&who->asked, FUTEX_WAKE, 1, NULL);
        alive = lives(who, number);
    }
    if (what == TOUCH)
        who->touched += who->done;
    printf("%s %s %ld %s\n", word, name, (long)who->done,
           !alive ? "killed" : who->error ? strerror(who->error) : "alive");
    if (what != TOUCH)
        return;                        /* who waits for a disk has other reasons */
    printf("slow %s", name);
    for (int i = 0; i < who->slow; i++)
        printf(" %ld:%ld", who->slow_page[i], who->slow_ns[i] / 1000);
    printf("\n");
}

/* Print the lines of a file that begin with the word `key`; all, if that is "". */
static void show(int fd, const char *group, const char *file, const char *key)
{
    static char text[16384];
    ssize_t length = read(fd, text, sizeof text - 1);
    close(fd);
    text[length < 0 ? 0 : length] = 0;
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
        if (!key[0] || (!strncmp(line, key, strlen(key)) && line[strlen(key)] == ' '))
            printf("%s %s %s\n", group, file, line);
}

static void meminfo(const char *key)
{
    static char text[16384];
    int fd = open("/proc/meminfo", O_RDONLY);
    text[read(fd, text, sizeof text - 1)] = 0;
    close(fd);
    char *at = strstr(text, key);
    printf("meminfo %s %ld\n", key, at ? strtol(at + strlen(key) + 1, NULL, 10) / 4 : -1);
}

static void make_file(const char *path, long pages)
{
    int fd = open(path, O_RDWR | O_CREAT, 0666);
    for (long at = 0; at < pages; at++)
        if (pwrite(fd, page, PAGE, at * PAGE) != PAGE)
            die(path);
    fsync(fd);
    posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    close(fd);
}

static void resident(const char *path)
{
    struct stat found;
    int fd = open(path, O_RDONLY);
    if (fstat(fd, &found))
        die(path);
    long pages = (found.st_size + PAGE - 1) / PAGE, there = 0;
    unsigned char *map = malloc(pages + 1);
    void *at = mmap(NULL, found.st_size, PROT_READ, MAP_SHARED, fd, 0);
    mincore(at, found.st_size, map);
    for (long i = 0; i < pages; i++)
        there += map[i] & 1;
    printf("resident %s %ld of %ld\n", path, there, pages);
    munmap(at, found.st_size);
    free(map);
    close(fd);
}

static void put(const char *path, const char *value)
{
    int fd = open(path, O_WRONLY);
    if (fd < 0 || write(fd, value, strlen(value)) < 0)
        die(path);
    close(fd);
}

static void say_who_is_alive(void)
{
    usleep(100000);
    printf("alive");
    for (struct member *who = members; who < members + MEMBERS; who++) {
        if (who->pid && waitpid(who->pid, NULL, WNOHANG) == who->pid)
            who->pid = 0;
        if (who->pid)
            printf(" %s", who->name);
    }
    printf("\n");
}

static void sysctl(const char *name, const char *value)
{
    char path[96];
    snprintf(path, sizeof path, "/proc/sys/%s", name);
    if (value[0])
        put(path, value);
    else
        show(open(path, O_RDONLY), "sysctl", name, "");
}

static void vm(const char *name)
{
    char path[96];
    snprintf(path, sizeof path, "/proc/%d/statm", called(name)->pid);
    show(open(path, O_RDONLY), "vm", name, "");
}

#define IS(step) (!strcmp(word, step))

static void obey(const char *word, const char *a, const char *b, const char *c, long d)
{
    if (IS("set"))
        set(a, b, c);
    else if (IS("new"))
        begin(a, b, c, d);
    else if (IS("touch"))
        step(TOUCH, word, a, "", atol(b), 0);
    else if (IS("place"))
        step(PLACE, word, a, "", 0, atol(b));
    else if (IS("read"))
        step(READ, word, a, b, atol(c), d);
    else if (IS("write"))
        step(WRITE, word, a, b, atol(c), d);
    else if (IS("largest"))
        step(LARGEST, word, a, "", 0, 0);
    else if (IS("file"))
        make_file(a, atol(b));
    else if (IS("resident"))
        resident(a);
    else if (IS("show"))
        show(in_group(a, b, O_RDONLY), a, b, c);
    else if (IS("vm"))
        vm(a);
    else if (IS("meminfo"))
        meminfo(a);
    else if (IS("sysctl"))
        sysctl(a, b);
    else if (IS("sleep"))
        usleep(atol(a) * 1000);
    else if (IS("alive"))
        say_who_is_alive();
    else {
        errno = EINVAL;
        die(word);
    }
}

static void remove_groups(void)
{
    for (int tries = 0; n_made && tries < 500; tries++)
        if (!rmdir(made[n_made - 1]))
            n_made--;
        else
            usleep(10000);             /* somebody who was killed has not quite ended */
    if (n_made)
        die(made[n_made - 1]);
}

int main(void)
{
    char line[256], word[16];
    mkdir(ROOT, 0755);
    if (mount("none", ROOT, "cgroup2", 0, "memory_recursiveprot") && errno != EBUSY)
        die(ROOT);
    put(ROOT "/cgroup.subtree_control", "+memory");
    members = mmap(NULL, sizeof *members * MEMBERS, PROT_READ | PROT_WRITE,
                   MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    while (fgets(line, sizeof line, stdin)) {
        char a[64] = "", b[64] = "", c[64] = "";
        long d = 0;
        if (sscanf(line, "%15s %63s %63s %63s %ld", word, a, b, c, &d) > 0 && word[0] != '#')
            obey(word, a, b, c, d);
    }
    for (struct member *who = members; who < members + MEMBERS; who++)
        if (who->pid) {
            kill(who->pid, SIGKILL);
            waitpid(who->pid, NULL, 0);
        }
    remove_groups();
    return 0;
}
