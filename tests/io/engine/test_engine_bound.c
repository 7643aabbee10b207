/* SPDX-License-Identifier: MIT */
/* An engine refuses requests that are too many, options that make no sense, and what needs memory
   that is not there: and then nothing was done. */
#include "inject.h"
#include "rig.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static void too_many(void **state)
{
    struct record records[5] = {0};
    struct record never = {0};
    struct rig *rig = *state;
    const struct iovec iov = {rig->buffer, BLOCK};
    struct holding holding;

    rig_open(rig, (struct twostate_engine_options){.polled = true, .requests = 3});
    holding_start(&holding, rig->engine);
    for (int round = 0; round < 2; round++) { /* refusals of another kind take no place */
        assert_int_equal(twostate_preadv_async(rig->file, &iov, -1, 0, 0, note, &never), -EINVAL);
        assert_int_equal(twostate_preadv_async(rig->file, &iov, 1, 0, 0, NULL, &never), -EINVAL);
        assert_int_equal(twostate_preadv_async(rig->file, &iov, 1, 0, 1U << 20, note, &never),
                         -EINVAL);
        assert_int_equal(read_block(rig, round, TWOSTATE_IO_DIRECT, &records[round]), 0);
        assert_int_equal(read_block(rig, round, TWOSTATE_IO_NOWAIT, &never), -EAGAIN);
    }
    assert_int_equal(read_block(rig, 2, TWOSTATE_IO_DIRECT, &records[2]), 0);
    assert_int_equal(requests_of(rig), 3);
    assert_int_equal(read_block(rig, 3, TWOSTATE_IO_DIRECT, &never), -EBUSY);
    assert_int_equal(read_block(rig, 3, 0, &never), -EBUSY);
    assert_int_equal(start_some(rig, 0, &never), -EBUSY);
    assert_int_equal(twostate_fsync_async(rig->file, note, &never), -EBUSY);
    holding_release(&holding, 0, 0, 0);
    assert_int_equal(requests_of(rig), 3); /* not called back yet */
    assert_int_equal(read_block(rig, 3, TWOSTATE_IO_DIRECT, &never), -EBUSY);
    assert_int_equal(twostate_engine_poll(rig->engine, 9), 1);
    assert_int_equal(requests_of(rig), 2);
    assert_int_equal(read_block(rig, 3, TWOSTATE_IO_DIRECT, &records[3]), 0);
    assert_int_equal(read_block(rig, 4, TWOSTATE_IO_DIRECT, &never), -EBUSY);
    assert_int_equal(twostate_pread(rig->file, rig->buffer, BLOCK, 0, TWOSTATE_IO_DIRECT),
                     BLOCK); /* calls that wait are not counted */
    while (holding.count > 0)
        holding_release(&holding, 0, 0, 0);
    assert_int_equal(twostate_engine_poll(rig->engine, 9), 3);
    assert_int_equal(requests_of(rig), 0);
    assert_int_equal(load(&never.calls), 0);
    holding_stop(&holding, rig->engine);
}

/* With a bound of one, a callback can start the next request. */
struct chain {
    struct rig *rig;
    uint32_t links;
};

static void next_link(void *arg, ssize_t result)
{
    struct chain *chain = arg;
    const struct iovec iov = {chain->rig->buffer, BLOCK};

    CHECK(result == BLOCK);
    CHECK(requests_of(chain->rig) == 0);
    if (add(&chain->links, 1) < 100)
        CHECK(twostate_preadv_async(chain->rig->file, &iov, 1, 0, TWOSTATE_IO_DIRECT, next_link,
                                    chain) == 0);
}

static void one_after_another(void **state)
{
    struct rig *rig = *state;
    struct chain chain = {.rig = rig};
    const struct iovec iov = {rig->buffer, BLOCK};

    rig_open(rig, (struct twostate_engine_options){.requests = 1});
    assert_int_equal(
        twostate_preadv_async(rig->file, &iov, 1, 0, TWOSTATE_IO_DIRECT, next_link, &chain), 0);
    AWAIT(load(&chain.links) == 100);
}

/* Many threads never get beyond it, and all get through. */
#define SEVERAL 600

static void start_all(void *arg)
{
    struct rig *rig = arg;
    struct record *records = calloc(SEVERAL, sizeof(*records));

    CHECK(records);
    for (int i = 0; i < SEVERAL; i++) {
        int result = 0;

        while ((result = read_block(rig, i % MOST, i % 4 ? TWOSTATE_IO_DIRECT : 0, &records[i])) ==
               -EBUSY)
            sched_yield();
        CHECK(result == 0);
        CHECK(requests_of(rig) <= 4);
    }
    for (int i = 0; i < SEVERAL; i++)
        AWAIT(load(&records[i].calls) == 1);
    free(records);
}

static void bound_among_threads(void **state)
{
    struct rig *rig = *state;
    struct task tasks[3];

    rig_open(rig, (struct twostate_engine_options){.requests = 4});
    for (int i = 0; i < 3; i++)
        task_start(&tasks[i], start_all, rig);
    for (int i = 0; i < 3; i++)
        task_join(&tasks[i]);
    assert_int_equal(turns(), 3 * SEVERAL);
    assert_int_equal(requests_of(rig), 0);
}

/* The bound itself, without the way through the engine between two who want the last place. */
struct gate {
    struct twostate_engine *engine;
    uint32_t inside;
    uint32_t entered;
};

static void go_through(void *arg)
{
    struct gate *gate = arg;

    for (int i = 0; i < 2000000; i++) {
        if (engine_admit_(gate->engine))
            continue;
        CHECK(add(&gate->inside, 1) == 1);
        for (int moment = 0; moment < 20; moment++) /* long enough for another to be seen */
            CHECK(load(&gate->inside) == 1);
        add(&gate->inside, UINT32_MAX);
        engine_dismiss_(gate->engine);
        add(&gate->entered, 1);
    }
}

