/* SPDX-License-Identifier: MIT */
/* Cancelling: a request that has not begun is called back with -ECANCELED, once, and did nothing. */
#include "rig.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

/* The args; the block that a request writes has the number of its record. */
static struct record records[8];

/* An engine with one place in the backend's queue, and one worker. */
static int enter(void **state)
{
    (void)rig_enter(state);
    rig_open(*state, (struct twostate_engine_options){.queue_depth = 1, .workers = 1});
    memset(records, 0, sizeof(records));
    return 0;
}

static void start_write(struct rig *rig, int slot, unsigned flags)
{
    CHECK(write_block(rig, slot, flags, &records[slot]) == 0);
}

static int cancel(struct rig *rig, int slot)
{
    return twostate_cancel(rig->file, &records[slot]);
}

/* Called back so often, and always cancelled; in another thread, as long as nobody polls. */
static void check_cancelled(struct rig *rig, int slot, uint32_t calls)
{
    AWAIT(load(&records[slot].calls) == calls);
    assert_int_equal(records[slot].cancelled, calls);
    if (rig->engine->callers)
        assert_false(pthread_equal(records[slot].thread, pthread_self()));
}

static void check_done(int slot, ssize_t result)
{
    AWAIT(load(&records[slot].calls) == 1);
    assert_int_equal(records[slot].result, result);
}

/* What the block holds that the request was to write. */
static char on_file(struct rig *rig, int slot)
{
    char byte = 0;

    assert_int_equal(twostate_pread(rig->file, &byte, 1, (int64_t)slot * BLOCK, 0), 1);
    return byte;
}

/* Waiting for the mode. */
static void for_the_mode(void **state)
{
    struct rig *rig = *state;
    struct twostate_iopair *pair = &rig->file->pair;
    struct twostate_hold hold;

    twostate_iopair_begin(pair, TWOSTATE_BUFFERED_READ, &hold);
    start_write(rig, 0, TWOSTATE_IO_DIRECT);
    start_write(rig, 1, TWOSTATE_IO_DIRECT);
    start_write(rig, 0, TWOSTATE_IO_DIRECT); /* the same arg again */
    assert_int_equal(twostate_iopair_query(pair).iotype.waiting_b, 3);
    assert_int_equal(cancel(rig, 2), 0);
    assert_int_equal(cancel(rig, 0), 2);
    assert_int_equal(cancel(rig, 0), 0);
    check_cancelled(rig, 0, 2); /* though the mode is held on */
    assert_int_equal(twostate_iopair_query(pair).iotype.waiting_b, 1);
    assert_int_equal(load(&records[1].calls), 0);
    twostate_iopair_end(&hold);
    check_done(1, BLOCK);
    assert_int_equal(cancel(rig, 1), 0);
    assert_int_equal(on_file(rig, 0), 'o');
    assert_int_equal(on_file(rig, 1), 'n');
}

/* The last of those that waited lets in who waited behind them. */
static void lets_others_in(void **state)
{
    struct rig *rig = *state;
    struct twostate_hold first;
    struct twostate_hold second;

    twostate_iopair_begin(&rig->file->pair, TWOSTATE_BUFFERED_READ, &first);
    start_write(rig, 0, TWOSTATE_IO_DIRECT);
    assert_int_equal(cancel(rig, 0), 1);
    assert_true(twostate_iopair_try_begin(&rig->file->pair, TWOSTATE_BUFFERED_READ, &second));
    twostate_iopair_end(&second);
    twostate_iopair_end(&first);
    check_cancelled(rig, 0, 1);
}

/* Queued for a worker, of which there is one: it is not needed for the callbacks. */
static void for_a_worker(void **state)
{
    struct rig *rig = *state;
    struct busy busy;

    busy_start(&busy, rig->engine);
    start_write(rig, 0, 0);
    start_write(rig, 1, 0);
    assert_int_equal(twostate_fsync_async(rig->file, note, &records[2]), 0);
    start_write(rig, 0, TWOSTATE_IO_DIRECT | TWOSTATE_IO_APPEND);
    assert_int_equal(cancel(rig, 0), 2);
    assert_int_equal(cancel(rig, 2), 1);
    check_cancelled(rig, 0, 2);
    check_cancelled(rig, 2, 1);
    assert_int_equal(load(&records[1].calls), 0);
    busy_end(&busy);
    check_done(1, BLOCK);
    assert_int_equal(on_file(rig, 0), 'o');
    assert_int_equal(file_ask_size_(rig->file), MOST * BLOCK);
}

