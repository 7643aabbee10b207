/* SPDX-License-Identifier: MIT */
/* What every function of io.h answers to what it can't do. */
#include "common.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ALL_FLAGS                                                                                  \
    (TWOSTATE_IO_DIRECT | TWOSTATE_IO_DSYNC | TWOSTATE_IO_NOWAIT | TWOSTATE_IO_APPEND |            \
     TWOSTATE_IO_DONTCACHE)

static char text[] = "some text";
static const struct iovec piece = {.iov_base = text, .iov_len = sizeof(text)};

static int create(struct twostate_engine_options options)
{
    struct twostate_engine *const none = (struct twostate_engine *)(uintptr_t)8;
    struct twostate_engine *engine = none;
    const int result = twostate_engine_create(&options, &engine);

    if (result)
        assert_ptr_equal(engine, none);
    else
        assert_int_equal(twostate_engine_destroy(engine), 0);
    return result;
}

static void engine_options(void **state)
{
    struct twostate_engine *engine = NULL;
    bool uring = false;

    (void)state;
    assert_int_equal(twostate_engine_create(NULL, NULL), -EINVAL);
    assert_int_equal(twostate_engine_destroy(NULL), -EINVAL);
    assert_int_equal(twostate_engine_backend(NULL), -EINVAL);
    assert_int_equal(create((struct twostate_engine_options){.backend = 3}), -EINVAL);
    assert_int_equal(create((struct twostate_engine_options){.queue_depth = 4097}), -EINVAL);
    assert_int_equal(create((struct twostate_engine_options){.workers = 257}), -EINVAL);
    assert_int_equal(create((struct twostate_engine_options){.queue_depth = UINT_MAX}), -EINVAL);
    assert_int_equal(create((struct twostate_engine_options){.backend = 2, .queue_depth = 1}), 0);
    assert_int_equal(
        create((struct twostate_engine_options){.backend = 2, .queue_depth = 4096, .workers = 256}),
        0);
    assert_int_equal(create((struct twostate_engine_options){.queue_depth = 3, .workers = 1}), 0);
    assert_int_equal(create((struct twostate_engine_options){.reserved = {1}}), -EINVAL);
    assert_int_equal(create((struct twostate_engine_options){.reserved = {0, 1}}), -EINVAL);
    assert_int_equal(create((struct twostate_engine_options){.reserved = {0, 0, UINT64_MAX}}),
                     -EINVAL);
    uring = create((struct twostate_engine_options){.backend = TWOSTATE_BACKEND_URING}) == 0;
    assert_int_equal(twostate_engine_create(NULL, &engine), 0);
    assert_int_equal(twostate_engine_backend(engine),
                     uring ? TWOSTATE_BACKEND_URING : TWOSTATE_BACKEND_THREADS);
    print_message("chosen: %s\n", uring ? "io_uring" : "threads");
    assert_int_equal(twostate_engine_destroy(engine), 0);
}

static void destroy_with_open_files(void **state)
{
    struct fixture *f = *state;
    struct twostate_file *other = file_new(f->engine, &f->scratch, O_RDWR);

    assert_int_equal(twostate_engine_destroy(f->engine), -EBUSY);
    assert_int_equal(twostate_file_close(other), 0);
    assert_int_equal(twostate_engine_destroy(f->engine), -EBUSY);
    assert_int_equal(twostate_pwrite(f->file, text, sizeof(text), 0, 0), sizeof(text));
}

static int try_open(struct fixture *f, const char *path, int flags)
{
    struct twostate_file *const none = (struct twostate_file *)(uintptr_t)8;
    struct twostate_file *file = none;
    const int result = twostate_file_open(f->engine, path, flags, 0600, &file);

    if (result)
        assert_ptr_equal(file, none);
    else
        assert_int_equal(twostate_file_close(file), 0);
    return result;
}

