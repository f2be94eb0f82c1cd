/*
 * System calls, and a start, without a C library.
 *
 * A C library touches pages of its own before, during and after fork, and which ones depends on
 * its version and on how the linker laid it out.  These programs touch what their sources say: the
 * page of their code, the page that is their stack, and what they are told to.
 */
#ifndef COWPOOL_FREESTANDING_H
#define COWPOOL_FREESTANDING_H

#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>

#define PAGE 4096L

static inline long call(long number, long a, long b, long c, long d, long e, long f)
{
    long result;
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = f;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
}

#define CALL(name, a, b, c, d) call(SYS_##name, (long)(a), (long)(b), (long)(c), (long)(d), 0, 0)

static inline void leave(int status)
{
    for (;;)
        CALL(exit_group, status, 0, 0, 0);
}

/* A stack of one page, at an address that the linker is told (sim/script/spawn.py). */
__attribute__((section(".own_stack"), aligned(4096), used)) char own_stack[PAGE] = {1};

/* What the kernel left on the stack: the count of arguments, then pointers to them. */
void run(char **stack);

__asm__(".section .text.start, \"ax\"\n"
        ".globl _start\n"
        "_start:\n"
        "    mov %rsp, %rdi\n"
        "    lea own_stack+4096(%rip), %rsp\n"
        "    xor %ebp, %ebp\n"
        "    call run\n"
        ".previous\n");

#endif
