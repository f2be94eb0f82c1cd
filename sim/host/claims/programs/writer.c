/*
 * Writes a file beside anonymous memory, in a control group, and tells what is left of both.
 *
 *     writer PROCS FILE ANONYMOUS PAGES
 *
 * PROCS is the `cgroup.procs` of the group to join.  Touches ANONYMOUS pages, writes PAGES pages of
 * FILE, a page a call, and prints how many of each are resident then.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE 4096L

static unsigned char there[1 << 20];
static char page[PAGE] = {1};

static long resident(void *start, long pages)
{
    long found = 0;

    if (mincore(start, pages * PAGE, there) != 0)
        exit(6);
    for (long at = 0; at < pages; at++)
        found += there[at] & 1;
    return found;
}

int main(int count, char **words)
{
    if (count != 5)
        return 2;
    long anonymous = atol(words[3]), pages = atol(words[4]);
    int file = open(words[2], O_RDWR | O_CREAT | O_EXCL, 0600);
    int group = open(words[1], O_WRONLY);
    if (file < 0 || group < 0 || pages > (long)sizeof there)
        return 3;
    for (long at = 0; at < pages; at += PAGE)
        there[at] = 1;
    if (write(group, "0", 1) != 1)
        return 4;
    char *own = mmap(0, anonymous * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (long at = 0; at < anonymous; at++)
        own[at * PAGE] = 1;
    for (long at = 0; at < pages; at++)
        if (write(file, page, PAGE) != PAGE)
            return 5;
    void *map = mmap(0, pages * PAGE, PROT_READ, MAP_SHARED, file, 0);
    printf("%ld %ld\n", resident(own, anonymous), resident(map, pages));
    return 0;
}
