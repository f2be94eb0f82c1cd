/*
 * Accesses that leave the kernel's answer to the kernel, whatever the CPU.
 *
 * Linux makes an entry more permissive without a flush: a populating write, mprotect, a huge page
 * reused whole.  A CPU that still has the read-only translation may fault once more, and that
 * fault is counted though no rule has it: AMD's walk again first, Intel's do not.  So accesses
 * here come one at a time, for a CPU that runs ahead would load translations that the fault before
 * them is about to change; and what is measured begins without any translation.
 */
#ifndef COWPOOL_ACCESSES_H
#define COWPOOL_ACCESSES_H

#include <stddef.h>
#include <sys/mman.h>

/* Nothing behind this begins before all in front of it has ended, its fault included. */
static inline void complete(void)
{
#if defined(__x86_64__)
    __asm__ volatile("lfence" ::: "memory");
#else
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
#endif
}

/* Touch one byte, and wait until that has happened. */
static inline void touch_byte(volatile char *byte, int writing)
{
    if (writing)
        *byte = 1;
    else
        (void)*byte;
    complete();
}

/*
 * A window of its own for `forget_translations`, in a process that has none; NULL if refused.
 * Less than 2 MiB, so never a huge page; never written, so it takes no frame and fork copies none.
 */
#define WINDOW_BYTES (1L << 20)
static inline char *new_window(void)
{
    char *window = mmap(NULL, WINDOW_BYTES, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return window == MAP_FAILED ? NULL : window;
}

/*
 * Empty the TLB of this process on this CPU; -1 where that was refused.
 *
 * Taking the right to read from two pages that were just read needs a flush, of all addresses from
 * one to the other.  That is more than 33 pages (`tlb_single_page_flush_ceiling`), for which Linux
 * flushes all there is, on every release and on every CPU that this process runs on.
 */
static inline int forget_translations(volatile char *window)
{
    touch_byte(window, 0);
    touch_byte(window + WINDOW_BYTES - 1, 0);
    if (mprotect((void *)window, WINDOW_BYTES, PROT_NONE) < 0)
        return -1;
    return mprotect((void *)window, WINDOW_BYTES, PROT_READ);
}

#endif