static void open_arguments(void **state)
{
    const int flags[] = {O_APPEND, O_DIRECT,    O_SYNC,    O_DSYNC, O_NONBLOCK,
                         O_PATH,   O_DIRECTORY, O_TMPFILE, O_ASYNC, O_NOATIME};
    struct fixture *f = *state;
    struct twostate_file *file = NULL;

    assert_int_equal(twostate_file_open(NULL, "x", O_RDWR, 0, &file), -EINVAL);
    assert_int_equal(twostate_file_open(f->engine, NULL, O_RDWR, 0, &file), -EINVAL);
    assert_int_equal(twostate_file_open(f->engine, "x", O_RDWR, 0, NULL), -EINVAL);
    assert_int_equal(try_open(f, f->scratch.path, O_ACCMODE), -EINVAL);
    for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++)
        assert_int_equal(try_open(f, f->scratch.path, O_RDWR | flags[i]), -EOPNOTSUPP);
    assert_int_equal(try_open(f, "/no/such/file", O_RDWR), -ENOENT);
    assert_int_equal(try_open(f, "", O_RDWR), -ENOENT);
    assert_int_equal(try_open(f, f->scratch.path, O_RDWR | O_CREAT | O_EXCL), -EEXIST);
    assert_int_equal(try_open(f, f->scratch.path, O_RDWR | O_NOFOLLOW), -ELOOP);
    assert_int_equal(twostate_pwrite(f->file, text, sizeof(text), 0, 0), sizeof(text));
    assert_int_equal(try_open(f, f->scratch.path, O_RDWR | O_TRUNC), 0);
    assert_int_equal(twostate_pread(f->file, text, sizeof(text), 0, 0), 0);
}

/* Nor does any of them make the caller wait for another end. */
static void open_special_files(void **state)
{
    const int access[] = {O_RDONLY, O_WRONLY, O_RDWR};
    struct fixture *f = *state;
    char directory[4096];
    char fifo[4200];

    (void)snprintf(directory, sizeof(directory), "%s/engine-XXXXXX", test_directory());
    assert_non_null(mkdtemp(directory));
    (void)snprintf(fifo, sizeof(fifo), "%s/fifo", directory);
    assert_int_equal(mkfifo(fifo, 0600), 0);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(try_open(f, fifo, access[i]), -EINVAL);
        assert_int_equal(try_open(f, directory, access[i]), -EINVAL);
        assert_int_equal(try_open(f, "/dev/null", access[i]), -EINVAL);
    }
    assert_int_equal(unlink(fifo), 0);
    assert_int_equal(rmdir(directory), 0);
}

/* What a later version may have in them is refused in options, and 0 in what is filled in. */
static void room(void **state)
{
    static const uint64_t none[8];
    struct twostate_engine_info info;
    struct twostate_file_stat stat;
    struct fixture *f = *state;

    for (int i = 0; i < 3; i++) {
        struct twostate_file_options options = {.folio = 0};
        struct twostate_file *file = NULL;

        options.reserved[i] = UINT64_C(1) << 32;
        assert_int_equal(
            twostate_file_open_with(f->engine, f->scratch.path, O_RDWR, 0, &options, &file),
            -EINVAL);
        assert_null(file);
    }
    memset(&info, 0xff, sizeof(info));
    memset(&stat, 0xff, sizeof(stat));
    assert_int_equal(twostate_engine_query(f->engine, &info), 0);
    assert_memory_equal(info.reserved, none, sizeof(info.reserved));
    assert_int_equal(twostate_stat(f->file, &stat), 0);
    assert_memory_equal(stat.reserved, none, sizeof(stat.reserved));
}

static void never_called(void *arg, ssize_t result)
{
    (void)arg, (void)result;
    fail();
}

/* The same call on a file in each of the four ways to read or write. */
static void expect(struct twostate_file *file, const struct iovec *iov, int count, int64_t offset,
                   unsigned flags, bool write, int error)
{
    if (write) {
        assert_int_equal(twostate_pwritev(file, iov, count, offset, flags), error);
        assert_int_equal(
            twostate_pwritev_async(file, iov, count, offset, flags, never_called, NULL), error);
    } else {
        assert_int_equal(twostate_preadv(file, iov, count, offset, flags), error);
        assert_int_equal(twostate_preadv_async(file, iov, count, offset, flags, never_called, NULL),
                         error);
    }
}

