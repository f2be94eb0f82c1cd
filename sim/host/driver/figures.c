/* What the kernel shows of a process, in the words of controller.c. */
#define _GNU_SOURCE
#include "driver.h"

#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

struct figures {
    long rss, anon, pdirty, sdirty, swap, thp, hugetlb, pss, locked;
    int areas;
};

static long after(const char *line, const char *key)
{
    size_t length = strlen(key);
    return strncmp(line, key, length) ? -1 : atol(line + length);
}

/* Whether an area [start, end) holds a page of a region. */
static int overlaps(const struct region *region, unsigned long start, unsigned long end)
{
    unsigned long first = (unsigned long)region->start;
    return first && start < first + (unsigned long)region->pages * PAGE && end > first;
}

static void add_line(struct figures *sums, const char *line)
{
    const struct { const char *key; size_t offset; } fields[] = {
        {"Rss:", offsetof(struct figures, rss)}, {"Pss:", offsetof(struct figures, pss)},
        {"Private_Dirty:", offsetof(struct figures, pdirty)},
        {"Shared_Dirty:", offsetof(struct figures, sdirty)},
        {"Anonymous:", offsetof(struct figures, anon)},
        {"AnonHugePages:", offsetof(struct figures, thp)},
        {"Shared_Hugetlb:", offsetof(struct figures, hugetlb)},
        {"Private_Hugetlb:", offsetof(struct figures, hugetlb)},
        {"Swap:", offsetof(struct figures, swap)}, {"Locked:", offsetof(struct figures, locked)},
    };
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        long kb = after(line, fields[i].key);
        if (kb >= 0)
            *(long *)((char *)sums + fields[i].offset) += kb;
    }
}

/* ioctl of /proc/PID/pagemap since Linux 6.7; older headers do not know it. */
struct scan_region {
    uint64_t start, end, categories;
};
struct scan {
    uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages;
    uint64_t category_inverted, category_mask, category_anyof_mask, return_mask;
};
#define SCAN_PAGEMAP _IOWR('f', 16, struct scan)
#define IS_FILE (1 << 2)
#define IS_PRESENT (1 << 3)
#define IS_ZERO (1 << 5)
#define IS_HUGE (1 << 6)

/* Count the pages of one region that shares areas with others; 0 if the kernel cannot tell. */
static int split(int pagemap, const struct region *region, struct figures *own)
{
    static struct scan_region found[512];
    struct scan scan = {
        .size = sizeof scan, .start = (uint64_t)region->start,
        .end = (uint64_t)region->start + (uint64_t)region->pages * PAGE,
        .vec = (uint64_t)found, .vec_len = sizeof found / sizeof *found,
        .category_mask = IS_PRESENT, .return_mask = IS_FILE | IS_PRESENT | IS_ZERO | IS_HUGE,
    };
    while (scan.start < scan.end) {
        int n = ioctl(pagemap, SCAN_PAGEMAP, &scan);
        if (n < 0)
            return 0;
        for (int i = 0; i < n; i++) {
            long kb = (long)((found[i].end - found[i].start) >> 10);
            if (found[i].categories & IS_ZERO)
                continue;
            own->rss += kb;
            if (!(found[i].categories & IS_FILE))
                own->anon += kb;
            if (found[i].categories & IS_HUGE)
                own->thp += kb;
        }
        scan.start = scan.walk_end;
    }
    return 1;
}

/* Print what the regions of one group have, which `lead` stands for. */
static void print_group(int slot, int pagemap, const int *lead, int i, const struct figures *sums)
{
    struct figures own = {0}, all = {0};
    char joined[REGIONS + 1] = "-";
    int members = 0, by_page = 1;
    for (int j = 0; j < REGIONS; j++)
        if (lead[j] == lead[i]) {
            joined[members++] = (char)('A' + j);
            for (size_t k = 0; k < offsetof(struct figures, areas) / sizeof(long); k++)
                ((long *)&all)[k] += ((const long *)&sums[j])[k];
        }
    joined[members] = 0;
    if (members > 1 && (by_page = split(pagemap, &slots[slot].regions[i], &own))) {
        all.rss = own.rss;
        all.anon = own.anon;
        all.thp = own.thp;
    }
    printf("figures %d %c %ld %ld %ld %ld %ld %ld %ld %ld %ld %s %d\n", slot, 'A' + i,
           all.rss, all.anon, all.pdirty, all.sdirty, all.swap, all.thp, all.hugetlb, all.pss, all.locked,
           members > 1 ? joined : "-", by_page);
}

/*
 * Sum /proc/PID/smaps over all areas of each region: a region may have been split, and regions that
 * touch may have become one area.
 */
void print_figures(int slot)
{
    struct slot *them = &slots[slot];
    struct figures sums[REGIONS] = {0};
    int lead[REGIONS], mapped[REGIONS] = {0};
    char name[64], line[1024];
    unsigned long last = 0;
    for (int i = 0; i < REGIONS; i++) {
        lead[i] = -1 - i;               /* no area yet: a group of its own */
        if (them->regions[i].start && (unsigned long)them->regions[i].start > last)
            last = (unsigned long)them->regions[i].start;
    }
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
            region = -1;
            for (int i = 0; i < REGIONS; i++)
                if (overlaps(&them->regions[i], start, end)) {
                    mapped[i] = 1;
                    if (region < 0)
                        region = i;
                    for (int j = 0, group = lead[i]; j < REGIONS; j++)
                        if (lead[j] == group)
                            lead[j] = lead[region];
                }
        } else if (region >= 0)
            add_line(&sums[region], line);
    }
    fclose(smaps);
    snprintf(name, sizeof name, "/proc/%d/pagemap", them->pid);
    int pagemap = open(name, O_RDONLY | O_CLOEXEC);
    for (int i = 0; i < REGIONS; i++)
        if (mapped[i])
            print_group(slot, pagemap, lead, i, sums);
    if (pagemap >= 0)
        close(pagemap);
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
