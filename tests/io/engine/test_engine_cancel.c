/* SPDX-License-Identifier: MIT */
/* Cancelling: a request that has not begun is called back with -ECANCELED, once, and did nothing. */
#include "hold.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BLOCK 4096
#define SIZE  (16 * BLOCK)
#define SLOTS 8

struct slot {
    uint32_t calls;
    uint32_t cancelled;
    ssize_t result;
    pthread_t thread;
};

/* An engine with one place in the backend's queue and one worker; slots are the args. */
struct rig {
    struct fixture *f;
    struct twostate_engine *engine;
    struct twostate_file *file;
    char *buffer; /* SIZE of 'n' for new; the file has SIZE of 'o' */
    char *old;
    struct slot slots[SLOTS];
};

/* Requests of one slot may end in two threads at once. */
static pthread_mutex_t noting = PTHREAD_MUTEX_INITIALIZER;

static void note(void *arg, ssize_t result)
{
    struct slot *slot = arg;

    pthread_mutex_lock(&noting);
    slot->result = result;
    slot->thread = pthread_self();
    slot->cancelled += result == -ECANCELED;
    add(&slot->calls, 1);
    pthread_mutex_unlock(&noting);
}

static void rig_open(struct rig *rig, bool polled)
{
    const struct twostate_engine_options options = {
        .backend = (enum twostate_backend)twostate_engine_backend(rig->f->engine),
        .queue_depth = 1,
        .workers = 1,
        .polled = polled,
    };

    CHECK(twostate_engine_create(&options, &rig->engine) == 0);
    rig->file = file_new(rig->engine, &rig->f->scratch, O_RDWR);
    memset(rig->slots, 0, sizeof(rig->slots));
}

/* Whatever a test did: no lock is held, no request left, and the file can be closed. */
static void rig_close(struct rig *rig)
{
    struct twostate_engine_info info;

    AWAIT(twostate_engine_query(rig->engine, &info) == 0 && info.requests == 0);
    if (rig->file) {
        CHECK(file_is_free(rig->file));
        CHECK(twostate_file_close(rig->file) == 0);
    }
    CHECK(twostate_engine_destroy(rig->engine) == 0);
    rig->engine = NULL;
    rig->file = NULL;
}

static int enter(void **state)
{
    struct rig *rig = calloc(1, sizeof(*rig));

    CHECK(rig);
    (void)fixture_enter((void **)&rig->f);
    rig->buffer = memory_new(SIZE);
    rig->old = memory_new(SIZE);
    memset(rig->buffer, 'n', SIZE);
    memset(rig->old, 'o', SIZE);
    CHECK(twostate_pwrite(rig->f->file, rig->old, SIZE, 0, 0) == SIZE);
    rig_open(rig, false);
    *state = rig;
    return 0;
}

static int leave(void **state)
{
    struct rig *rig = *state;

    if (rig->engine)
        rig_close(rig);
    (void)fixture_leave((void **)&rig->f);
    free(rig->buffer);
    free(rig->old);
    free(rig);
    return 0;
}

/* Writes a block whose place is that of the slot. */
static void write_block(struct rig *rig, int slot, unsigned flags)
{
    const struct iovec iov = {rig->buffer + (size_t)slot * BLOCK, BLOCK};

    CHECK(twostate_pwritev_async(rig->file, &iov, 1, (int64_t)slot * BLOCK, flags, note,
                                 &rig->slots[slot]) == 0);
}

static int cancel(struct rig *rig, int slot)
{
    return twostate_cancel(rig->file, &rig->slots[slot]);
}

/* Called back so often, and always cancelled; in another thread, as long as nobody polls. */
static void check_cancelled(struct rig *rig, int slot, uint32_t calls)
{
    AWAIT(load(&rig->slots[slot].calls) == calls);
    assert_int_equal(rig->slots[slot].cancelled, calls);
    if (rig->engine->callers)
        assert_false(pthread_equal(rig->slots[slot].thread, pthread_self()));
}

static void check_done(struct rig *rig, int slot, ssize_t result)
{
    AWAIT(load(&rig->slots[slot].calls) == 1);
    assert_int_equal(rig->slots[slot].result, result);
}

