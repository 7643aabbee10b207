/* SPDX-License-Identifier: MIT */
/* A polled engine calls back where it is polled, and only there; and it can be closed by one thread. */
#include "rig.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>

static int enter(void **state)
{
    (void)rig_enter(state);
    rig_open(*state, (struct twostate_engine_options){.polled = true});
    return 0;
}

/* It is for what is due; and for a moment, too, after a poll that asked the engine's thread for its turn. */
static bool readable(const struct rig *rig)
{
    struct pollfd fd = {.fd = twostate_engine_fd(rig->engine), .events = POLLIN};
    const int ready = poll(&fd, 1, 0);

    CHECK(ready >= 0);
    return ready == 1 && (fd.revents & POLLIN);
}

static void check_some(const struct record *records, int count)
{
    for (int i = 0; i < count; i++) {
        assert_int_equal(load(&records[i].calls), 1);
        assert_int_equal(records[i].result, i % 5 == 4 ? 0 : BLOCK);
        assert_true(pthread_equal(records[i].thread, pthread_self()));
    }
}

static void in_the_poller(void **state)
{
    struct record records[MOST] = {0};
    struct rig *rig = *state;
    int made = 0;

    for (int i = 0; i < MOST; i++)
        assert_int_equal(start_some(rig, i, &records[i]), 0);
    assert_int_equal(requests_of(rig), MOST); /* whatever has completed */
    while (made < MOST) {
        struct pollfd fd = {.fd = twostate_engine_fd(rig->engine), .events = POLLIN};
        int now = 0;

        assert_int_equal(poll(&fd, 1, 100000), 1);
        now = twostate_engine_poll(rig->engine, 7);
        assert_in_range(now, 0, 7);
        made += now;
        assert_int_equal(turns(), made);
        assert_int_equal(requests_of(rig), MOST - made);
    }
    check_some(records, MOST);
    AWAIT(!readable(rig));
    assert_int_equal(twostate_engine_poll(rig->engine, 7), 0);
}

/* The order is that of the completions, and the descriptor says whether any is due. */
static void order_and_descriptor(void **state)
{
    const unsigned release[] = {2, 0, 1, 0}; /* of those left: requests 2, 0, 3, 1 */
    const uint32_t turn[] = {2, 4, 1, 3};
    struct record records[4] = {0};
    struct holding holding;
    struct rig *rig = *state;

    holding_start(&holding, rig->engine);
    for (int i = 0; i < 4; i++)
        assert_int_equal(read_block(rig, i, TWOSTATE_IO_DIRECT, &records[i]), 0);
    AWAIT(!readable(rig));
    assert_int_equal(twostate_engine_poll(rig->engine, 10), 0);
    for (int i = 0; i < 4; i++) {
        holding_release(&holding, release[i], 0, 0);
        assert_true(readable(rig));
    }
    assert_true(file_is_free(rig->file)); /* the locks don't wait for the callbacks */
    assert_int_equal(turns(), 0);
    assert_int_equal(twostate_engine_poll(rig->engine, 0), 0);
    assert_true(readable(rig));
    assert_int_equal(twostate_engine_poll(rig->engine, 1), 1);
    assert_int_equal(load(&records[2].calls), 1);
    assert_true(readable(rig));
    assert_int_equal(twostate_engine_poll(rig->engine, UINT_MAX), 3);
    AWAIT(!readable(rig));
    for (int i = 0; i < 4; i++)
        assert_int_equal(records[i].turn, turn[i]);
    assert_int_equal(read_block(rig, 0, TWOSTATE_IO_DIRECT, &(struct record){0}), 0);
    AWAIT(!readable(rig));
    holding_release(&holding, 0, 0, 0);
    assert_true(readable(rig)); /* again */
    assert_int_equal(twostate_engine_poll(rig->engine, 1), 1);
    holding_stop(&holding, rig->engine);
}

/* Requests that are done when the call returns are called back like the others. */
static void done_at_once(void **state)
{
    struct record records[2] = {0};
    struct rig *rig = *state;

    assert_int_equal(twostate_pread(rig->file, rig->buffer, BLOCK, 0, 0), BLOCK); /* cached */
    if (read_block(rig, 0, TWOSTATE_IO_NOWAIT, &records[0]) == 0) { /* on some file systems */
        assert_int_equal(turns(), 0);
        assert_true(readable(rig));
        assert_int_equal(twostate_engine_poll(rig->engine, 1), 1);
        assert_int_equal(records[0].result, BLOCK);
        assert_true(pthread_equal(records[0].thread, pthread_self()));
    }
    rig_close(rig);
    rig_open(rig, (struct twostate_engine_options){.polled = false});
    if (read_block(rig, 0, TWOSTATE_IO_NOWAIT, &records[1]) == 0) {
        AWAIT(load(&records[1].calls));
        assert_false(pthread_equal(records[1].thread, pthread_self()));
    }
}