static void transfer_arguments(void **state)
{
    const struct iovec null = {.iov_len = 1};
    const struct iovec huge[] = {{text, SSIZE_MAX}, {text, 1}};
    struct iovec *many = calloc(IOV_MAX + 1, sizeof(*many));
    struct fixture *f = *state;

    for (int write = 0; write < 2; write++)
        for (unsigned flags = 0; flags < 2; flags++) {
            expect(NULL, &piece, 1, 0, flags, write, -EINVAL);
            expect(f->file, NULL, 1, 0, flags, write, -EINVAL);
            expect(f->file, &null, 1, 0, flags, write, -EINVAL);
            expect(f->file, &piece, -1, 0, flags, write, -EINVAL);
            expect(f->file, &piece, INT_MIN, 0, flags, write, -EINVAL);
            expect(f->file, &piece, 1, -1, flags, write, -EINVAL);
            expect(f->file, &piece, 1, INT64_MIN, flags, write, -EINVAL);
            expect(f->file, huge, 2, 0, flags, write, -EINVAL);
            expect(f->file, many, IOV_MAX + 1, 0, flags, write, -EINVAL);
            assert_int_equal(twostate_preadv(f->file, many, IOV_MAX, 0, flags), 0);
            assert_int_equal(twostate_pwritev(f->file, many, IOV_MAX, 0, flags), 0);
            for (unsigned bit = 32; bit; bit <<= 1)
                expect(f->file, &piece, 1, 0, flags | bit, write, -EINVAL);
        }
    expect(f->file, &piece, 1, 0, TWOSTATE_IO_DSYNC, false, -EINVAL);
    expect(f->file, &piece, 1, 0, TWOSTATE_IO_APPEND, false, -EINVAL);
    assert_int_equal(twostate_append(f->file, &piece, 1, 1U << 31, NULL), -EINVAL);
    assert_int_equal(twostate_append(NULL, &piece, 1, 0, NULL), -EINVAL);
    assert_int_equal(twostate_pread(f->file, NULL, 1, 0, 0), -EINVAL);
    assert_int_equal(twostate_pwrite(f->file, NULL, 1, 0, 0), -EINVAL);
    assert_int_equal(twostate_preadv_async(f->file, &piece, 1, 0, 0, NULL, NULL), -EINVAL);
    assert_int_equal(twostate_pwritev_async(f->file, &piece, 1, 0, 0, NULL, NULL), -EINVAL);
    assert_int_equal(twostate_fsync_async(f->file, NULL, NULL), -EINVAL);
    assert_int_equal(twostate_fsync_async(NULL, pending_done, NULL), -EINVAL);
    free(many);
}

static void offsets_at_the_end_of_the_range(void **state)
{
    struct fixture *f = *state;
    int64_t moved = 0;

    for (unsigned flags = 0; flags < 2; flags++) {
        expect(f->file, &piece, 1, INT64_MAX, flags, true, -EFBIG);
        expect(f->file, &piece, 1, INT64_MAX - (int64_t)sizeof(text) + 1, flags, true, -EFBIG);
        assert_int_equal(twostate_pread(f->file, text, sizeof(text), INT64_MAX, flags), 0);
        assert_int_equal(twostate_pread(f->file, text, sizeof(text), INT64_MAX - 1, flags), 0);
        assert_int_equal(twostate_pread(f->file, text, sizeof(text), 1, flags), 0);
        /* Some file systems have files as large as that. */
        moved = twostate_pwrite(f->file, text, sizeof(text), INT64_MAX - 8192, flags);
        assert_true(moved == sizeof(text) || moved == -EFBIG);
        assert_int_equal(twostate_truncate(f->file, 0), 0);
    }
}

static void nothing_to_transfer(void **state)
{
    const struct iovec empty[] = {{NULL, 0}, {text, 0}};
    struct pending pending = {0};
    struct fixture *f = *state;
    int64_t at = 77;

    for (unsigned flags = 0; flags < 2; flags++) {
        assert_int_equal(twostate_pread(f->file, NULL, 0, 0, flags), 0);
        assert_int_equal(twostate_pwrite(f->file, NULL, 0, 1 << 20, flags), 0);
        assert_int_equal(twostate_preadv(f->file, NULL, 0, 0, flags), 0);
        assert_int_equal(twostate_pwritev(f->file, empty, 2, INT64_MAX, flags), 0);
        assert_int_equal(twostate_append(f->file, empty, 2, flags, &at), 0);
        pending = (struct pending){0};
        assert_int_equal(
            twostate_pwritev_async(f->file, NULL, 0, 100, flags, pending_done, &pending), 0);
        assert_int_equal(pending_wait(&pending), 0);
    }
    assert_int_equal(file_size_(f->file), 0);
    assert_int_equal(twostate_append(f->file, &piece, 1, 0, &at), sizeof(text));
    assert_int_equal(at, 0);
    assert_int_equal(twostate_append(f->file, &piece, 1, TWOSTATE_IO_DIRECT, &at), sizeof(text));
    assert_int_equal(at, sizeof(text));
}

