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
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
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
    uint32_t from; /* calls that go wrong: [from, to) */
    uint32_t to;
    struct hit hit;
    uint32_t shorten;
    uint32_t pause;
} plans[CALL_KINDS];

static uint32_t only_file; /* its number, or a part of it; 0: all */
static int missing_flags;  /* atomic */
static int seen_flags;     /* atomic */
static uint32_t hits;
static uint32_t changes; /* of files, that have to be made durable yet */
static uint32_t durable; /* of those */
static _Thread_local bool spared;

/* What the linker calls the functions that are wrapped, and those that wrap them. */
#define REAL(name) __real_##name
#define WRAP(name) __wrap_##name
#if __SIZEOF_LONG__ == 4 /* those that know of a 64-bit time_t have other names */
#define __real_fstat64 __real___fstat64_time64
#define __wrap_fstat64 __wrap___fstat64_time64
#define __real_ioctl   __real___ioctl_time64
#define __wrap_ioctl   __wrap___ioctl_time64
#endif
int REAL(open64)(const char *path, int flags, ...);
int REAL(fstat64)(int fd, struct stat *st);
ssize_t REAL(preadv64v2)(int fd, const struct iovec *iov, int count, off_t offset, int flags);
ssize_t REAL(pwritev64v2)(int fd, const struct iovec *iov, int count, off_t offset, int flags);
int REAL(fsync)(int fd);
int REAL(fdatasync)(int fd);
int REAL(ftruncate64)(int fd, off_t length);
int REAL(fallocate64)(int fd, int mode, off_t offset, off_t length);
int REAL(ioctl)(int fd, unsigned long request, ...);
ssize_t REAL(copy_file_range)(int in, off_t *from, int out, off_t *to, size_t n, unsigned flags);
ssize_t REAL(pwrite64)(int fd, const void *buffer, size_t n, off_t offset);
void *REAL(malloc)(size_t size);
void *REAL(calloc)(size_t count, size_t size);
int REAL(posix_memalign)(void **memory, size_t alignment, size_t size);
void *REAL(mmap64)(void *at, size_t length, int protection, int flags, int fd, off_t offset);
int REAL(eventfd)(unsigned count, int flags);
int REAL(pthread_create)(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
                         void *argument);

int WRAP(open64)(const char *path, int flags, ...);
int WRAP(fstat64)(int fd, struct stat *st);
ssize_t WRAP(preadv64v2)(int fd, const struct iovec *iov, int count, off_t offset, int flags);
ssize_t WRAP(pwritev64v2)(int fd, const struct iovec *iov, int count, off_t offset, int flags);
int WRAP(fsync)(int fd);
int WRAP(fdatasync)(int fd);
int WRAP(ftruncate64)(int fd, off_t length);
int WRAP(fallocate64)(int fd, int mode, off_t offset, off_t length);
int WRAP(ioctl)(int fd, unsigned long request, ...);
ssize_t WRAP(copy_file_range)(int in, off_t *from, int out, off_t *to, size_t n, unsigned flags);
ssize_t WRAP(pwrite64)(int fd, const void *buffer, size_t n, off_t offset);
void *WRAP(malloc)(size_t size);
void *WRAP(calloc)(size_t count, size_t size);
int WRAP(posix_memalign)(void **memory, size_t alignment, size_t size);
void *WRAP(mmap64)(void *at, size_t length, int protection, int flags, int fd, off_t offset);
int WRAP(eventfd)(unsigned count, int flags);
int WRAP(pthread_create)(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
                         void *argument);

void inject_fault(enum call_kind kind, enum fault fault, uint32_t nth, uint32_t times, int error)
{
    struct plan *plan = &plans[kind];

    plan->hit = (struct hit){fault, error};
    plan->from = load(&plan->calls) + nth;
    store(&plan->to, times > UINT32_MAX - plan->from ? UINT32_MAX : plan->from + times);
}

void inject_error(enum call_kind kind, uint32_t nth, uint32_t times, int error)
{
    inject_fault(kind, FAULT_ERROR, nth, times, error);
}

void inject_only_file(int fd)
{
    struct stat st;

    CHECK(REAL(fstat64)(fd, &st) == 0);
    store(&only_file, (uint32_t)st.st_ino);
}

static bool is_concerned(int fd)
{
    const uint32_t only = load(&only_file);
    struct stat st;

    return only == 0 || (REAL(fstat64)(fd, &st) == 0 && (uint32_t)st.st_ino == only);
}

uint32_t inject_hits(void)
{
    return load(&hits);
}

bool inject_spare(bool spare)
{
    const bool before = spared;

    spared = spare;
    return before;
}

bool inject_durable(void)
{
    return load(&durable) == load(&changes);
}

uint32_t inject_changes(void)
{
    return load(&changes);
}

void inject_note_write(int rw_flags)
{
    if (!(rw_flags & RWF_DSYNC))
        add(&changes, 1);
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
    __atomic_store_n(&missing_flags, 0, __ATOMIC_RELAXED);
    store(&only_file, 0);
    store(&hits, 0);
}

void inject_without_flags(int rw_flags)
{
    __atomic_store_n(&missing_flags, rw_flags, __ATOMIC_RELAXED);
}

int inject_flags(void)
{
    return __atomic_exchange_n(&seen_flags, 0, __ATOMIC_RELAXED);
}

struct hit inject_next(enum call_kind kind)
{
    struct plan *plan = &plans[kind];
    uint32_t call = 0;
    uint32_t to = 0;

    if (spared)
        return (struct hit){FAULT_NONE, 0};
    call = add(&plan->calls, 1);
    to = load(&plan->to);
    if (call >= to || call < plan->from)
        return (struct hit){FAULT_NONE, 0};
    add(&hits, 1);
    return plan->hit;
}

