/* SPDX-License-Identifier: MIT */
/* The kernel fails, does less than asked, or does it at the worst moment. */
#include "common.h"
#include "inject.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#ifndef RWF_DONTCACHE
#define RWF_DONTCACHE 0x80
#endif

#define SIZE ((size_t)64 * KIB)

static int leave(void **state)
{
    inject_nothing();
    return fixture_leave(state);
}

#define FAULT_TEST(name) cmocka_unit_test_setup_teardown(name, fixture_enter, leave)

/* pitfall E13: the first failure is told by every later sync, until the file is closed. */
static void failed_sync_stays_failed(void **state)
{
    struct fixture *f = *state;
    struct pending pending = {0};
    const struct iovec iov = {(char[]){"x"}, 1};
    int64_t at = 0;

    for (int data_only = 0; data_only < 2; data_only++) {
        assert_int_equal(twostate_pwrite(f->file, "a", 1, 0, TWOSTATE_IO_DSYNC), 1);
        assert_int_equal(twostate_fsync(f->file), 0);
        inject_error(CALL_SYNC, 1, 1, data_only ? ENOSPC : EIO);
        at = data_only ? -ENOSPC : -EIO;
        assert_int_equal(data_only ? twostate_fdatasync(f->file) : twostate_fsync(f->file), at);
        assert_int_equal(twostate_fsync(f->file), at);
        assert_int_equal(twostate_fdatasync(f->file), at);
        inject_error(CALL_SYNC, 1, 1, EDQUOT); /* the first is what counts */
        assert_int_equal(twostate_fsync(f->file), at);
        assert_int_equal(twostate_pwrite(f->file, "b", 1, 0, TWOSTATE_IO_DSYNC), at);
        assert_int_equal(twostate_append(f->file, &iov, 1, TWOSTATE_IO_DSYNC, NULL), at);
        pending = (struct pending){0};
        assert_int_equal(twostate_fsync_async(f->file, pending_done, &pending), 0);
        assert_int_equal(pending_wait(&pending), at);
        pending = (struct pending){0};
        assert_int_equal(
            twostate_pwritev_async(f->file, &iov, 1, 0, TWOSTATE_IO_DSYNC, pending_done, &pending),
            0);
        assert_int_equal(pending_wait(&pending), at);
        assert_int_equal(twostate_pwrite(f->file, "c", 1, 0, 0), 1);
        assert_true(twostate_file_close(f->file) <= 0);
        f->file = file_new(f->engine, &f->scratch, O_RDWR);
        assert_int_equal(twostate_fsync(f->file), 0);
    }
    assert_int_equal(file_size_(f->file), 1);
}

/* A direct DSYNC write of a file that failed is not made. */
static void no_durable_write_after_a_failure(void **state)
{
    struct fixture *f = *state;
    struct pending pending = {0};
    char *buffer = memory_new(SIZE);

    assert_int_equal(twostate_pwrite(f->file, buffer, SIZE, 0, 0), SIZE);
    inject_error(CALL_SYNC, 1, 1, EIO);
    assert_int_equal(twostate_fsync(f->file), -EIO);
    memset(buffer, 1, SIZE);
    assert_int_equal(twostate_pwritev_async(f->file, &(struct iovec){buffer, SIZE}, 1, 0,
                                            TWOSTATE_IO_DIRECT | TWOSTATE_IO_DSYNC, pending_done,
                                            &pending),
                     0);
    assert_int_equal(pending_wait(&pending), -EIO);
    assert_int_equal(twostate_pread(f->file, buffer, SIZE, 0, 0), SIZE);
    assert_int_equal(buffer[0], 0);
    free(buffer);
}

/* Close tells what nobody was told. */
static void close_tells_the_error(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(twostate_pwrite(f->file, "a", 1, 0, 0), 1);
    inject_error(CALL_SYNC, 1, 1, EIO);
    assert_int_equal(twostate_file_close(f->file), -EIO);
    f->file = file_new(f->engine, &f->scratch, O_RDWR);
    assert_int_equal(twostate_fsync(f->file), 0);
}