static void one_at_a_time(void **state)
{
    struct rig *rig = *state;
    struct gate gate = {0};
    struct task tasks[3];

    rig_open(rig, (struct twostate_engine_options){.requests = 1});
    gate.engine = rig->engine;
    for (int i = 0; i < 3; i++)
        task_start(&tasks[i], go_through, &gate);
    for (int i = 0; i < 3; i++)
        task_join(&tasks[i]);
    assert_true(load(&gate.entered) > 0);
    assert_int_equal(requests_of(rig), 0);
}

/* Arguments, options and memory. */

static void arguments(void **state)
{
    struct rig *rig = *state;
    struct twostate_engine *other = rig->f->engine; /* not polled */
    struct twostate_engine_info info;

    rig_open(rig, (struct twostate_engine_options){.polled = true});
    assert_int_equal(twostate_engine_poll(NULL, 1), -EINVAL);
    assert_int_equal(twostate_engine_poll(other, 1), -EINVAL);
    assert_int_equal(twostate_engine_fd(NULL), -EINVAL);
    assert_int_equal(twostate_engine_fd(other), -EINVAL);
    assert_int_equal(twostate_engine_query(NULL, &info), -EINVAL);
    assert_int_equal(twostate_engine_query(other, NULL), -EINVAL);
    memset(&info, 0xff, sizeof(info));
    assert_int_equal(twostate_engine_query(other, &info), 0);
    assert_int_equal(info.files, 1);
    assert_int_equal(info.requests, 0);
    assert_int_equal(fcntl(twostate_engine_fd(rig->engine), F_GETFD), FD_CLOEXEC);
}

static int try_options(const struct twostate_engine_options *options)
{
    struct twostate_engine *engine = NULL;
    const int result = twostate_engine_create(options, &engine);

    CHECK((engine != NULL) == (result == 0));
    return result ? result : twostate_engine_destroy(engine);
}

static void options(void **state)
{
    const struct twostate_engine_options good[] = {{.requests = 1, .polled = true},
                                                   {.requests = UINT_MAX},
                                                   {.cache_bytes = 4 * MIB},
                                                   {.cache_bytes = UINT64_C(1) << 50},
                                                   {.dirty_percent = 1},
                                                   {.dirty_percent = 90},
                                                   {.writeback_ms = 1},
                                                   {.writeback_ms = UINT_MAX}};
    const struct twostate_engine_options bad[] = {{.cache_bytes = 1},
                                                  {.cache_bytes = 4 * MIB - 1},
                                                  {.dirty_percent = 91},
                                                  {.dirty_percent = UINT_MAX}};
    struct rig *rig = *state;

    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        assert_int_equal(try_options(&good[i]), 0);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(try_options(&bad[i]), -EINVAL);
    rig_open(rig, (struct twostate_engine_options){0}); /* the defaults */
    assert_int_equal(rig->engine->most_requests, 65536);
    assert_int_equal(rig->engine->cache_bytes, 256 * MIB);
    assert_int_equal(rig->engine->dirty_percent, 40);
    assert_int_equal(rig->engine->writeback_ms, 5000);
}

static void let_allocate(void)
{
    inject_error(CALL_ALLOCATE, 1, 0, ENOMEM);
}

/* Each allocation fails in turn: nothing was done, no place is taken, and the next time works. */
static void out_of_memory(void **state)
{
    struct rig *rig = *state;
    const struct twostate_engine_options polled = {.backend = rig->f->engine->kind, .polled = true};
    int results[] = {-ENOMEM, -ENOMEM, -ENOMEM};

    rig_open(rig, polled);
    for (uint32_t nth = 1; results[0] || results[1] || results[2]; nth++) {
        struct record records[2] = {0};

        assert_in_range(nth, 1, 30);
        inject_error(CALL_ALLOCATE, nth, 1, ENOMEM);
        results[0] = try_options(&polled);
        let_allocate();
        for (int i = 0; i < 2; i++) {
            inject_error(CALL_ALLOCATE, nth, 1, ENOMEM);
            results[i + 1] = i ? read_block(rig, 0, TWOSTATE_IO_DIRECT, &records[i])
                               : twostate_fsync_async(rig->file, note, &records[i]);
            let_allocate();
            if (results[i + 1] == 0)
                AWAIT(twostate_engine_poll(rig->engine, 1) == 1);
            assert_int_equal(load(&records[i].calls), results[i + 1] == 0);
        }
        for (int i = 0; i < 3; i++)
            assert_true(results[i] == 0 || results[i] == -ENOMEM);
        assert_int_equal(requests_of(rig), 0);
    }
}

static void out_of_descriptors(void **state)
{
    struct rig *rig = *state;
    const struct twostate_engine_options polled = {.backend = rig->f->engine->kind, .polled = true};
    const int lowest = dup(0);
    struct rlimit before;
    struct rlimit few;

    assert_true(lowest >= 0);
    assert_int_equal(close(lowest), 0);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    few = before;
    few.rlim_cur =
        (rlim_t)lowest + (rig->f->engine->kind == TWOSTATE_BACKEND_URING); /* the ring's */
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    errno = 0;
    assert_int_equal(try_options(&polled), -EMFILE);
    assert_int_equal(errno, 0);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(try_options(&polled), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(too_many),      RIG_TEST(one_after_another),  RIG_TEST(bound_among_threads),
        RIG_TEST(one_at_a_time), RIG_TEST(arguments),          RIG_TEST(options),
        RIG_TEST(out_of_memory), RIG_TEST(out_of_descriptors),
    };

    return RUN_WITH_BACKENDS(tests);
}
