/* SPDX-License-Identifier: MIT */
/* Between the engine and the kernel: see inject.h. */
#include "inject.h"
#include "threads.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum pause {
    PAUSE_NONE,
    PAUSE_ASKED,
    PAUSE_WAITING,
};

static struct plan {
    uint32_t calls;
    uint32_t from; /* calls that fail: [from, to) */
    uint32_t to;
    int error;
    uint32_t shorten;
    uint32_t pause;
} plans[CALL_KINDS];

static int missing_flags;
static int seen_flags; /* atomic */

/* What the linker calls the functions that are wrapped, and those that wrap them. */
#define REAL(name) __real_##name
#define WRAP(name) __wrap_##name
int REAL(open64)(const char *path, int flags, ...);
int REAL(fstat64)(int fd, struct stat *st);
ssize_t REAL(preadv64v2)(int fd, const struct iovec *iov, int count, off_t offset, int flags);
ssize_t REAL(pwritev64v2)(int fd, const struct iovec *iov, int count, off_t offset, int flags);
int REAL(fsync)(int fd);
int REAL(fdatasync)(int fd);
int REAL(ioctl)(int fd, unsigned long request, ...);
ssize_t REAL(copy_file_range)(int in, off_t *from, int out, off_t *to, size_t n, unsigned flags);
ssize_t REAL(pwrite64)(int fd, const void *buffer, size_t n, off_t offset);
void *REAL(malloc)(size_t size);
void *REAL(calloc)(size_t count, size_t size);
int REAL(posix_memalign)(void **memory, size_t alignment, size_t size);

int WRAP(open64)(const char *path, int flags, ...);
int WRAP(fstat64)(int fd, struct stat *st);
ssize_t WRAP(preadv64v2)(int fd, const struct iovec *iov, int count, off_t offset, int flags);
ssize_t WRAP(pwritev64v2)(int fd, const struct iovec *iov, int count, off_t offset, int flags);
int WRAP(fsync)(int fd);
int WRAP(fdatasync)(int fd);
int WRAP(ioctl)(int fd, unsigned long request, ...);
ssize_t WRAP(copy_file_range)(int in, off_t *from, int out, off_t *to, size_t n, unsigned flags);
ssize_t WRAP(pwrite64)(int fd, const void *buffer, size_t n, off_t offset);
void *WRAP(malloc)(size_t size);
void *WRAP(calloc)(size_t count, size_t size);
int WRAP(posix_memalign)(void **memory, size_t alignment, size_t size);

void inject_error(enum call_kind kind, uint32_t nth, uint32_t times, int error)
{
    struct plan *plan = &plans[kind];

    plan->error = error;
    plan->from = load(&plan->calls) + nth;
    store(&plan->to, plan->from + times);
}

void inject_short(enum call_kind kind, uint32_t times)
{
    store(&plans[kind].shorten, times);
}

void inject_pause(enum call_kind kind)
{
    store(&plans[kind].pause, PAUSE_ASKED);
}

bool inject_paused(enum call_kind kind)
{
    return load(&plans[kind].pause) == PAUSE_WAITING;
}

void inject_resume(enum call_kind kind)
{
    store(&plans[kind].pause, PAUSE_NONE);
}

uint32_t inject_count(enum call_kind kind)
{
    return load(&plans[kind].calls);
}

void inject_nothing(void)
{
    for (int i = 0; i < CALL_KINDS; i++) {
        store(&plans[i].to, 0);
        store(&plans[i].shorten, 0);
    }
    missing_flags = 0;
}

void inject_without_flags(int rw_flags)
{
    missing_flags = rw_flags;
}

int inject_flags(void)
{
    return __atomic_exchange_n(&seen_flags, 0, __ATOMIC_RELAXED);
}

/* Counts the call in. True: it is to fail, with errno. */
static bool fails(enum call_kind kind)
{
    struct plan *plan = &plans[kind];
    const uint32_t call = add(&plan->calls, 1);
    const uint32_t to = load(&plan->to);

    if (call >= to || call < plan->from)
        return false;
    errno = plan->error;
    return true;
}

static void pause_here(enum call_kind kind)
{
    uint32_t asked = PAUSE_ASKED;
    uint32_t *pause = &plans[kind].pause;

    if (__atomic_compare_exchange_n(pause, &asked, PAUSE_WAITING, false, __ATOMIC_ACQ_REL,
                                    __ATOMIC_ACQUIRE))
        AWAIT(load(pause) == PAUSE_NONE);
}

