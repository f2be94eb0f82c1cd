/*
 * Where does mmap put private anonymous mappings?  On standard output a line for each size: pages,
 * and how many of eight mappings begin at a 2 MiB boundary.
 */
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>

#define PAGE 4096L
#define HUGE_PAGES 512L
#define MANY 8

int main(void)
{
    static const long sizes[] = {256, HUGE_PAGES - 1, HUGE_PAGES, HUGE_PAGES + 1, 2 * HUGE_PAGES,
                                 2 * HUGE_PAGES + 1};
    for (unsigned i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        int aligned = 0;
        for (int n = 0; n < MANY; n++) {
            void *at = mmap(NULL, sizes[i] * PAGE, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
            if (at == MAP_FAILED)
                return 1;
            aligned += (uintptr_t)at % (HUGE_PAGES * PAGE) == 0;
        }
        printf("%ld %d\n", sizes[i], aligned);
    }
    return 0;
}