static void whole_file_arguments(void **state)
{
    struct twostate_file_stat stat;
    struct fixture *f = *state;
    int result = 0;

    assert_int_equal(twostate_truncate(NULL, 0), -EINVAL);
    assert_int_equal(twostate_truncate(f->file, -1), -EINVAL);
    result = twostate_truncate(f->file, INT64_MAX);
    assert_true(result == -EFBIG || (result == 0 && twostate_truncate(f->file, 0) == 0));
    assert_int_equal(twostate_fallocate(NULL, 0, 0, 1), -EINVAL);
    assert_int_equal(twostate_fallocate(f->file, 0, -1, 1), -EINVAL);
    assert_int_equal(twostate_fallocate(f->file, 0, 0, 0), -EINVAL);
    assert_int_equal(twostate_fallocate(f->file, 0, 0, -1), -EINVAL);
    assert_int_equal(twostate_fallocate(f->file, 0, INT64_MAX, 1), -EFBIG);
    assert_int_equal(twostate_fallocate(f->file, 1 << 20, 0, 1), -EOPNOTSUPP);
    assert_int_equal(twostate_seek(NULL, 0, SEEK_DATA), -EINVAL);
    assert_int_equal(twostate_seek(f->file, -1, SEEK_DATA), -EINVAL);
    assert_int_equal(twostate_seek(f->file, 0, SEEK_SET), -EINVAL);
    assert_int_equal(twostate_seek(f->file, 0, SEEK_HOLE), -ENXIO);
    assert_int_equal(twostate_seek(f->file, INT64_MAX, SEEK_DATA), -ENXIO);
    assert_int_equal(twostate_stat(NULL, &stat), -EINVAL);
    assert_int_equal(twostate_stat(f->file, NULL), -EINVAL);
    assert_int_equal(twostate_fsync(NULL), -EINVAL);
    assert_int_equal(twostate_fdatasync(NULL), -EINVAL);
    assert_int_equal(twostate_file_close(NULL), -EINVAL);
    assert_int_equal(file_size_(f->file), 0);
    assert_int_equal(twostate_stat(f->file, &stat), 0);
    assert_int_equal(stat.size, 0);
    assert_true(stat.block >= 512);
}

static void remap_arguments(void **state)
{
    struct fixture *f = *state;
    struct scratch scratch;
    struct twostate_file *other = NULL;

    scratch_open(&scratch);
    other = file_new(f->engine, &scratch, O_RDWR);
    assert_int_equal(twostate_remap(NULL, 0, other, 0, 1), -EINVAL);
    assert_int_equal(twostate_remap(f->file, 0, NULL, 0, 1), -EINVAL);
    assert_int_equal(twostate_remap(f->file, -1, other, 0, 1), -EINVAL);
    assert_int_equal(twostate_remap(f->file, 0, other, -1, 1), -EINVAL);
    assert_int_equal(twostate_remap(f->file, 0, other, 0, -1), -EINVAL);
    assert_int_equal(twostate_remap(f->file, INT64_MAX, other, 0, 1), -EFBIG);
    assert_int_equal(twostate_remap(f->file, 0, other, INT64_MAX, 1), -EFBIG);
    assert_int_equal(twostate_remap(f->file, 0, f->file, 5, 6), -EINVAL);
    assert_int_equal(twostate_remap(f->file, 5, f->file, 0, 6), -EINVAL);
    assert_int_equal(twostate_remap(f->file, 0, other, 0, 100), 0);
    assert_int_equal(twostate_pwrite(f->file, text, sizeof(text), 0, 0), sizeof(text));
    assert_int_equal(twostate_remap(f->file, 1, other, 10, 100), sizeof(text) - 1);
    assert_int_equal(twostate_remap(f->file, 0, other, 0, 0), 0);
    assert_int_equal(file_size_(other), 10 + sizeof(text) - 1);
    assert_int_equal(twostate_remap(f->file, 100, other, 0, 1), 0);
    assert_true(file_is_free(other));
    assert_int_equal(twostate_file_close(other), 0);
    scratch_close(&scratch);
}