/* What the block holds that the slot's request was to write. */
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
    write_block(rig, 0, TWOSTATE_IO_DIRECT);
    write_block(rig, 1, TWOSTATE_IO_DIRECT);
    write_block(rig, 0, TWOSTATE_IO_DIRECT); /* the same arg again */
    assert_int_equal(twostate_iopair_query(pair).iotype.waiting_b, 3);
    assert_int_equal(cancel(rig, 2), 0);
    assert_int_equal(cancel(rig, 0), 2);
    assert_int_equal(cancel(rig, 0), 0);
    check_cancelled(rig, 0, 2); /* though the mode is held on */
    assert_int_equal(twostate_iopair_query(pair).iotype.waiting_b, 1);
    assert_int_equal(load(&rig->slots[1].calls), 0);
    twostate_iopair_end(&hold);
    check_done(rig, 1, BLOCK);
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
    write_block(rig, 0, TWOSTATE_IO_DIRECT);
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
    write_block(rig, 0, 0);
    write_block(rig, 1, 0);
    assert_int_equal(twostate_fsync_async(rig->file, note, &rig->slots[2]), 0);
    write_block(rig, 0, TWOSTATE_IO_DIRECT | TWOSTATE_IO_APPEND);
    assert_int_equal(cancel(rig, 0), 2);
    assert_int_equal(cancel(rig, 2), 1);
    check_cancelled(rig, 0, 2);
    check_cancelled(rig, 2, 1);
    assert_int_equal(load(&rig->slots[1].calls), 0);
    busy_end(&busy);
    check_done(rig, 1, BLOCK);
    assert_int_equal(on_file(rig, 0), 'o');
    assert_int_equal(file_ask_size_(rig->file), SIZE);
}