/* In the real backend's queue, behind one that the kernel has: it holds the mode, till then. */
static void for_the_backend(void **state)
{
    struct rig *rig = *state;
    struct twostate_iopair *pair = &rig->file->pair;
    struct twostate_hold hold;
    struct plug plug;

    plug_in(&plug, rig->engine);
    start_write(rig, 0, TWOSTATE_IO_DIRECT);
    start_write(rig, 1, TWOSTATE_IO_DIRECT);
    start_write(rig, 0, TWOSTATE_IO_DIRECT | TWOSTATE_IO_DSYNC);
    assert_int_equal(twostate_iopair_query(pair).iotype.holders, 3);
    assert_int_equal(cancel(rig, 0), 2);
    assert_int_equal(twostate_iopair_query(pair).iotype.holders, 1);
    check_cancelled(rig, 0, 2);
    assert_false(twostate_iopair_try_begin(pair, TWOSTATE_BUFFERED_READ, &hold));
    assert_int_equal(cancel(rig, 1), 1);
    check_cancelled(rig, 1, 1);
    assert_true(twostate_iopair_try_begin(pair, TWOSTATE_BUFFERED_READ, &hold));
    start_write(rig, 2, TWOSTATE_IO_DIRECT); /* waits, and goes on as usual */
    twostate_iopair_end(&hold);
    plug_pull(&plug);
    check_done(2, BLOCK);
    assert_int_equal(on_file(rig, 0), 'o');
    assert_int_equal(on_file(rig, 1), 'o');
    assert_int_equal(on_file(rig, 2), 'n');
}

/* What was cancelled held the mode that others wait for: they come in, in this thread. */
static void hands_on_the_mode(void **state)
{
    struct rig *rig = *state;
    struct pending pending = {0};
    struct plug plug;

    plug_in(&plug, rig->engine);
    start_write(rig, 0, TWOSTATE_IO_DIRECT);
    assert_int_equal(twostate_pwritev_async(rig->file, &(struct iovec){rig->buffer, 1}, 1, BLOCK, 0,
                                            pending_done, &pending),
                     0);
    AWAIT(twostate_iopair_query(&rig->file->pair).iotype.waiting_a == 1);
    start_write(rig, 2, TWOSTATE_IO_DIRECT);
    assert_int_equal(cancel(rig, 0), 1);
    assert_int_equal(cancel(rig, 2), 1);
    assert_int_equal(pending_wait(&pending), 1);
    check_cancelled(rig, 0, 1);
    check_cancelled(rig, 2, 1);
    plug_pull(&plug);
}

/* Too late. */

static void has_begun(void **state)
{
    struct rig *rig = *state;
    struct twostate_hold hold;
    struct holding holding;
    struct busy busy;

    holding_start(&holding, rig->engine);
    /* Half of it was moved, and the rest is in the queue. */
    CHECK(twostate_pwritev_async(rig->file, &(struct iovec){rig->buffer, (size_t)2 * BLOCK}, 1, 0,
                                 TWOSTATE_IO_DIRECT, note, &records[0]) == 0);
    holding_release(&holding, 0, 0, BLOCK);
    assert_int_equal(holding.count, 1);
    assert_int_equal(cancel(rig, 0), 0);
    holding_release(&holding, 0, 0, 0);
    check_done(0, (ssize_t)2 * BLOCK);
    /* Interrupted before anything was moved, it has not begun. */
    start_write(rig, 2, TWOSTATE_IO_DIRECT);
    holding_release(&holding, 0, -EINTR, 0);
    assert_int_equal(cancel(rig, 2), 1);
    check_cancelled(rig, 2, 1);
    /* A durable write has failed: a worker is to find out why. */
    busy_start(&busy, rig->engine);
    start_write(rig, 3, TWOSTATE_IO_DIRECT | TWOSTATE_IO_DSYNC);
    holding_release(&holding, 0, -EIO, 0);
    assert_int_equal(cancel(rig, 3), 0);
    busy_end(&busy);
    check_done(3, -EIO);
    /* The file system has no direct IO there: a worker is to do it. It has not begun. */
    busy_start(&busy, rig->engine);
    start_write(rig, 4, TWOSTATE_IO_DIRECT);
    holding_release(&holding, 0, -EINVAL, 0);
    assert_int_equal(cancel(rig, 4), 1);
    check_cancelled(rig, 4, 1);
    busy_end(&busy);
    /* The kernel has it. */
    start_write(rig, 5, TWOSTATE_IO_DIRECT);
    holding.backend.ops = &(const struct backend_ops){.submit = holding.backend.ops->submit};
    assert_int_equal(cancel(rig, 5), 0);
    holding_release(&holding, 0, 0, 0);
    check_done(5, BLOCK);
    /* A worker has it. */
    twostate_iopair_begin(&rig->file->pair, TWOSTATE_EXCLUSIVE_IO, &hold);
    start_write(rig, 6, 0);
    AWAIT(twostate_iopair_query(&rig->file->pair).iolock.waiting_shared == 1);
    assert_int_equal(cancel(rig, 6), 0);
    twostate_iopair_end(&hold);
    check_done(6, BLOCK);
    holding_stop(&holding, rig->engine);
}

