/* Threads that allocate at a time: how much memory is resident, before, at the fullest, and when
 * all is freed again.
 *
 *   malloc_threads THREADS BLOCKS SIZE...
 *
 * Each thread takes BLOCKS blocks, of each SIZE in turn, and writes all of each; then it frees all
 * of them, in order.  Prints the anonymous memory of the process, in KiB: before a thread calls
 * malloc, at the fullest, and at the end.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#define MOST 64

static pthread_barrier_t barrier;
static int blocks, sizes;
static size_t size[MOST];
static char *taken[MOST][4096];

static void *allocate(void *number)
{
    char **mine = taken[(long)number];

    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier);
    for (int i = 0; i < blocks; i++) {
        size_t bytes = size[i % sizes];

        mine[i] = malloc(bytes);
        memset(mine[i], 1, bytes);
    }
    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier);
    for (int i = 0; i < blocks; i++)
        free(mine[i]);
    pthread_barrier_wait(&barrier);
    pause();
    return NULL;
}

static long resident_kib(void)
{
    static char text[4096];
    int file = open("/proc/self/smaps_rollup", O_RDONLY);
    ssize_t length = read(file, text, sizeof text - 1);
    char *line;

    close(file);
    text[length < 0 ? 0 : length] = 0;
    line = strstr(text, "\nAnonymous:");
    return line ? atol(line + strlen("\nAnonymous:")) : -1;
}

int main(int count, char **words)
{
    int threads = atoi(words[1]);
    long before, fullest, after;

    prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
    blocks = atoi(words[2]);
    for (sizes = 0; sizes + 3 < count && sizes < MOST; sizes++)
        size[sizes] = strtoul(words[sizes + 3], NULL, 10);
    pthread_barrier_init(&barrier, NULL, threads + 1);
    for (long i = 0; i < threads; i++) {
        pthread_t thread;

        pthread_create(&thread, NULL, allocate, (void *)i);
    }
    pthread_barrier_wait(&barrier);
    before = resident_kib();
    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier);
    fullest = resident_kib();
    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier);
    after = resident_kib();
    dprintf(1, "%ld %ld %ld\n", before, fullest, after);
    _exit(0);
}