struct write_task {
    struct task task;
    struct twostate_file *file;
};

static void write_one(void *arg)
{
    struct write_task *w = arg;

    CHECK(twostate_pwrite(w->file, "a", 1, 0, 0) == 1);
}

/* A sync in the middle of a write does not cover it: close has to sync again. pitfall E10 */
static void write_during_a_sync_is_made_durable(void **state)
{
    struct fixture *f = *state;
    struct write_task w = {.file = f->file};
    uint32_t syncs = 0;

    inject_pause(CALL_WRITE);
    task_start(&w.task, write_one, &w);
    AWAIT(inject_paused(CALL_WRITE));
    assert_int_equal(twostate_fsync(f->file), 0);
    inject_resume(CALL_WRITE);
    task_join(&w.task);
    syncs = inject_count(CALL_SYNC);
    assert_int_equal(twostate_file_close(f->file), 0);
    assert_int_equal(inject_count(CALL_SYNC), syncs + 1);
    f->file = file_new(f->engine, &f->scratch, O_RDWR);
}

static void ask_size(void *arg)
{
    struct twostate_file_stat stat;
    struct write_task *w = arg;

    CHECK(twostate_stat(w->file, &stat) == 0);
}

/* Who asks for the size may have an old answer by now: the file is not as large as that any more,
   and two appends must not take that for its end. */
static void old_size_is_not_believed(void **state)
{
    struct fixture *f = *state;
    struct write_task w = {.file = f->file};

    assert_int_equal(twostate_truncate(f->file, (int64_t)SIZE), 0);
    inject_pause(CALL_FSTAT);
    task_start(&w.task, ask_size, &w);
    AWAIT(inject_paused(CALL_FSTAT));
    assert_int_equal(twostate_truncate(f->file, 0), 0);
    inject_resume(CALL_FSTAT);
    task_join(&w.task);
    assert_int_equal(file_known_size_(f->file), 0);
}

static void write_direct(void *arg)
{
    struct write_task *w = arg;
    char *buffer = memory_new(4096);

    CHECK(twostate_pwrite(w->file, buffer, 4096, 2 * (int64_t)SIZE, TWOSTATE_IO_DIRECT) == 4096);
    free(buffer);
}

static void old_size_of_a_direct_write(void **state)
{
    struct fixture *f = *state;
    struct write_task w = {.file = f->file};

    assert_int_equal(twostate_truncate(f->file, (int64_t)SIZE), 0);
    inject_pause(CALL_FSTAT);
    task_start(&w.task, write_direct, &w);
    AWAIT(inject_paused(CALL_FSTAT));
    if (file_is_free(f->file)) { /* it looks before it locks */
        assert_int_equal(twostate_truncate(f->file, 0), 0);
        inject_resume(CALL_FSTAT);
        inject_pause(CALL_WRITE);
        AWAIT(inject_paused(CALL_WRITE));
        assert_true(file_known_size_(f->file) <= 0);
        inject_resume(CALL_WRITE);
    }
    inject_resume(CALL_FSTAT);
    task_join(&w.task);
    assert_int_equal(file_known_size_(f->file), 2 * SIZE + 4096);
}