/* Other files' requests, and what else is in the queues, are left alone; NULL is an arg. */
static uint32_t without_arg;

static void note_cancelled(void *arg, ssize_t result)
{
    CHECK(arg == NULL && result == -ECANCELED);
    add(&without_arg, 1);
}

static void only_the_files(void **state)
{
    struct rig *rig = *state;
    struct twostate_file *mine = rig->file;
    struct twostate_file *other = file_new(rig->engine, &rig->f->scratch, O_RDWR);
    struct busy busy;
    struct busy queued = {.end = 1};
    struct plug plugs[2];

    plug_in(&plugs[0], rig->engine);
    plug_in(&plugs[1], rig->engine);
    busy_start(&busy, rig->engine);
    busy_queue(&queued, rig->engine);
    rig->file = other;
    start_write(rig, 0, TWOSTATE_IO_DIRECT);
    start_write(rig, 0, 0);
    rig->file = mine;
    assert_int_equal(cancel(rig, 0), 0);
    store(&without_arg, 0);
    assert_int_equal(twostate_fsync_async(mine, note_cancelled, NULL), 0);
    assert_int_equal(twostate_cancel(other, NULL), 0);
    assert_int_equal(twostate_cancel(mine, NULL), 1);
    AWAIT(load(&without_arg) == 1);
    busy_end(&busy);
    plug_pull(&plugs[0]);
    plug_pull(&plugs[1]);
    AWAIT(load(&queued.ended));
    AWAIT(load(&records[0].calls) == 2);
    assert_int_equal(records[0].cancelled, 0);
    assert_int_equal(twostate_file_close(other), 0);
}

/* In a polled engine they are called back like all the others. */
static void polled(void **state)
{
    struct rig *rig = *state;
    struct twostate_hold hold;
    struct busy busy;
    struct plug plug;

    rig_close(rig);
    rig_open(rig, (struct twostate_engine_options){.queue_depth = 1, .workers = 1, .polled = true});
    plug_in(&plug, rig->engine);
    start_write(rig, 0, TWOSTATE_IO_DIRECT);
    assert_int_equal(cancel(rig, 0), 1);
    twostate_iopair_begin(&rig->file->pair, TWOSTATE_BUFFERED_READ, &hold);
    start_write(rig, 1, TWOSTATE_IO_DIRECT);
    assert_int_equal(cancel(rig, 1), 1);
    twostate_iopair_end(&hold);
    busy_start(&busy, rig->engine);
    start_write(rig, 2, 0);
    assert_int_equal(cancel(rig, 2), 1);
    for (int slot = 0; slot < 3; slot++) {
        assert_int_equal(load(&records[slot].calls), 0);
        assert_int_equal(cancel(rig, slot), 0); /* it is due, so too late */
    }
    assert_int_equal(twostate_engine_poll(rig->engine, 9), 3);
    for (int slot = 0; slot < 3; slot++) {
        assert_int_equal(records[slot].calls, 1);
        assert_int_equal(records[slot].result, -ECANCELED);
    }
    busy_end(&busy);
    plug_pull(&plug);
    /* What has completed is not cancelled any more, and its result stays. */
    start_write(rig, 3, TWOSTATE_IO_DIRECT);
    AWAIT(file_is_free(rig->file));
    assert_int_equal(cancel(rig, 3), 0);
    AWAIT(twostate_engine_poll(rig->engine, 9) == 1);
    assert_int_equal(records[3].result, BLOCK);
}

/* In a callback, and of a request that this callback's own request made wait. */
struct inside {
    struct rig *rig;
    int cancelled;
    uint32_t done;
};

