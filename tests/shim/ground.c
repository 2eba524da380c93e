/* The ground that a process stands on, for tests that shake it. Loaded by LD_PRELOAD (Linux); each
 * part does nothing unless its variable is set.
 *
 * ONFILE_SHIM_SYNCED: with each fsync of NAME.db or NAME.db-wal, what that puts on the disk is also
 *     copied to NAME.db.synced or NAME.db-wal.synced: all that a loss of power leaves.
 * ONFILE_SHIM_CLOCK: a file with the seconds by which the wall clock is wrong.
 * ONFILE_SHIM_FULL: a file; while it exists, nothing more can be written to NAME.db and NAME.db-wal.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { NAME = 1000 };

static int ends_with(const char *text, const char *end) {
    size_t all = strlen(text), last = strlen(end);
    return all >= last && strcmp(text + all - last, end) == 0;
}

/* Whether the descriptor is of a database's file, and the name of that file. */
static int is_database(int fd, char name[NAME]) {
    char link[40];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, name, NAME - 1);
    if (length < 0) return 0;
    name[length] = 0;
    return ends_with(name, ".db") || ends_with(name, ".db-wal");
}

/* Read by the same descriptor: closing another one would give up SQLite's locks on the file. */
static void keep(int fd) {
    char name[NAME], part[NAME + 10], synced[NAME + 10];
    static char buffer[1 << 16];
    if (!getenv("ONFILE_SHIM_SYNCED") || !is_database(fd, name)) return;
    snprintf(part, sizeof part, "%s.part", name);
    snprintf(synced, sizeof synced, "%s.synced", name);
    int to = open(part, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    ssize_t got = 0;
    for (off_t at = 0; (got = pread(fd, buffer, sizeof buffer, at)) > 0; at += got)
        if (write(to, buffer, (size_t)got) != got) abort();
    if (got < 0 || close(to) != 0 || rename(part, synced) != 0) abort();
}

int fsync(int fd) {
    int done = (int)syscall(SYS_fsync, fd);
    if (done == 0) keep(fd);
    return done;
}

int fdatasync(int fd) {
    int done = (int)syscall(SYS_fdatasync, fd);
    if (done == 0) keep(fd);
    return done;
}

static int is_full(int fd) {
    const char *full = getenv("ONFILE_SHIM_FULL");
    char name[NAME];
    if (!full || access(full, F_OK) != 0 || !is_database(fd, name)) return 0;
    errno = ENOSPC;
    return 1;
}

ssize_t write(int fd, const void *from, size_t size) {
    return is_full(fd) ? -1 : syscall(SYS_write, fd, from, size);
}

ssize_t pwrite(int fd, const void *from, size_t size, off_t at) {
    return is_full(fd) ? -1 : syscall(SYS_pwrite64, fd, from, size, at);
}

ssize_t pwrite64(int fd, const void *from, size_t size, off64_t at) {
    return is_full(fd) ? -1 : syscall(SYS_pwrite64, fd, from, size, at);
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    int done = (int)syscall(SYS_clock_gettime, clock, now);
    const char *wrong = getenv("ONFILE_SHIM_CLOCK");
    if (done != 0 || clock != CLOCK_REALTIME || !wrong) return done;
    char seconds[24] = "";
    int fd = open(wrong, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return done;
    if (read(fd, seconds, sizeof seconds - 1) > 0) now->tv_sec += atol(seconds);
    close(fd);
    return done;
}