/* Counts the call in. True: it is to fail, with errno. */
static bool fails(enum call_kind kind)
{
    const struct hit hit = inject_next(kind);

    if (hit.fault == FAULT_NONE)
        return false;
    errno = hit.error;
    return true;
}

/* What a call that was carried out, unless it was to fail, answers. */
static int answer(struct hit hit, int result)
{
    if (hit.fault == FAULT_NONE)
        return result;
    errno = hit.error;
    return -1;
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
    return fails(flags & O_DIRECT ? CALL_OPEN_DIRECT : CALL_OPEN) ? -1
                                                                  : REAL(open64)(path, flags, mode);
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
    const size_t unit = iov->iov_len >= 4096 ? 4096 : iov->iov_len % 512 == 0 ? 512 : 1;
    const size_t half = iov->iov_len / 2 + 1;

    return (struct iovec){iov->iov_base, (half + unit - 1) / unit * unit};
}

void inject_tear(int fd, const struct iovec *iov, int count, off_t offset)
{
    static _Thread_local _Alignas(4096) char sectors[32 * 512];
    size_t length = 0;

    for (int i = 0; i < count && length < sizeof(sectors); i++) {
        const size_t room = sizeof(sectors) - length;
        const size_t n = iov[i].iov_len < room ? iov[i].iov_len : room;

        memcpy(sectors + length, iov[i].iov_base, n);
        length += n;
    }
    for (size_t at = 0; at + 512 <= length; at += 1024)
        (void)!REAL(pwrite64)(fd, sectors + at, 512, offset + (off_t)at);
}

static ssize_t transfer(bool write, int fd, const struct iovec *iov, int count, off_t offset,
                        int flags)
{
    ssize_t moved = write ? REAL(pwritev64v2)(fd, iov, count, offset, flags)
                          : REAL(preadv64v2)(fd, iov, count, offset, flags);

    if (write && moved > 0 && !spared)
        inject_note_write(flags);
    return moved;
}

static ssize_t faulty_transfer(bool write, int fd, const struct iovec *iov, int count, off_t offset,
                               int flags)
{
    const enum call_kind kind = write ? CALL_WRITE : CALL_READ;
    const struct hit none = {.fault = FAULT_NONE};
    const struct hit hit = is_concerned(fd) ? inject_next(kind) : none;
    struct iovec half;

    if (hit.fault == FAULT_TORN && write)
        inject_tear(fd, iov, count, offset);
    else if (hit.fault == FAULT_LATE_ERROR)
        (void)(write ? REAL(pwritev64v2)(fd, iov, count, offset, flags)
                     : REAL(preadv64v2)(fd, iov, count, offset, flags));
    if (hit.fault != FAULT_NONE && hit.fault != FAULT_SHORT) {
        errno = hit.error;
        return -1;
    }
    if (flags & __atomic_load_n(&missing_flags, __ATOMIC_RELAXED)) {
        errno = EOPNOTSUPP;
        return -1;
    }
    if (hit.fault == FAULT_SHORT || shortens(kind)) {
        half = half_of(iov);
        return transfer(write, fd, &half, 1, offset, flags);
    }
    if (write)
        pause_here(CALL_WRITE);
    return transfer(write, fd, iov, count, offset, flags);
}

ssize_t WRAP(preadv64v2)(int fd, const struct iovec *iov, int count, off_t offset, int flags)
{
    return faulty_transfer(false, fd, iov, count, offset, flags);
}

ssize_t WRAP(pwritev64v2)(int fd, const struct iovec *iov, int count, off_t offset, int flags)
{
    __atomic_or_fetch(&seen_flags, flags, __ATOMIC_RELAXED);
    return faulty_transfer(true, fd, iov, count, offset, flags);
}

static int sync_with(int (*sync)(int fd), int fd)
{
    const struct hit hit = inject_next(CALL_SYNC);
    const uint32_t before = load(&changes);
    const int result = hit.fault == FAULT_ERROR ? -1 : sync(fd);

    if (result == 0 && hit.fault == FAULT_NONE && before > load(&durable))
        store(&durable, before);
    return answer(hit, result);
}

int WRAP(fsync)(int fd)
{
    return sync_with(REAL(fsync), fd);
}

int WRAP(fdatasync)(int fd)
{
    return sync_with(REAL(fdatasync), fd);
}

/* The file has changed, if the call was made, worked, and says so. */
static int changed(struct hit hit, int result)
{
    if (result == 0 && hit.fault == FAULT_NONE)
        add(&changes, 1);
    return answer(hit, result);
}

int WRAP(ftruncate64)(int fd, off_t length)
{
    const struct hit hit = inject_next(CALL_TRUNCATE);
    const int result = hit.fault == FAULT_ERROR ? -1 : REAL(ftruncate64)(fd, length);

    pause_here(CALL_TRUNCATE);
    return changed(hit, result);
}

int WRAP(fallocate64)(int fd, int mode, off_t offset, off_t length)
{
    const struct hit hit = inject_next(CALL_FALLOCATE);

    return changed(hit,
                   hit.fault == FAULT_ERROR ? -1 : REAL(fallocate64)(fd, mode, offset, length));
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

void *WRAP(mmap64)(void *at, size_t length, int protection, int flags, int fd, off_t offset)
{
    return fails(CALL_ALLOCATE) ? MAP_FAILED
                                : REAL(mmap64)(at, length, protection, flags, fd, offset);
}

int WRAP(eventfd)(unsigned count, int flags)
{
    return fails(CALL_OPEN) ? -1 : REAL(eventfd)(count, flags);
}

int WRAP(pthread_create)(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
                         void *argument)
{
    return fails(CALL_THREAD) ? EAGAIN : REAL(pthread_create)(thread, attributes, run, argument);
}