static void cancel_inside(void *arg, ssize_t result)
{
    struct inside *inside = arg;

    CHECK(result == 0);
    start_write(inside->rig, 0, 0); /* this thread is the only worker */
    inside->cancelled = cancel(inside->rig, 0);
    CHECK(load(&records[0].calls) == 0 || inside->rig->engine->callers);
    store(&inside->done, 1);
}

static void in_a_callback(void **state)
{
    struct inside inside = {.rig = *state};

    assert_int_equal(twostate_fsync_async(inside.rig->file, cancel_inside, &inside), 0);
    AWAIT(load(&inside.done));
    assert_int_equal(inside.cancelled, 1);
    check_cancelled(inside.rig, 0, 1);
}

/* A full engine takes more once what was cancelled has been called back. */
static void makes_room(void **state)
{
    struct rig *rig = *state;
    const struct iovec iov = {rig->buffer, BLOCK};
    struct twostate_engine_info info;
    struct busy busy;

    rig->engine->most_requests = 2;
    busy_start(&busy, rig->engine);
    start_write(rig, 0, 0);
    start_write(rig, 1, 0);
    assert_int_equal(twostate_preadv_async(rig->file, &iov, 1, 0, 0, note, &records[2]), -EBUSY);
    assert_int_equal(cancel(rig, 1), 1);
    check_cancelled(rig, 1, 1);
    assert_int_equal(twostate_engine_query(rig->engine, &info), 0);
    assert_int_equal(info.requests, 1);
    start_write(rig, 2, 0);
    busy_end(&busy);
    check_done(0, BLOCK);
    check_done(2, BLOCK);
}

static void close_file(void *arg)
{
    CHECK(twostate_file_close(arg) == 0);
}

static void arguments(void **state)
{
    struct rig *rig = *state;
    struct task task;
    struct busy busy;

    assert_int_equal(twostate_cancel(NULL, rig), -EINVAL);
    assert_int_equal(cancel(rig, 0), 0);
    /* A file that is being closed. */
    busy_start(&busy, rig->engine);
    start_write(rig, 0, 0);
    task_start(&task, close_file, rig->file);
    AWAIT(cancel(rig, 1) == -EBADF);
    assert_int_equal(cancel(rig, 0), -EBADF);
    busy_end(&busy);
    task_join(&task);
    rig->file = NULL;
    check_done(0, BLOCK);
}

/* A direct write over dirty blocks of a user cache had their folio locked. */
static void over_dirty_blocks(void **state)
{
    const struct twostate_file_options user = {.cache = TWOSTATE_CACHE_USER};
    struct rig *rig = *state;
    struct plug plug;
    char byte = 'd';

    CHECK(twostate_file_close(rig->file) == 0);
    CHECK(twostate_file_close(rig->f->file) == 0);
    rig->f->file = NULL;
    CHECK(twostate_file_open_with(rig->engine, rig->f->scratch.path, O_RDWR, 0, &user,
                                  &rig->file) == 0);
    assert_int_equal(twostate_pwrite(rig->file, &byte, 1, 7, 0), 1);
    plug_in(&plug, rig->engine);
    start_write(rig, 0, TWOSTATE_IO_DIRECT);
    assert_int_equal(cancel(rig, 0), 1);
    check_cancelled(rig, 0, 1);
    byte = 0;
    assert_int_equal(twostate_pread(rig->file, &byte, 1, 7, TWOSTATE_IO_NOWAIT), 1);
    assert_int_equal(byte, 'd');
    plug_pull(&plug);
    assert_int_equal(twostate_fsync(rig->file), 0);
    disk_read(&rig->f->scratch, rig->buffer, BLOCK, 0);
    assert_int_equal(rig->buffer[7], 'd');
    assert_int_equal(rig->buffer[8], 'o');
}

#define CANCEL_TEST(name) cmocka_unit_test_setup_teardown(name, enter, rig_leave)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CANCEL_TEST(for_the_mode),      CANCEL_TEST(lets_others_in), CANCEL_TEST(for_a_worker),
        CANCEL_TEST(for_the_backend),   CANCEL_TEST(has_begun),      CANCEL_TEST(only_the_files),
        CANCEL_TEST(hands_on_the_mode), CANCEL_TEST(polled),         CANCEL_TEST(in_a_callback),
        CANCEL_TEST(makes_room),        CANCEL_TEST(arguments),      CANCEL_TEST(over_dirty_blocks),
    };

    return RUN_WITH_BACKENDS(tests);
}