static void wrong_access(void **state)
{
    char *buffer = memory_new(8192);
    const struct iovec block = {.iov_base = buffer, .iov_len = 4096};
    struct fixture *f = *state;
    struct twostate_file *reader = file_new(f->engine, &f->scratch, O_RDONLY);
    struct twostate_file *writer = file_new(f->engine, &f->scratch, O_WRONLY);

    assert_int_equal(twostate_pwrite(f->file, buffer, 8192, 0, 0), 8192);
    for (unsigned flags = 0; flags < 2; flags++)
        for (int64_t offset = 0; offset <= 8192; offset += 4095) {
            struct pending pending = {0};
            int result = 0;

            assert_int_equal(twostate_pwritev(reader, &block, 1, offset, flags), -EBADF);
            assert_int_equal(twostate_preadv(writer, &block, 1, offset, flags), -EBADF);
            assert_int_equal(twostate_append(reader, &block, 1, flags, NULL), -EBADF);
            result =
                twostate_pwritev_async(reader, &block, 1, offset, flags, pending_done, &pending);
            assert_int_equal(result ? result : pending_wait(&pending), -EBADF);
        }
    assert_int_equal(twostate_truncate(reader, 0), -EBADF);
    assert_int_equal(twostate_fallocate(reader, 0, 0, 1), -EBADF);
    assert_int_equal(twostate_remap(f->file, 0, reader, 0, 1), -EBADF);
    assert_int_equal(twostate_remap(writer, 0, f->file, 0, 1), -EBADF);
    assert_int_equal(file_size_(f->file), 8192);
    assert_int_equal(twostate_pread(reader, buffer, 4096, 0, TWOSTATE_IO_DIRECT), 4096);
    assert_int_equal(twostate_fsync(reader), 0);
    assert_true(file_is_free(reader) && file_is_free(writer));
    assert_int_equal(twostate_file_close(reader), 0);
    assert_int_equal(twostate_file_close(writer), 0);
    free(buffer);
}

/* Every function of a file that is being closed. */
static void being_closed(void **state)
{
    struct twostate_file_stat stat;
    struct fixture *f = *state;
    struct twostate_file *file = f->file;
    struct scratch scratch;
    struct twostate_file *other = NULL;

    scratch_open(&scratch);
    other = file_new(f->engine, &scratch, O_RDWR);
    twostate_iolock_acquire(&file->users, TWOSTATE_EXCLUSIVE); /* as close does */
    for (int write = 0; write < 2; write++)
        expect(file, &piece, 1, 0, 0, write, -EBADF);
    assert_int_equal(twostate_append(file, &piece, 1, 0, NULL), -EBADF);
    assert_int_equal(twostate_fsync(file), -EBADF);
    assert_int_equal(twostate_fdatasync(file), -EBADF);
    assert_int_equal(twostate_fsync_async(file, never_called, NULL), -EBADF);
    assert_int_equal(twostate_truncate(file, 0), -EBADF);
    assert_int_equal(twostate_fallocate(file, 0, 0, 1), -EBADF);
    assert_int_equal(twostate_seek(file, 0, SEEK_DATA), -EBADF);
    assert_int_equal(twostate_stat(file, &stat), -EBADF);
    assert_int_equal(twostate_remap(file, 0, other, 0, 1), -EBADF);
    assert_int_equal(twostate_remap(other, 0, file, 0, 1), -EBADF);
    assert_int_equal(twostate_file_close(file), -EBADF);
    twostate_iolock_release(&file->users, TWOSTATE_EXCLUSIVE);
    assert_int_equal(twostate_file_close(other), 0);
    scratch_close(&scratch);
}

struct opening {
    struct task task;
    struct fixture *f;
    const char *path;
    struct twostate_file *file;
    int result;
};

static void open_it(void *argument)
{
    struct opening *opening = argument;

    opening->result =
        twostate_file_open(opening->f->engine, opening->path, O_RDWR, 0, &opening->file);
}