/* Without O_DIRECT everything goes through the cache, and comes out right. */
static void file_system_without_direct_io(void **state)
{
    struct fixture *f = *state;
    struct twostate_file *file = NULL;
    struct twostate_file_stat stat;
    struct pending pending = {0};
    char *buffer = memory_new(SIZE);
    const struct iovec iov = {buffer, SIZE};
    int64_t at = -1;

    inject_error(CALL_OPEN_DIRECT, 1, 1, EINVAL);
    file = file_new(f->engine, &f->scratch, O_RDWR);
    assert_int_equal(twostate_stat(file, &stat), 0);
    assert_int_equal(stat.direct_memory, 0);
    assert_int_equal(stat.direct_offset, 0);
    memset(buffer, 1, SIZE);
    assert_int_equal(twostate_append(file, &iov, 1, TWOSTATE_IO_DIRECT, &at), SIZE);
    assert_int_equal(at, 0);
    assert_int_equal(twostate_append(file, &iov, 1, TWOSTATE_IO_DIRECT, &at), SIZE);
    assert_int_equal(at, SIZE);
    memset(buffer, 2, SIZE);
    assert_int_equal(twostate_pwrite(file, buffer, SIZE, 0, TWOSTATE_IO_DIRECT), SIZE);
    assert_int_equal(
        twostate_pwritev_async(file, &iov, 1, 0, TWOSTATE_IO_DIRECT, pending_done, &pending), 0);
    assert_int_equal(pending_wait(&pending), SIZE);
    memset(buffer, 3, SIZE);
    assert_int_equal(twostate_pread(file, buffer, SIZE, 0, TWOSTATE_IO_DIRECT), SIZE);
    assert_int_equal(buffer[SIZE - 1], 2);
    assert_int_equal(twostate_file_close(file), 0);
    inject_error(CALL_OPEN_DIRECT, 1, 1, EACCES);
    assert_int_equal(twostate_file_open(f->engine, f->scratch.path, O_RDWR, 0, &file), -EACCES);
    free(buffer);
}

/* Short transfers and EINTR are gone on with; an error after a part answers the part. */
static void sync_transfers(void **state)
{
    struct fixture *f = *state;
    char *buffer = memory_new(SIZE);
    char *back = memory_new(SIZE);

    for (size_t i = 0; i < SIZE; i++)
        buffer[i] = (char)(i % 251);
    for (unsigned flags = 0; flags < 2; flags++) {
        const struct iovec iov[] = {{buffer, SIZE / 2}, {buffer + SIZE / 2, SIZE / 2}};

        inject_short(CALL_WRITE, 3);
        inject_error(CALL_WRITE, 2, 2, EINTR);
        assert_int_equal(twostate_pwritev(f->file, iov, 2, 0, flags), SIZE);
        inject_short(CALL_READ, 2);
        inject_error(CALL_READ, 1, 3, EINTR);
        assert_int_equal(twostate_pread(f->file, back, SIZE, 0, flags), SIZE);
        assert_memory_equal(buffer, back, SIZE);
        inject_error(CALL_WRITE, 1, 1, EIO);
        assert_int_equal(twostate_pwrite(f->file, buffer, SIZE, 0, flags), -EIO);
        inject_error(CALL_READ, 1, 1, EIO);
        assert_int_equal(twostate_pread(f->file, buffer, SIZE, 0, flags), -EIO);
        inject_short(CALL_READ, 1);
        inject_error(CALL_READ, 2, 1, EIO);
        assert_in_range(twostate_pread(f->file, back, SIZE, 0, flags), SIZE / 2, SIZE - 1);
        inject_short(CALL_WRITE, 1);
        inject_error(CALL_WRITE, 2, 1, ENOSPC);
        assert_in_range(twostate_pwrite(f->file, buffer, SIZE, 0, flags), SIZE / 2, SIZE - 1);
        assert_true(file_is_free(f->file));
    }
    inject_error(CALL_WRITE, 1, 1, ENOSPC);
    assert_int_equal(twostate_append(f->file, &(struct iovec){buffer, SIZE}, 1, 0, NULL), -ENOSPC);
    assert_int_equal(file_size_(f->file), SIZE);
    free(buffer);
    free(back);
}