/* In the real backend's queue, behind one that the kernel has: it holds the mode, till then. */
static void for_the_backend(void **state)
{
    struct rig *rig = *state;
    struct twostate_iopair *pair = &rig->file->pair;
    struct twostate_hold hold;
    struct plug plug;

    plug_in(&plug, rig->engine);
    write_block(rig, 0, TWOSTATE_IO_DIRECT);
    write_block(rig, 1, TWOSTATE_IO_DIRECT);
    write_block(rig, 0, TWOSTATE_IO_DIRECT | TWOSTATE_IO_DSYNC);
    assert_int_equal(twostate_iopair_query(pair).iotype.holders, 3);
    assert_int_equal(cancel(rig, 0), 2);
    assert_int_equal(twostate_iopair_query(pair).iotype.holders, 1);
    check_cancelled(rig, 0, 2);
    assert_false(twostate_iopair_try_begin(pair, TWOSTATE_BUFFERED_READ, &hold));
    assert_int_equal(cancel(rig, 1), 1);
    check_cancelled(rig, 1, 1);
    assert_true(twostate_iopair_try_begin(pair, TWOSTATE_BUFFERED_READ, &hold));
    write_block(rig, 2, TWOSTATE_IO_DIRECT); /* waits, and goes on as usual */
    twostate_iopair_end(&hold);
    plug_pull(&plug);
    check_done(rig, 2, BLOCK);
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
    write_block(rig, 0, TWOSTATE_IO_DIRECT);
    assert_int_equal(twostate_pwritev_async(rig->file, &(struct iovec){rig->buffer, 1}, 1, BLOCK, 0,
                                            pending_done, &pending),
                     0);
    AWAIT(twostate_iopair_query(&rig->file->pair).iotype.waiting_a == 1);
    write_block(rig, 2, TWOSTATE_IO_DIRECT);
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
    CHECK(twostate_pwritev_async(rig->file, &(struct iovec){rig->buffer, 2 * BLOCK}, 1, 0,
                                 TWOSTATE_IO_DIRECT, note, &rig->slots[0]) == 0);
    holding_release(&holding, 0, 0, BLOCK);
    assert_int_equal(holding.count, 1);
    assert_int_equal(cancel(rig, 0), 0);
    holding_release(&holding, 0, 0, 0);
    check_done(rig, 0, 2 * BLOCK);
    /* Interrupted before anything was moved, it has not begun. */
    write_block(rig, 2, TWOSTATE_IO_DIRECT);
    holding_release(&holding, 0, -EINTR, 0);
    assert_int_equal(cancel(rig, 2), 1);
    check_cancelled(rig, 2, 1);
    /* A durable write has failed: a worker is to find out why. */
    busy_start(&busy, rig->engine);
    write_block(rig, 3, TWOSTATE_IO_DIRECT | TWOSTATE_IO_DSYNC);
    holding_release(&holding, 0, -EIO, 0);
    assert_int_equal(cancel(rig, 3), 0);
    busy_end(&busy);
    check_done(rig, 3, -EIO);
    /* The file system has no direct IO there: a worker is to do it. It has not begun. */
    busy_start(&busy, rig->engine);
    write_block(rig, 4, TWOSTATE_IO_DIRECT);
    holding_release(&holding, 0, -EINVAL, 0);
    assert_int_equal(cancel(rig, 4), 1);
    check_cancelled(rig, 4, 1);
    busy_end(&busy);
    /* The kernel has it. */
    write_block(rig, 5, TWOSTATE_IO_DIRECT);
    holding.backend.ops = &(const struct backend_ops){.submit = holding.backend.ops->submit};
    assert_int_equal(cancel(rig, 5), 0);
    holding_release(&holding, 0, 0, 0);
    check_done(rig, 5, BLOCK);
    /* A worker has it. */
    twostate_iopair_begin(&rig->file->pair, TWOSTATE_EXCLUSIVE_IO, &hold);
    write_block(rig, 6, 0);
    AWAIT(twostate_iopair_query(&rig->file->pair).iolock.waiting_shared == 1);
    assert_int_equal(cancel(rig, 6), 0);
    twostate_iopair_end(&hold);
    check_done(rig, 6, BLOCK);
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
    write_block(rig, 0, TWOSTATE_IO_DIRECT);
    write_block(rig, 0, 0);
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
    AWAIT(load(&rig->slots[0].calls) == 2);
    assert_int_equal(rig->slots[0].cancelled, 0);
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
    rig_open(rig, true);
    plug_in(&plug, rig->engine);
    write_block(rig, 0, TWOSTATE_IO_DIRECT);
    assert_int_equal(cancel(rig, 0), 1);
    twostate_iopair_begin(&rig->file->pair, TWOSTATE_BUFFERED_READ, &hold);
    write_block(rig, 1, TWOSTATE_IO_DIRECT);
    assert_int_equal(cancel(rig, 1), 1);
    twostate_iopair_end(&hold);
    busy_start(&busy, rig->engine);
    write_block(rig, 2, 0);
    assert_int_equal(cancel(rig, 2), 1);
    for (int slot = 0; slot < 3; slot++) {
        assert_int_equal(load(&rig->slots[slot].calls), 0);
        assert_int_equal(cancel(rig, slot), 0); /* it is due, so too late */
    }
    assert_int_equal(twostate_engine_poll(rig->engine, 9), 3);
    for (int slot = 0; slot < 3; slot++) {
        assert_int_equal(rig->slots[slot].calls, 1);
        assert_int_equal(rig->slots[slot].result, -ECANCELED);
    }
    busy_end(&busy);
    plug_pull(&plug);
    /* What has completed is not cancelled any more, and its result stays. */
    write_block(rig, 3, TWOSTATE_IO_DIRECT);
    AWAIT(file_is_free(rig->file));
    assert_int_equal(cancel(rig, 3), 0);
    AWAIT(twostate_engine_poll(rig->engine, 9) == 1);
    assert_int_equal(rig->slots[3].result, BLOCK);
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
    write_block(inside->rig, 0, 0); /* this thread is the only worker */
    inside->cancelled = cancel(inside->rig, 0);
    CHECK(load(&inside->rig->slots[0].calls) == 0 || inside->rig->engine->callers);
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
    write_block(rig, 0, 0);
    write_block(rig, 1, 0);
    assert_int_equal(twostate_preadv_async(rig->file, &iov, 1, 0, 0, note, &rig->slots[2]), -EBUSY);
    assert_int_equal(cancel(rig, 1), 1);
    check_cancelled(rig, 1, 1);
    assert_int_equal(twostate_engine_query(rig->engine, &info), 0);
    assert_int_equal(info.requests, 1);
    write_block(rig, 2, 0);
    busy_end(&busy);
    check_done(rig, 0, BLOCK);
    check_done(rig, 2, BLOCK);
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
    write_block(rig, 0, 0);
    task_start(&task, close_file, rig->file);
    AWAIT(cancel(rig, 1) == -EBADF);
    assert_int_equal(cancel(rig, 0), -EBADF);
    busy_end(&busy);
    task_join(&task);
    rig->file = NULL;
    check_done(rig, 0, BLOCK);
}

/*
 * Everything at once: requests of all kinds that free their args, others that hold the file's modes,
 * and two that cancel whatever was started lately. Who was told "cancelled", and how often, agrees.
 */
#define EACH   500
#define RECENT 8

struct storm {
    struct rig *rig;
    uint64_t seed;
    uint32_t threads; /* numbers them */
    uint32_t submitters;
    uint32_t end;
    uint32_t called;
    uint32_t told;      /* -ECANCELED, in callbacks */
    uint32_t cancelled; /* by twostate_cancel's count */
    void *recent[RECENT];
};

