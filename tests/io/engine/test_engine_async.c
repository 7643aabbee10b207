/* SPDX-License-Identifier: MIT */
/* Asynchronous requests: each calls back once, and whatever else goes on, all of them end. */
#include "common.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BLOCK 4096
#define MANY  600

static uint32_t count;
static uint32_t failed;

static void counted(void *arg, ssize_t result)
{
    if (result != (ssize_t)(intptr_t)arg)
        add(&failed, 1);
    add(&count, 1);
}

static void reset(void)
{
    store(&count, 0);
    store(&failed, 0);
}

static void *expected(ssize_t result)
{
    return (void *)(intptr_t)result;
}

/* More than the queue holds, in all modes; twice, to wait for it in two ways. */
static void submit_many(struct twostate_file *file, char *buffer)
{
    for (int i = 0; i < MANY; i++) {
        const struct iovec iov = {buffer + (size_t)i * BLOCK, BLOCK};
        const unsigned flags = i % 5 ? TWOSTATE_IO_DIRECT : 0U;

        assert_int_equal(twostate_pwritev_async(file, &iov, 1, (int64_t)i * BLOCK, flags, counted,
                                                expected(BLOCK)),
                         0);
    }
}

static void beyond_the_queue(void **state)
{
    struct fixture *f = *state;
    struct twostate_engine *engine = engine_new(2, 2);
    struct twostate_file *file = file_new(engine, &f->scratch, O_RDWR);
    char *buffer = memory_new((size_t)MANY * BLOCK);
    char *back = memory_new((size_t)MANY * BLOCK);

    reset();
    for (int i = 0; i < MANY; i++)
        memset(buffer + (size_t)i * BLOCK, i % 250 + 1, BLOCK);
    submit_many(file, buffer);
    AWAIT(load(&count) == MANY);
    assert_int_equal(load(&failed), 0);
    assert_int_equal(twostate_pread(file, back, (size_t)MANY * BLOCK, 0, 0), MANY * BLOCK);
    assert_memory_equal(buffer, back, (size_t)MANY * BLOCK);
    submit_many(file, buffer); /* now within the file */
    for (int i = 0; i < MANY; i++)
        assert_int_equal(
            twostate_preadv_async(file, &(struct iovec){back, 1}, 1, i, 0, counted, expected(1)),
            0);
    assert_int_equal(twostate_fsync_async(file, counted, expected(0)), 0);
    assert_int_equal(twostate_file_close(file), 0);
    assert_int_equal(load(&count), 3 * MANY + 1); /* all before close returned */
    assert_int_equal(load(&failed), 0);
    assert_int_equal(twostate_engine_destroy(engine), 0);
    disk_read(&f->scratch, back, (size_t)MANY * BLOCK, 0);
    assert_memory_equal(buffer, back, (size_t)MANY * BLOCK);
    free(buffer);
    free(back);
}

/* Each thread is gone before its requests are done. */
static void submit_and_leave(void *arg)
{
    struct fixture *f = arg;
    static char buffer[16 * BLOCK] __attribute__((aligned(BLOCK)));

    for (int i = 0; i < 16; i++)
        CHECK(twostate_preadv_async(f->file, &(struct iovec){buffer + (size_t)i * BLOCK, BLOCK}, 1,
                                    (int64_t)i * BLOCK, TWOSTATE_IO_DIRECT, counted,
                                    expected(BLOCK)) == 0);
}

static void submitter_ends_first(void **state)
{
    struct fixture *f = *state;

    reset();
    assert_int_equal(twostate_truncate(f->file, (int64_t)16 * BLOCK), 0);
    for (int i = 0; i < 20; i++) {
        struct task task;

        task_start(&task, submit_and_leave, f);
        task_join(&task);
        AWAIT(load(&count) == (uint32_t)(i + 1) * 16);
    }
    assert_int_equal(load(&failed), 0);
}

/* Calls that wait, made from a callback. */
struct inside {
    struct fixture *f;
    uint32_t done;
    struct pending pending;
};

