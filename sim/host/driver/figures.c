/* What the kernel shows of a process, in the words of controller.c. */
#define _GNU_SOURCE
#include "driver.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct figures {
    long rss, anon, pdirty, sdirty, swap, thp, pss, locked;
    int areas;
};

static long after(const char *line, const char *key)
{
    size_t length = strlen(key);
    return strncmp(line, key, length) ? -1 : atol(line + length);
}

static int region_at(const struct slot *them, unsigned long address)
{
    for (int i = 0; i < REGIONS; i++) {
        unsigned long start = (unsigned long)them->regions[i].start;
        if (start && address >= start
            && address < start + (unsigned long)them->regions[i].pages * PAGE)
            return i;
    }
    return -1;
}

static void add_line(struct figures *sums, const char *line)
{
    const struct { const char *key; size_t offset; } fields[] = {
        {"Rss:", offsetof(struct figures, rss)}, {"Pss:", offsetof(struct figures, pss)},
        {"Private_Dirty:", offsetof(struct figures, pdirty)},
        {"Shared_Dirty:", offsetof(struct figures, sdirty)},
        {"Anonymous:", offsetof(struct figures, anon)},
        {"AnonHugePages:", offsetof(struct figures, thp)},
        {"Swap:", offsetof(struct figures, swap)}, {"Locked:", offsetof(struct figures, locked)},
    };
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        long kb = after(line, fields[i].key);
        if (kb >= 0)
            *(long *)((char *)sums + fields[i].offset) += kb;
    }
}

/* Sum /proc/PID/smaps over all areas inside each region: a region may have been split. */
void print_figures(int slot)
{
    struct slot *them = &slots[slot];
    struct figures sums[REGIONS] = {0};
    char name[64], line[1024];
    unsigned long last = 0;
    for (int i = 0; i < REGIONS; i++)
        if (them->regions[i].start && (unsigned long)them->regions[i].start > last)
            last = (unsigned long)them->regions[i].start;
    if (!last)
        return;
    snprintf(name, sizeof name, "/proc/%d/smaps", them->pid);
    FILE *smaps = fopen(name, "re");
    if (!smaps)
        die(name);
    int region = -1;
    while (fgets(line, sizeof line, smaps)) {
        unsigned long start, end;
        if (sscanf(line, "%lx-%lx ", &start, &end) == 2) {
            if (start > last + ((unsigned long)1 << 40))
                break;                  /* past the regions: what follows is not ours */
            region = region_at(them, start);
            if (region >= 0)
                sums[region].areas++;
        } else if (region >= 0)
            add_line(&sums[region], line);
    }
    fclose(smaps);
    for (int i = 0; i < REGIONS; i++)
        if (sums[i].areas)
            printf("figures %d %c %ld %ld %ld %ld %ld %ld %ld %ld\n", slot, 'A' + i, sums[i].rss,
                   sums[i].anon, sums[i].pdirty, sums[i].sdirty, sums[i].swap, sums[i].thp,
                   sums[i].pss, sums[i].locked);
}

/* Page tables of all levels, as the kernel charges them to the process. */
void print_table_size(int slot)
{
    char name[64], line[256];
    snprintf(name, sizeof name, "/proc/%d/status", slots[slot].pid);
    FILE *status = fopen(name, "re");
    if (!status)
        die(name);
    while (fgets(line, sizeof line, status)) {
        long kb = after(line, "VmPTE:");
        if (kb >= 0)
            printf("tables %d %ld\n", slot, kb);
    }
    fclose(status);
}