struct drop {
    struct storm *storm;
    char *block;
};

static void splash(void *arg, ssize_t result)
{
    struct drop *drop = arg;
    struct storm *storm = drop->storm;

    CHECK(result == BLOCK || result == -ECANCELED);
    for (int i = 0; i < BLOCK; i += 64)
        CHECK(drop->block[i] == (result == BLOCK ? 'o' : 'x'));
    if (result == -ECANCELED)
        add(&storm->told, 1);
    free(drop->block);
    free(drop);
    add(&storm->called, 1);
}

static void rain(void *arg)
{
    struct storm *storm = arg;
    struct random random = {storm->seed + add(&storm->threads, 1)};

    for (int i = 0; i < EACH; i++) {
        struct drop *drop = malloc(sizeof(*drop));
        const size_t place = random_below(&random, SIZE / BLOCK);
        int result = 0;

        CHECK(drop);
        *drop = (struct drop){.storm = storm, .block = memory_new(BLOCK)};
        memset(drop->block, 'x', BLOCK);
        __atomic_store_n(&storm->recent[random_below(&random, RECENT)], drop, __ATOMIC_RELEASE);
        while (
            (result = twostate_preadv_async(
                 storm->rig->file, &(struct iovec){drop->block, BLOCK}, 1, (int64_t)place * BLOCK,
                 random_below(&random, 4) ? TWOSTATE_IO_DIRECT : 0U, splash, drop)) == -EBUSY)
            sched_yield();
        CHECK(result == 0);
    }
    add(&storm->submitters, UINT32_MAX);
}

static void lightning(void *arg)
{
    struct storm *storm = arg;
    struct random random = {storm->seed + add(&storm->threads, 1)};

    while (!load(&storm->end)) {
        void **recent = &storm->recent[random_below(&random, RECENT)];
        const int cancelled =
            twostate_cancel(storm->rig->file, __atomic_load_n(recent, __ATOMIC_ACQUIRE));

        CHECK(cancelled >= 0);
        add(&storm->cancelled, (uint32_t)cancelled);
        sched_yield();
    }
}

static void hold_modes(void *arg)
{
    const enum twostate_iopath paths[] = {TWOSTATE_BUFFERED_READ, TWOSTATE_EXCLUSIVE_IO};
    struct storm *storm = arg;

    for (unsigned i = 0; !load(&storm->end); i++) {
        struct twostate_hold hold;

        twostate_iopair_begin(&storm->rig->file->pair, paths[i % 2], &hold);
        sched_yield();
        twostate_iopair_end(&hold);
        sched_yield();
    }
}

static void poll_or_wait(struct storm *storm)
{
    if (storm->rig->engine->due)
        CHECK(twostate_engine_poll(storm->rig->engine, 5) >= 0);
    else
        sched_yield();
}

static void storms(void **state)
{
    void (*const runs[])(void *) = {rain, rain, lightning, lightning, hold_modes};
    struct rig *rig = *state;
    const uint64_t seed = seed_choose();

    for (int round = 0; round < 2; round++) {
        struct storm storm = {.rig = rig, .seed = seed, .submitters = 2};
        struct task tasks[5];

        rig_close(rig);
        rig_open(rig, round == 1);
        rig->engine->most_requests = 16;
        for (int i = 0; i < 5; i++)
            task_start(&tasks[i], runs[i], &storm);
        while (load(&storm.submitters) > 0 || load(&storm.called) < 2 * EACH)
            poll_or_wait(&storm);
        store(&storm.end, 1);
        for (int i = 0; i < 5; i++)
            task_join(&tasks[i]);
        assert_int_equal(load(&storm.called), 2 * EACH);
        assert_int_equal(load(&storm.told), load(&storm.cancelled));
        printf("%u of %u cancelled\n", load(&storm.told), 2 * EACH);
    }
}

#define CANCEL_TEST(name) cmocka_unit_test_setup_teardown(name, enter, leave)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CANCEL_TEST(for_the_mode),      CANCEL_TEST(lets_others_in),
        CANCEL_TEST(for_a_worker),      CANCEL_TEST(for_the_backend),
        CANCEL_TEST(hands_on_the_mode), CANCEL_TEST(has_begun),
        CANCEL_TEST(only_the_files),    CANCEL_TEST(polled),
        CANCEL_TEST(in_a_callback),     CANCEL_TEST(makes_room),
        CANCEL_TEST(arguments),         CANCEL_TEST(storms),
    };

    return RUN_WITH_BACKENDS(tests);
}