static void call_waiting(void *arg, ssize_t result)
{
    struct inside *inside = arg;
    struct twostate_file *file = inside->f->file;
    struct twostate_file_stat stat;
    char byte = 1;

    CHECK(result == 1 || result == BLOCK);
    CHECK(twostate_file_close(file) == -EDEADLK);
    CHECK(twostate_pread(file, &byte, 1, 0, 0) == -EDEADLK);
    CHECK(twostate_pwrite(file, &byte, 1, 0, TWOSTATE_IO_NOWAIT) == -EDEADLK);
    CHECK(twostate_append(file, &(struct iovec){&byte, 1}, 1, 0, NULL) == -EDEADLK);
    CHECK(twostate_fsync(file) == -EDEADLK);
    CHECK(twostate_fdatasync(file) == -EDEADLK);
    CHECK(twostate_truncate(file, 0) == -EDEADLK);
    CHECK(twostate_fallocate(file, 0, 0, 1) == -EDEADLK);
    CHECK(twostate_seek(file, 0, SEEK_DATA) == -EDEADLK);
    CHECK(twostate_remap(file, 0, file, 10, 1) == -EDEADLK);
    CHECK(twostate_engine_destroy(inside->f->engine) == -EDEADLK);
    CHECK(twostate_stat(file, &stat) == 0 && stat.size == BLOCK);
    CHECK(twostate_fsync_async(file, pending_done, &inside->pending) == 0);
    store(&inside->done, 1);
}

static void waiting_in_a_callback(void **state)
{
    struct inside inside = {.f = *state};
    struct twostate_file *file = inside.f->file;
    char *buffer = memory_new(BLOCK);

    assert_int_equal(twostate_pwrite(file, buffer, BLOCK, 0, 0), BLOCK);
    for (unsigned flags = 0; flags < 2; flags++) {
        inside.done = 0;
        inside.pending = (struct pending){0};
        assert_int_equal(twostate_preadv_async(file, &(struct iovec){buffer, flags ? BLOCK : 1}, 1,
                                               0, flags, call_waiting, &inside),
                         0);
        AWAIT(load(&inside.done));
        assert_int_equal(pending_wait(&inside.pending), 0);
    }
    assert_int_equal(twostate_pread(file, buffer, BLOCK, 0, 0), BLOCK);
    free(buffer);
}

/* A callback starts the next request, a thousand times. */
struct chain {
    struct twostate_file *file;
    char *buffer;
    uint32_t links;
    uint32_t ended;
};

static void next_link(void *arg, ssize_t result)
{
    struct chain *chain = arg;
    const uint32_t link = ++chain->links;
    const struct iovec iov = {chain->buffer, BLOCK};
    const unsigned flags = link % 3 ? TWOSTATE_IO_DIRECT : 0U;
    int started = 0;

    CHECK(result == BLOCK);
    if (link == 1000) {
        store(&chain->ended, 1);
        return;
    }
    started = link % 2 ? twostate_pwritev_async(chain->file, &iov, 1, (int64_t)link % 7 * BLOCK,
                                                flags, next_link, chain)
                       : twostate_preadv_async(chain->file, &iov, 1, 0, flags, next_link, chain);
    CHECK(started == 0);
}

static void chain_of_callbacks(void **state)
{
    struct fixture *f = *state;
    struct chain chain = {.file = f->file, .buffer = memory_new(BLOCK)};

    assert_int_equal(twostate_pwritev_async(f->file, &(struct iovec){chain.buffer, BLOCK}, 1, 0, 0,
                                            next_link, &chain),
                     0);
    AWAIT(load(&chain.ended));
    assert_int_equal(twostate_fsync(f->file), 0);
    free(chain.buffer);
}

/* One of each, in flight when the file is closed; the callbacks see that. */
static void note_closing(void *arg, ssize_t result)
{
    struct chain *chain = arg;

    (void)result;
    while (!load(&chain->ended))
        ;
    /* Close is waiting, or about to: it either has the file already, or this request is in. */
    add(&chain->links, 1);
}

static void close_file(void *arg)
{
    CHECK(twostate_file_close(arg) == 0);
}

static void close_waits_for_callbacks(void **state)
{
    struct fixture *f = *state;
    struct chain chain = {.file = f->file, .buffer = memory_new(BLOCK)};
    struct task task;

    for (int i = 0; i < 20; i++)
        assert_int_equal(twostate_pwritev_async(f->file, &(struct iovec){chain.buffer, BLOCK}, 1,
                                                (int64_t)i * BLOCK, i % 2 ? TWOSTATE_IO_DIRECT : 0U,
                                                note_closing, &chain),
                         0);
    task_start(&task, close_file, f->file);
    AWAIT(twostate_iolock_query(&f->file->users).waiting_exclusive == 1);
    assert_false(task_done(&task));
    store(&chain.ended, 1);
    task_join(&task);
    assert_int_equal(load(&chain.links), 20);
    f->file = NULL;
    free(chain.buffer);
}

