"""What fork of the C library costs the parent: which of its pages it writes after the call.

The kernel has made all of them read-only, so each is one fault, copied or taken back.  Which they
are follows from where the library's locks lie (glibc 2.36, `__libc_fork`): its own frame; with
threads, the locks that it has held meanwhile; and in ``wait`` the thread's control block, by the
library (`cancelhandling`) or by the kernel (`rseq`), once the parent has slept.
"""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.kernel import Kernel

from sim.base.units import PAGE_BYTES
from sim.host.conditions import compiler

pytestmark = [pytest.mark.truth, pytest.mark.kernel]

PARENT = r"""
#define _GNU_SOURCE
#include <alloca.h>
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
static atomic_int ready;
static long faults(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_minflt;
}
static long switches(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_nvcsw + usage.ru_nivcsw;
}
static void *stay(void *allocates)
{
    if (allocates) {                              /* which gives this thread an arena */
        void *volatile block = malloc(100);
        free(block);
    }
    ready++;
    pause();
    return NULL;
}
static int awake(void)                            /* whether a thread still does anything */
{
    DIR *tasks = opendir("/proc/self/task");
    struct dirent *entry;
    int found = 0;
    while ((entry = readdir(tasks))) {
        char name[64], text[64] = "";
        snprintf(name, sizeof name, "/proc/self/task/%.16s/stat", entry->d_name);
        int tid = atoi(entry->d_name);            /* 0: "." or ".." */
        int file = tid == 0 || tid == getpid() ? -1 : open(name, O_RDONLY);
        if (file < 0)
            continue;
        if (read(file, text, sizeof text - 1) < 0 || !strstr(text, ") S"))
            found = 1;
        close(file);
    }
    closedir(tasks);
    return found;
}
static __attribute__((noinline)) int count_faults(void)
{
    for (int i = 0; i < 1000; i++) {
        int status;
        long earlier = switches(), before = faults();
        pid_t pid = fork();
        long after = faults();
        long moved = switches() - earlier;
        if (pid == 0)
            _exit(0);
        waitpid(pid, &status, 0);
        long later = faults();
        if (i > 1 && moved == 0) {                /* else the kernel has written rseq in fork */
            printf("%ld %ld\n", after - before, later - after);
            return 0;
        }
    }
    return 1;
}
int main(int count, char **arguments)
{
    int threads = atoi(arguments[1]);
    pthread_t thread;
    for (int i = 0; i < threads; i++)
        pthread_create(&thread, NULL, stay, count > 2 ? (void *)&ready : NULL);
    while (ready < threads || awake())            /* on a busy machine that may take its time */
        usleep(1000);
    /* Where the stack begins follows from the environment: the frames to come lie in one page. */
    size_t above = ((size_t)__builtin_frame_address(0) - 3000) % 4096;
    volatile char *room = alloca(above + 1);
    room[0] = 0;
    return count_faults() + room[0];
}
"""
LOCKS = ("main_arena", "list_lock", "list_all_lock", "atfork_lock")
"""Of malloc's first arena, of the list of arenas, of the list of streams, of fork's handlers."""


@dataclass(frozen=True)
class Build:
    """The program, and the pages in which the locks of its library lie."""

    path: Path
    lock_pages: int


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    folder = tmp_path_factory.mktemp("fork")
    source, path = folder / "parent.c", folder / "parent"
    source.write_text(PARENT)
    command = [str(compiler()), "-O1", "-static", "-pthread", "-o", str(path), str(source)]
    subprocess.run(command, capture_output=True, check=True)
    symbols = subprocess.run(["nm", path], capture_output=True, text=True, check=True).stdout
    found = {name: int(at, 16) for at, _, name in map(str.split, symbols.splitlines()) if at != "U"}
    return Build(path, len({found[name] // PAGE_BYTES for name in LOCKS}))


def counted(build: Build, threads: int, *, allocate: bool) -> tuple[int, int]:
    """Return the faults in fork and in wait, once the first forks have warmed up what is cold.

    Of a fork in which the parent was on its CPU all the time: who is switched off in it takes the
    fault of ``rseq`` there.
    """
    cpu = str(min(os.sched_getaffinity(0)))
    command = ["setarch", "-R", "taskset", "-c", cpu, build.path, str(threads)]
    done = subprocess.run(
        [*command, *(["x"] if allocate else [])], capture_output=True, text=True, check=True
    )
    in_fork, in_wait = map(int, done.stdout.split())
    return in_fork, in_wait


def faults_of_writing(pages: int) -> int:
    """Return what writing so many pages costs a parent after fork, in the simulated kernel."""
    kernel = Kernel(memory_pages=300)
    row = kernel.process()
    vpn = kernel.mmap(row, pages)
    kernel.write(row, vpn, pages)
    kernel.fork(row)
    copies = 0
    for page in range(vpn, vpn + pages):
        kernel.write(row, page)
        copies += kernel.work.get("COW_COPY", 0)
    return copies


@pytest.mark.parametrize(
    ("threads", "allocate", "arenas"), [(0, False, 1), (1, False, 1), (3, False, 1), (2, True, 3)]
)
def test_fork_of_the_c_library_writes_its_frame_and_its_locks(
    build: Build, threads: int, allocate: bool, arenas: int
) -> None:
    locks = build.lock_pages + arenas - 1 if threads else 0
    expected = faults_of_writing(1 + locks), faults_of_writing(1)
    assert counted(build, threads, allocate=allocate) == expected


def test_without_the_locks_the_count_would_be_wrong(build: Build) -> None:
    """Negative control."""
    in_fork, _ = counted(build, 1, allocate=False)
    assert in_fork != faults_of_writing(1)
    assert in_fork != faults_of_writing(1 + build.lock_pages + 1)