/* A callback that starts the next request does not keep the poller. */
struct chain {
    struct rig *rig;
    uint32_t links;
    int last; /* what starting one more answered */
};

static void next_link(void *arg, ssize_t result)
{
    struct chain *chain = arg;
    const struct iovec iov = {chain->rig->buffer, BLOCK};

    CHECK(result == BLOCK);
    chain->links++;
    CHECK(twostate_engine_poll(chain->rig->engine, 1) == -EDEADLK);
    CHECK(twostate_file_close(chain->rig->file) == -EDEADLK);
    CHECK(twostate_pread(chain->rig->file, chain->rig->buffer, 1, 0, 0) == -EDEADLK);
    chain->last =
        twostate_preadv_async(chain->rig->file, &iov, 1, 0, TWOSTATE_IO_DIRECT, next_link, chain);
}

static void due_meanwhile(void **state)
{
    struct rig *rig = *state;
    struct chain chain = {.rig = rig};
    const struct iovec iov = {rig->buffer, BLOCK};
    struct holding holding;

    holding_start(&holding, rig->engine);
    holding.at_once = true;
    assert_int_equal(
        twostate_preadv_async(rig->file, &iov, 1, 0, TWOSTATE_IO_DIRECT, next_link, &chain), 0);
    for (uint32_t i = 1; i < 5; i++) {
        assert_int_equal(twostate_engine_poll(rig->engine, UINT_MAX), 1);
        assert_int_equal(chain.links, i);
        assert_true(readable(rig));
    }
    /* Close ends it: one of them is refused at last. */
    assert_int_equal(twostate_file_close(rig->file), 0);
    rig->file = NULL;
    assert_int_equal(chain.last, -EBADF);
    AWAIT(!readable(rig));
    holding_stop(&holding, rig->engine);
}

/* Two at once share the work. */
struct poller {
    struct task task;
    struct twostate_engine *engine;
    uint32_t *made; /* by all */
    uint32_t most;
};

static void poll_until(void *arg)
{
    struct poller *poller = arg;

    while (load(poller->made) < poller->most) {
        struct pollfd fd = {.fd = twostate_engine_fd(poller->engine), .events = POLLIN};
        int made = 0;

        CHECK(poll(&fd, 1, 10) >= 0);
        made = twostate_engine_poll(poller->engine, 3);
        CHECK(made >= 0 && made <= 3);
        add(poller->made, (uint32_t)made);
    }
}

static void two_pollers(void **state)
{
    enum { MANY = 2000 };
    struct record *records = calloc(MANY, sizeof(*records));
    struct rig *rig = *state;
    struct poller pollers[2];
    uint32_t made = 0;

    assert_non_null(records);
    for (int i = 0; i < 2; i++) {
        pollers[i] = (struct poller){.engine = rig->engine, .made = &made, .most = MANY};
        task_start(&pollers[i].task, poll_until, &pollers[i]);
    }
    for (int i = 0; i < MANY; i++)
        assert_int_equal(read_block(rig, i % MOST, i % 3 ? TWOSTATE_IO_DIRECT : 0, &records[i]), 0);
    for (int i = 0; i < 2; i++)
        task_join(&pollers[i].task);
    assert_int_equal(load(&made), MANY);
    for (int i = 0; i < MANY; i++) {
        assert_int_equal(load(&records[i].calls), 1);
        assert_int_equal(records[i].result, BLOCK);
    }
    AWAIT(!readable(rig));
    free(records);
}

/* Closing. */

/* A program with one thread does not wait for itself. */
static void close_calls_back(void **state)
{
    struct record records[MOST] = {0};
    struct record other = {0};
    struct rig *rig = *state;
    struct rig second = *rig;
    struct holding holding;

    second.file = file_new(rig->engine, &rig->f->scratch, O_RDWR);
    holding_start(&holding, rig->engine);
    assert_int_equal(read_block(&second, 0, TWOSTATE_IO_DIRECT, &other), 0);
    holding_release(&holding, 0, 0, 0);
    holding_stop(&holding, rig->engine);
    for (int i = 0; i < MOST; i++)
        assert_int_equal(start_some(rig, i, &records[i]), 0);
    assert_int_equal(twostate_engine_destroy(rig->engine), -EBUSY);
    assert_int_equal(twostate_file_close(rig->file), 0);
    rig->file = NULL;
    check_some(records, MOST);
    assert_int_equal(load(&other.calls), 0); /* no business of this file's close */
    assert_true(readable(rig));
    assert_int_equal(requests_of(rig), 1);
    assert_int_equal(twostate_engine_destroy(rig->engine), -EBUSY);
    assert_int_equal(twostate_engine_poll(rig->engine, 9), 1);
    assert_int_equal(load(&other.calls), 1);
    assert_int_equal(twostate_file_close(second.file), 0);
}

