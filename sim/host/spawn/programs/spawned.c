/*
 * A small static program that is spawned: it touches what its argument says, and ends.
 *
 *     spawned TOUCHES
 *
 * TOUCHES is a list of pages in hexadecimal, each behind an `r` (one byte of it is read) or a `w`
 * (one byte of it is written), in order: `r403w421w440`.  There is something of everything to
 * touch: text, constants, data of which the last page is bss in part, and bss.
 */
#include "freestanding.h"

__asm__(".section .text.padding, \"ax\"\n .space 40 * 4096, 0x90\n .previous\n");
__attribute__((used)) const char constants[40 * PAGE] = {1};
__attribute__((used)) char data[40 * PAGE + 100] = {1};
__attribute__((used)) char bss[40 * PAGE];

void run(char **stack)
{
    const char *at = (long)stack[0] > 1 ? stack[2] : "";
    while (*at == 'r' || *at == 'w') {
        int writing = *at++ == 'w';
        uintptr_t page = 0;
        for (; (*at >= '0' && *at <= '9') || (*at >= 'a' && *at <= 'f'); at++)
            page = page * 16 + (uintptr_t)(*at <= '9' ? *at - '0' : *at - 'a' + 10);
        volatile char *byte = (volatile char *)(page * PAGE);
        if (writing)
            *byte = 1;
        else
            (void)*byte;
    }
    leave(*at != 0);
}