/* What the file system won't do with O_DIRECT is done through the cache. */
static void direct_is_refused(void **state)
{
    const int errors[] = {EINVAL, EOPNOTSUPP, ENOTBLK};
    struct fixture *f = *state;
    char *buffer = memory_new(SIZE);

    assert_int_equal(twostate_pwrite(f->file, buffer, SIZE, 0, 0), SIZE);
    for (int i = 0; i < 3; i++) {
        memset(buffer, i + 1, SIZE);
        inject_error(CALL_WRITE, 1, 1, errors[i]);
        assert_int_equal(twostate_pwrite(f->file, buffer, SIZE, 0, TWOSTATE_IO_DIRECT), SIZE);
        inject_error(CALL_WRITE, 1, 1, errors[i]); /* past the end */
        assert_int_equal(
            twostate_pwrite(f->file, buffer, SIZE, file_size_(f->file) + 4096, TWOSTATE_IO_DIRECT),
            SIZE);
        inject_error(CALL_READ, 1, 1, errors[i]);
        assert_int_equal(twostate_pread(f->file, buffer, SIZE, 0, TWOSTATE_IO_DIRECT), SIZE);
        assert_int_equal(buffer[SIZE - 1], i + 1);
        assert_true(file_is_free(f->file));
    }
    inject_error(CALL_WRITE, 1, 1, EINVAL);
    assert_int_equal(
        twostate_pwrite(f->file, buffer, SIZE, 0, TWOSTATE_IO_DIRECT | TWOSTATE_IO_DONTCACHE),
        SIZE);
    assert_int_equal(file_size_(f->file), 4 * (SIZE + 4096) - 4096);
    free(buffer);
}

/* A write is durable because the kernel is told so. */
static void durable_writes(void **state)
{
    const unsigned modes[] = {0, TWOSTATE_IO_DIRECT, TWOSTATE_IO_APPEND, TWOSTATE_IO_DONTCACHE};
    struct fixture *f = *state;
    char *buffer = memory_new(2 * MIB);

    for (int i = 0; i < 4; i++)
        for (size_t length = 4096; length <= 2 * MIB; length *= 8) {
            (void)inject_flags();
            assert_int_equal(twostate_pwrite(f->file, buffer, length, 0, modes[i]), length);
            assert_int_equal(inject_flags() & RWF_DSYNC, 0);
            assert_int_equal(
                twostate_pwrite(f->file, buffer, length, 0, modes[i] | TWOSTATE_IO_DSYNC), length);
            assert_int_equal(inject_flags() & RWF_DSYNC, RWF_DSYNC);
        }
    free(buffer);
}

/* What a client sends at most, 2 MiB, is one call of the kernel, buffered and direct. */
static void large_requests_are_one_call(void **state)
{
    const unsigned modes[] = {0, TWOSTATE_IO_DIRECT};
    struct fixture *f = *state;
    char *buffer = memory_new(2 * MIB);

    assert_int_equal(twostate_pwrite(f->file, buffer, 2 * MIB, 0, 0), 2 * MIB);
    for (int i = 0; i < 2; i++) {
        const uint32_t writes = inject_count(CALL_WRITE);
        const uint32_t reads = inject_count(CALL_READ);

        assert_int_equal(twostate_pwrite(f->file, buffer, 2 * MIB, 0, modes[i]), 2 * MIB);
        assert_int_equal(twostate_pread(f->file, buffer, 2 * MIB, 0, modes[i]), 2 * MIB);
        assert_int_equal(inject_count(CALL_WRITE), writes + 1);
        assert_int_equal(inject_count(CALL_READ), reads + 1);
    }
    free(buffer);
}

/* A file system may lack one flag of a request and have the other. */
static void missing_flags(void **state)
{
    const unsigned both = TWOSTATE_IO_DONTCACHE | TWOSTATE_IO_NOWAIT;
    struct fixture *f = *state;

    assert_int_equal(twostate_pwrite(f->file, "abc", 3, 0, 0), 3);
    inject_without_flags(RWF_NOWAIT);
    assert_int_equal(twostate_pwrite(f->file, "xyz", 3, 0, both), -EAGAIN);
    assert_int_equal(twostate_pwrite(f->file, "xyz", 3, 0, TWOSTATE_IO_NOWAIT), -EAGAIN);
    inject_without_flags(RWF_DONTCACHE | RWF_NOWAIT);
    assert_int_equal(twostate_pwrite(f->file, "xyz", 3, 0, both), -EAGAIN);
    (void)inject_flags();
    inject_without_flags(RWF_DONTCACHE);
    assert_int_equal(twostate_pwrite(f->file, "def", 3, 0, TWOSTATE_IO_DONTCACHE), 3);
    assert_true(inject_flags() & RWF_DONTCACHE); /* nobody has said yet that it is missing */
    inject_without_flags(0);
    assert_int_equal(twostate_pwrite(f->file, "ghi", 3, 3, TWOSTATE_IO_DONTCACHE), 3);
    assert_int_equal(inject_flags() & RWF_DONTCACHE, 0); /* now it has */
}