/* The last callback, in a worker's thread or the backend's, and close waits for its end. */
static void stay(void *arg, ssize_t result)
{
    struct chain *chain = arg;

    CHECK(result == BLOCK);
    store(&chain->links, 1);
    AWAIT(load(&chain->ended));
}

static void close_waits_for_the_last(void **state)
{
    struct fixture *f = *state;
    struct chain chain = {.buffer = memory_new(BLOCK)};
    struct task task;

    assert_int_equal(twostate_pwrite(f->file, chain.buffer, BLOCK, 0, 0), BLOCK);
    for (unsigned flags = 0; flags < 2; flags++) {
        store(&chain.links, 0);
        store(&chain.ended, 0);
        assert_int_equal(twostate_preadv_async(f->file, &(struct iovec){chain.buffer, BLOCK}, 1, 0,
                                               flags, stay, &chain),
                         0);
        AWAIT(load(&chain.links));
        task_start(&task, close_file, f->file);
        AWAIT(task_done(&task) || twostate_iolock_query(&f->file->users).waiting_exclusive == 1);
        assert_false(task_done(&task));
        store(&chain.ended, 1);
        task_join(&task);
        f->file = file_new(f->engine, &f->scratch, O_RDWR);
    }
    free(chain.buffer);
}

/* What a request waited for its locks is known in its callback. */
static void waited_time(void **state)
{
    struct fixture *f = *state;
    char *buffer = memory_new(BLOCK);
    const struct iovec iov = {buffer, BLOCK};

    assert_int_equal(twostate_pwrite(f->file, buffer, BLOCK, 0, 0), BLOCK);
    assert_int_equal(twostate_waited_ns(), 0);
    for (unsigned flags = 0; flags < 2; flags++) {
        struct pending pending = {0};
        struct twostate_hold hold;

        AWAIT(file_is_free(f->file));
        assert_int_equal(twostate_preadv_async(f->file, &iov, 1, 0, flags, pending_done, &pending),
                         0);
        assert_int_equal(pending_wait(&pending), BLOCK);
        assert_int_equal(pending.waited, 0);
        pending = (struct pending){0};
        AWAIT(file_is_free(f->file));
        twostate_iopair_begin(&f->file->pair, TWOSTATE_EXCLUSIVE_IO, &hold);
        assert_int_equal(twostate_preadv_async(f->file, &iov, 1, 0, flags, pending_done, &pending),
                         0);
        AWAIT(twostate_iopair_query(&f->file->pair).iolock.waiting_shared == 1);
        assert_int_equal(load(&pending.done), 0);
        twostate_iopair_end(&hold);
        assert_int_equal(pending_wait(&pending), BLOCK);
        assert_true(pending.waited > 0);
    }
    assert_int_equal(twostate_waited_ns(), 0);
    free(buffer);
}

/*
 * The hazard: direct requests in flight hold IOTYPE, the only worker waits for it, and so does a
 * thread that submits more of them. Only their completions can let them go on.
 */
static void submit_direct(void *arg)
{
    struct fixture *f = arg;
    char *buffer = memory_new(BLOCK);

    for (int i = 0; i < 300; i++)
        CHECK(twostate_pwritev_async(f->file, &(struct iovec){buffer, BLOCK}, 1,
                                     (int64_t)(i % 8) * BLOCK, TWOSTATE_IO_DIRECT, counted,
                                     expected(BLOCK)) == 0);
    AWAIT(load(&count) >= 300);
    free(buffer);
}

static void write_buffered(void *arg)
{
    struct fixture *f = arg;

    for (int i = 0; i < 200; i++) {
        struct pending pending = {0};

        CHECK(twostate_pwrite(f->file, "x", 1, i, 0) == 1);
        CHECK(twostate_pwritev_async(f->file, &(struct iovec){(void *)(uintptr_t) "y", 1}, 1, i, 0,
                                     pending_done, &pending) == 0);
        CHECK(pending_wait(&pending) == 1);
    }
}