/* Another process may have a lease on the file: open waits until it has given it back. */
static void open_leased(void **state)
{
    struct fixture *f = *state;
    struct scratch scratch;
    const struct timespec no_time = {0};
    sigset_t broken;

    sigemptyset(&broken);
    sigaddset(&broken, SIGIO);
    CHECK(pthread_sigmask(SIG_BLOCK, &broken, NULL) == 0);
    scratch_open(&scratch);
    if (fcntl(scratch.fd, F_SETLEASE, F_WRLCK) == 0) {
        struct opening opening = {.f = f, .path = scratch.path, .result = 1};

        task_start(&opening.task, open_it, &opening);
        AWAIT(sigtimedwait(&broken, NULL, &no_time) == SIGIO || task_done(&opening.task));
        CHECK(fcntl(scratch.fd, F_SETLEASE, F_UNLCK) == 0);
        task_join(&opening.task);
        assert_int_equal(opening.result, 0);
        assert_int_equal(twostate_file_close(opening.file), 0);
    } else {
        print_message("NOT TESTED: leases: %s\n", strerror(errno));
    }
    scratch_close(&scratch);
    CHECK(pthread_sigmask(SIG_UNBLOCK, &broken, NULL) == 0);
}

/* Who is to be late at the next close(2); NULL: nobody. */
static struct twostate_file *closing;
static uint32_t late;

static void *come_late(void *file)
{
    CHECK(twostate_pread(file, (char[1]){0}, 1, 0, 0) == -EBADF);
    CHECK(twostate_pwritev(file, &piece, 1, 0, 0) == -EBADF);
    CHECK(twostate_fsync(file) == -EBADF);
    late++;
    return NULL;
}

int __real_close(int fd);
int __wrap_close(int fd);
int __wrap_close(int fd)
{
    struct twostate_file *file = closing;
    pthread_t thread;

    closing = NULL;
    if (file) {
        CHECK(pthread_create(&thread, NULL, come_late, file) == 0);
        CHECK(pthread_join(thread, NULL) == 0);
    }
    return __real_close(fd);
}

/* The same when close has done nearly all that it has to: the cache is gone. */
static void nearly_closed(void **state)
{
    struct fixture *f = *state;

    for (int cache = TWOSTATE_CACHE_KERNEL; cache <= TWOSTATE_CACHE_USER; cache++) {
        const struct twostate_file_options options = {.cache = (enum twostate_cache)cache};
        struct scratch scratch;
        struct twostate_file *file = NULL;

        scratch_open(&scratch);
        const int result =
            twostate_file_open_with(f->engine, scratch.path, O_RDWR, 0, &options, &file);

        if (result == 0) {
            late = 0;
            closing = file;
            assert_int_equal(twostate_file_close(file), 0);
            assert_int_equal(late, 1);
        } else { /* no O_DIRECT here */
            assert_true(cache == TWOSTATE_CACHE_USER && result == -EOPNOTSUPP);
        }
        scratch_close(&scratch);
    }
}

/* errno is the caller's, whatever happens. */
static void errno_is_not_set(void **state)
{
    struct fixture *f = *state;
    struct twostate_file *reader = file_new(f->engine, &f->scratch, O_RDONLY);

    errno = 4711;
    assert_int_equal(twostate_pwrite(reader, text, 1, 0, 0), -EBADF);
    assert_int_equal(twostate_pwrite(f->file, text, 1, INT64_MAX - 1, ALL_FLAGS & ~8U), -EAGAIN);
    (void)twostate_fallocate(f->file, 1 << 20, 0, 1);
    (void)twostate_truncate(f->file, INT64_MAX);
    (void)twostate_seek(f->file, 100, SEEK_DATA);
    (void)twostate_remap(f->file, 0, reader, 0, 1);
    (void)try_open(f, "/no/such/file", O_RDWR);
    (void)twostate_fsync(f->file);
    assert_int_equal(twostate_file_close(reader), 0);
    assert_int_equal(errno, 4711);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(engine_options),
        ENGINE_TEST(destroy_with_open_files),
        ENGINE_TEST(open_arguments),
        ENGINE_TEST(open_special_files),
        ENGINE_TEST(room),
        ENGINE_TEST(transfer_arguments),
        ENGINE_TEST(offsets_at_the_end_of_the_range),
        ENGINE_TEST(nothing_to_transfer),
        ENGINE_TEST(whole_file_arguments),
        ENGINE_TEST(remap_arguments),
        ENGINE_TEST(wrong_access),
        ENGINE_TEST(open_leased),
        ENGINE_TEST(being_closed),
        ENGINE_TEST(nearly_closed),
        ENGINE_TEST(errno_is_not_set),
    };

    return RUN_WITH_BACKENDS(tests);
}