static void close_file(void *arg)
{
    CHECK(twostate_file_close(arg) == 0);
}

/* Close waits for requests that wait for the mode, and for the backend. */
static void close_waits(void **state)
{
    struct record records[2] = {0};
    struct rig *rig = *state;
    struct twostate_hold hold;
    struct holding holding;
    struct task task;

    holding_start(&holding, rig->engine);
    twostate_iopair_begin(&rig->file->pair, TWOSTATE_BUFFERED_READ, &hold);
    for (int i = 0; i < 2; i++)
        assert_int_equal(read_block(rig, i, TWOSTATE_IO_DIRECT, &records[i]), 0);
    assert_int_equal(holding.count, 0);
    task_start(&task, close_file, rig->file);
    AWAIT(twostate_iolock_query(&rig->file->users).waiting_exclusive == 1);
    assert_false(task_done(&task));
    twostate_iopair_end(&hold); /* which submits them, in this thread */
    assert_int_equal(holding.count, 2);
    assert_false(task_done(&task));
    holding_release(&holding, 1, 0, 0);
    AWAIT(load(&records[1].calls)); /* by close, which waits on */
    assert_false(task_done(&task));
    holding_release(&holding, 0, 0, 0);
    task_join(&task);
    rig->file = NULL;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(load(&records[i].calls), 1);
        assert_int_equal(records[i].result, BLOCK);
        assert_true(records[i].waited > 0);
        assert_false(pthread_equal(records[i].thread, pthread_self()));
    }
    holding_stop(&holding, rig->engine);
}

/* A callback that a poller is in, and close waits for its end. */
struct stay {
    uint32_t in;
    uint32_t end;
};

static void stay(void *arg, ssize_t result)
{
    struct stay *s = arg;

    CHECK(result == BLOCK);
    store(&s->in, 1);
    AWAIT(load(&s->end));
}

static void close_waits_for_a_poller(void **state)
{
    struct rig *rig = *state;
    const struct iovec iov = {rig->buffer, BLOCK};
    struct poller poller = {.engine = rig->engine, .made = &(uint32_t){0}, .most = 1};
    struct stay s = {0};
    struct task task;

    assert_int_equal(twostate_preadv_async(rig->file, &iov, 1, 0, 0, stay, &s), 0);
    task_start(&poller.task, poll_until, &poller);
    AWAIT(load(&s.in));
    task_start(&task, close_file, rig->file);
    AWAIT(twostate_iolock_query(&rig->file->users).waiting_exclusive == 1);
    assert_false(task_done(&task));
    store(&s.end, 1);
    task_join(&task);
    task_join(&poller.task);
    rig->file = NULL;
}

static void poll_on(void *arg)
{
    struct poller *poller = arg;

    while (!load(poller->made))
        CHECK(twostate_engine_poll(poller->engine, 2) >= 0);
}

static void close_beside_a_poller(void **state)
{
    struct rig *rig = *state;
    uint32_t end = 0;
    struct poller poller = {.engine = rig->engine, .made = &end};

    task_start(&poller.task, poll_on, &poller);
    for (int round = 0; round < 40; round++) {
        struct record records[10] = {0};

        for (int i = 0; i < 10; i++)
            assert_int_equal(start_some(rig, i, &records[i]), 0);
        assert_int_equal(twostate_file_close(rig->file), 0);
        for (int i = 0; i < 10; i++)
            assert_int_equal(load(&records[i].calls), 1);
        rig->file = file_new(rig->engine, &rig->f->scratch, O_RDWR);
    }
    store(&end, 1);
    task_join(&poller.task);
    AWAIT(!readable(rig));
}

#define POLL_TEST(name) cmocka_unit_test_setup_teardown(name, enter, rig_leave)

int main(void)
{
    const struct CMUnitTest tests[] = {
        POLL_TEST(in_the_poller),         POLL_TEST(order_and_descriptor),
        POLL_TEST(done_at_once),          POLL_TEST(due_meanwhile),
        POLL_TEST(two_pollers),           POLL_TEST(close_calls_back),
        POLL_TEST(close_waits),           POLL_TEST(close_waits_for_a_poller),
        POLL_TEST(close_beside_a_poller),
    };

    return RUN_WITH_BACKENDS(tests);
}