/* A write that is durable when it returns has waited. */
static void nowait_is_not_durable(void **state)
{
    struct fixture *f = *state;
    const unsigned both = TWOSTATE_IO_NOWAIT | TWOSTATE_IO_DSYNC;
    char byte = 0;

    assert_int_equal(twostate_pwrite(f->file, "abc", 3, 0, 0), 3);
    const uint32_t before = inject_count(CALL_WRITE);

    assert_int_equal(twostate_pwrite(f->file, "x", 1, 0, both), -EAGAIN);
    assert_int_equal(inject_count(CALL_WRITE),
                     before); /* the kernel was not asked: it might wait */
    assert_int_equal(twostate_pread(f->file, &byte, 1, 0, 0), 1);
    assert_int_equal(byte, 'a');
}

/* A remap that can't share: by the kernel's copying, or through memory, in parts of any size. */
static void remap_copies(void **state)
{
    struct fixture *f = *state;
    char *buffer = memory_new(SIZE);
    char *back = memory_new(SIZE);

    for (size_t i = 0; i < SIZE; i++)
        buffer[i] = (char)(i % 251);
    assert_int_equal(twostate_pwrite(f->file, buffer, SIZE, 0, 0), SIZE);
    for (int way = 0; way < 4; way++) {
        inject_error(CALL_CLONE, 1, 1, EOPNOTSUPP);
        inject_error(CALL_COPY, way == 3 ? 2 : 1, way ? 1 : 0, EXDEV);
        inject_short(CALL_COPY, way == 3 ? 1 : 0);
        inject_short(CALL_PLAIN_WRITE, way > 1 ? 3 : 0);
        assert_int_equal(twostate_truncate(f->file, (int64_t)SIZE), 0);
        assert_int_equal(twostate_remap(f->file, 0, f->file, (int64_t)SIZE, (int64_t)SIZE), SIZE);
        inject_nothing();
        assert_int_equal(twostate_pread(f->file, back, SIZE, (int64_t)SIZE, 0), SIZE);
        assert_memory_equal(buffer, back, SIZE);
    }
    inject_error(CALL_CLONE, 1, 1, EOPNOTSUPP);
    inject_error(CALL_COPY, 1, 1, ENOSPC);
    assert_int_equal(twostate_remap(f->file, 0, f->file, (int64_t)SIZE, (int64_t)SIZE), -ENOSPC);
    inject_error(CALL_CLONE, 1, 1, EIO);
    assert_int_equal(twostate_remap(f->file, 0, f->file, (int64_t)SIZE, (int64_t)SIZE), -EIO);
    inject_error(CALL_CLONE, 1, 1, EOPNOTSUPP);
    inject_error(CALL_COPY, 1, 1, EXDEV);
    inject_short(CALL_PLAIN_WRITE, 1);
    inject_error(CALL_PLAIN_WRITE, 2, 1, ENOSPC);
    assert_int_equal(twostate_remap(f->file, 0, f->file, (int64_t)SIZE, (int64_t)SIZE),
                     SIZE / 2 + 1);
    free(buffer);
    free(back);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FAULT_TEST(failed_sync_stays_failed),
        FAULT_TEST(no_durable_write_after_a_failure),
        FAULT_TEST(close_tells_the_error),
        FAULT_TEST(write_during_a_sync_is_made_durable),
        FAULT_TEST(old_size_is_not_believed),
        FAULT_TEST(old_size_of_a_direct_write),
        FAULT_TEST(file_system_without_direct_io),
        FAULT_TEST(sync_transfers),
        FAULT_TEST(direct_is_refused),
        FAULT_TEST(durable_writes),
        FAULT_TEST(large_requests_are_one_call),
        FAULT_TEST(missing_flags),
        FAULT_TEST(nowait_is_not_durable),
        FAULT_TEST(remap_copies),
    };

    return RUN_WITH_BACKENDS(tests);
}