static void one_worker_and_a_queue_of_one(void **state)
{
    struct fixture *f = *state;
    struct fixture small = {.engine = engine_new(1, 1)};
    struct task tasks[3];

    reset();
    small.file = file_new(small.engine, &f->scratch, O_RDWR);
    assert_int_equal(twostate_truncate(small.file, (int64_t)8 * BLOCK), 0);
    task_start(&tasks[0], submit_direct, &small);
    task_start(&tasks[1], write_buffered, &small);
    task_start(&tasks[2], write_buffered, &small);
    for (int i = 0; i < 3; i++)
        task_join(&tasks[i]);
    assert_int_equal(load(&count), 300);
    assert_int_equal(load(&failed), 0);
    assert_int_equal(twostate_file_close(small.file), 0);
    assert_int_equal(twostate_engine_destroy(small.engine), 0);
}

/*
 * Direct requests in flight, many at once, beside 64-byte buffered writes to the same pages, and
 * fsync. Each place has one writer, so its last value must be on the disk. pitfalls E02, E10
 */
#define UNITS 64

struct shared_blocks {
    struct task task;
    struct fixture *f;
    size_t unit;
    uint32_t *running;
};

static void write_units(void *arg)
{
    struct shared_blocks *s = arg;
    char *buffer = memory_new(UNITS * s->unit);

    for (int round = 1; round <= 20; round++) {
        memset(buffer, round, UNITS * s->unit);
        for (size_t i = 0; i < UNITS; i += 2)
            CHECK(twostate_pwritev_async(s->f->file, &(struct iovec){buffer + i * s->unit, s->unit},
                                         1, (int64_t)(i * s->unit), TWOSTATE_IO_DIRECT, counted,
                                         expected((ssize_t)s->unit)) == 0);
        AWAIT(load(&count) == (uint32_t)round * UNITS / 2);
    }
    add(s->running, UINT32_MAX);
    free(buffer);
}

static void write_bytes(void *arg)
{
    struct shared_blocks *s = arg;
    char bytes[64];

    for (int round = 1; round <= 20; round++) {
        memset(bytes, 100 + round, sizeof(bytes));
        for (size_t i = 1; i < UNITS; i += 2)
            CHECK(twostate_pwrite(s->f->file, bytes, sizeof(bytes), (int64_t)(i * s->unit + 64),
                                  0) == sizeof(bytes));
    }
    add(s->running, UINT32_MAX);
}

static void sync_often(void *arg)
{
    struct shared_blocks *s = arg;

    while (load(s->running))
        CHECK(twostate_fsync(s->f->file) == 0);
}

static void nothing_is_lost(void **state)
{
    void (*const runs[])(void *) = {write_units, write_bytes, sync_often};
    struct fixture *f = *state;
    const size_t unit = f->file->direct_fd < 0 ? 512 : f->file->direct_offset;
    uint32_t running = 2;
    struct shared_blocks shared[3];
    char *disk = memory_new(UNITS * unit);

    reset();
    assert_int_equal(twostate_pwrite(f->file, disk, UNITS * unit, 0, 0), UNITS * unit);
    for (int i = 0; i < 3; i++) {
        shared[i] = (struct shared_blocks){.f = f, .unit = unit, .running = &running};
        task_start(&shared[i].task, runs[i], &shared[i]);
    }
    for (int i = 0; i < 3; i++)
        task_join(&shared[i].task);
    assert_int_equal(load(&failed), 0);
    assert_int_equal(twostate_fsync(f->file), 0);
    disk_read(&f->scratch, disk, UNITS * unit, 0);
    for (size_t i = 0; i < UNITS; i++) {
        assert_int_equal(disk[i * unit + 64], i % 2 ? 120 : 20);
        assert_memory_equal(disk + i * unit + 64, disk + i * unit + 65, 63);
    }
    free(disk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ENGINE_TEST(beyond_the_queue),
        ENGINE_TEST(submitter_ends_first),
        ENGINE_TEST(waiting_in_a_callback),
        ENGINE_TEST(chain_of_callbacks),
        ENGINE_TEST(close_waits_for_callbacks),
        ENGINE_TEST(close_waits_for_the_last),
        ENGINE_TEST(waited_time),
        ENGINE_TEST(one_worker_and_a_queue_of_one),
        ENGINE_TEST(nothing_is_lost),
    };

    return RUN_WITH_BACKENDS(tests);
}