static bool shortens(enum call_kind kind)
{
    if (load(&plans[kind].shorten) == 0)
        return false;
    add(&plans[kind].shorten, UINT32_MAX);
    return true;
}

int WRAP(open64)(const char *path, int flags, ...)
{
    mode_t mode = 0;
    va_list list;

    va_start(list, flags);
    if (flags & O_CREAT)
        mode = va_arg(list, mode_t);
    va_end(list);
    return (flags & O_DIRECT) && fails(CALL_OPEN_DIRECT) ? -1 : REAL(open64)(path, flags, mode);
}

int WRAP(fstat64)(int fd, struct stat *st)
{
    const int result = fails(CALL_FSTAT) ? -1 : REAL(fstat64)(fd, st);

    pause_here(CALL_FSTAT);
    return result;
}

/* A transfer of half of the first piece, in whole blocks if it has any. */
static struct iovec half_of(const struct iovec *iov)
{
    const size_t half = iov->iov_len / 2 + 1;
    const size_t blocks = (half + 4095) / 4096 * 4096;

    return (struct iovec){iov->iov_base, iov->iov_len < 4096 ? half : blocks};
}

ssize_t WRAP(preadv64v2)(int fd, const struct iovec *iov, int count, off_t offset, int flags)
{
    struct iovec half;

    if (fails(CALL_READ))
        return -1;
    if (flags & missing_flags) {
        errno = EOPNOTSUPP;
        return -1;
    }
    if (shortens(CALL_READ)) {
        half = half_of(iov);
        return REAL(preadv64v2)(fd, &half, 1, offset, flags);
    }
    return REAL(preadv64v2)(fd, iov, count, offset, flags);
}

ssize_t WRAP(pwritev64v2)(int fd, const struct iovec *iov, int count, off_t offset, int flags)
{
    struct iovec half;

    __atomic_or_fetch(&seen_flags, flags, __ATOMIC_RELAXED);
    if (fails(CALL_WRITE))
        return -1;
    if (flags & missing_flags) {
        errno = EOPNOTSUPP;
        return -1;
    }
    if (shortens(CALL_WRITE)) {
        half = half_of(iov);
        return REAL(pwritev64v2)(fd, &half, 1, offset, flags);
    }
    pause_here(CALL_WRITE);
    return REAL(pwritev64v2)(fd, iov, count, offset, flags);
}

int WRAP(fsync)(int fd)
{
    return fails(CALL_SYNC) ? -1 : REAL(fsync)(fd);
}

int WRAP(fdatasync)(int fd)
{
    return fails(CALL_SYNC) ? -1 : REAL(fdatasync)(fd);
}

int WRAP(ioctl)(int fd, unsigned long request, ...)
{
    void *argument = NULL;
    va_list list;

    va_start(list, request);
    argument = va_arg(list, void *);
    va_end(list);
    return request == FICLONERANGE && fails(CALL_CLONE) ? -1 : REAL(ioctl)(fd, request, argument);
}

ssize_t WRAP(copy_file_range)(int in, off_t *from, int out, off_t *to, size_t n, unsigned flags)
{
    return fails(CALL_COPY) ? -1
                            : REAL(copy_file_range)(in, from, out, to,
                                                    shortens(CALL_COPY) ? n / 2 + 1 : n, flags);
}

ssize_t WRAP(pwrite64)(int fd, const void *buffer, size_t n, off_t offset)
{
    return fails(CALL_PLAIN_WRITE)
               ? -1
               : REAL(pwrite64)(fd, buffer, shortens(CALL_PLAIN_WRITE) ? n / 2 + 1 : n, offset);
}

void *WRAP(malloc)(size_t size)
{
    return fails(CALL_ALLOCATE) ? NULL : REAL(malloc)(size);
}

void *WRAP(calloc)(size_t count, size_t size)
{
    return fails(CALL_ALLOCATE) ? NULL : REAL(calloc)(count, size);
}

int WRAP(posix_memalign)(void **memory, size_t alignment, size_t size)
{
    return fails(CALL_ALLOCATE) ? ENOMEM : REAL(posix_memalign)(memory, alignment, size);
}
