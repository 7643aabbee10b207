/* SPDX-License-Identifier: MIT */
/*
 * The pair's begins without a thread: every path queued at each of its steps, granted by whoever
 * makes room there, and cancelled there without a trace.
 */
#include "peek.h"
#include "wanter.h"

#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define PATHS 7

/* What can be in the way of a path: a hold of another path, or of its request in flight. */
struct obstacle {
    enum twostate_iopath path;
    bool in_flight; /* holds IOTYPE only */
    struct twostate_hold hold;
    struct twostate_hold completion;
};

static void put(struct obstacle *obstacle, struct twostate_iopair *pair)
{
    twostate_iopair_begin(pair, obstacle->path, &obstacle->hold);
    if (obstacle->in_flight) {
        twostate_iopair_submitting(&obstacle->hold, &obstacle->completion);
        twostate_iopair_submitted(&obstacle->hold);
    }
}

static void take_away(struct obstacle *obstacle)
{
    if (obstacle->in_flight)
        twostate_iopair_complete(&obstacle->completion);
    else
        twostate_iopair_end(&obstacle->hold);
}

static const struct obstacle obstacles[] = {
    {.path = TWOSTATE_BUFFERED_READ},
    {.path = TWOSTATE_BUFFERED_WRITE},
    {.path = TWOSTATE_DIRECT},
    {.path = TWOSTATE_DIRECT_EXTEND},
    {.path = TWOSTATE_UNALIGNED},
    {.path = TWOSTATE_REMAP},
    {.path = TWOSTATE_EXCLUSIVE_IO},
    {.path = TWOSTATE_BUFFERED_WRITE, .in_flight = true},
    {.path = TWOSTATE_DIRECT, .in_flight = true},
};

#define OBSTACLES (sizeof(obstacles) / sizeof(obstacles[0]))

/* Waits where the blocking form would wait, holds what it would hold. */
static void check(const struct obstacle *which, enum twostate_iopath path, bool cancel)
{
    struct twostate_iopair pair = TWOSTATE_IOPAIR_INIT;
    struct obstacle obstacle = *which;
    struct twostate_hold hold;
    struct twostate_hold tried;
    struct twostate_iopair before;
    struct twostate_iopair_info held;
    struct wanter wanter;
    bool room = false;
    int result = 0;

    twostate_iopair_begin(&pair, path, &hold);
    held = twostate_iopair_query(&pair);
    twostate_iopair_end(&hold);
    memset(&hold, 0xa5, sizeof(hold));
    wanter_init(&wanter);
    put(&obstacle, &pair);
    before = pair;
    room = twostate_iopair_try_begin(&pair, path, &tried);
    if (room)
        twostate_iopair_end(&tried);
    result = twostate_iopair_begin_async(&pair, path, &hold, &wanter.waiter);
    if (result != (room ? 0 : -EINPROGRESS))
        fail_msg("obstacle %d, path %d: %d", (int)(which - obstacles), (int)path, result);
    if (cancel && !room) {
        assert_true(twostate_waiter_cancel(&wanter.waiter));
        assert_true(pair_is_as(&pair, &before));
        take_away(&obstacle);
        assert_int_equal(called(&wanter), 0);
    } else {
        assert_int_equal(called(&wanter), 0);
        take_away(&obstacle);
        assert_true(room || told_here(&wanter, 0));
        assert_int_equal(twostate_iopair_query(&pair).iolock.holders, held.iolock.holders);
        assert_int_equal(twostate_iopair_query(&pair).iolock.mode,
                         obstacle.path == TWOSTATE_REMAP && path == TWOSTATE_BUFFERED_WRITE
                             ? TWOSTATE_EXCLUSIVE /* it began while a remap went on */
                             : held.iolock.mode);
        assert_int_equal(twostate_iopair_query(&pair).iotype.holders, held.iotype.holders);
        assert_int_equal(twostate_iopair_query(&pair).iotype.state, held.iotype.state);
        assert_int_equal(twostate_iopair_query(&pair).remapping, held.remapping);
        twostate_iopair_end(&hold);
    }
    if (!pair_at_rest(&pair))
        fail_msg("obstacle %d, path %d: not free", (int)(which - obstacles), (int)path);
}

static void test_every_path_behind_every_other(void **state) /* G1, G3 */
{
    (void)state;
    for (size_t i = 0; i < OBSTACLES; i++)
        for (unsigned path = 0; path < PATHS; path++)
            check(&obstacles[i], (enum twostate_iopath)path, false);
}

static void test_cancelled_behind_every_other(void **state) /* G9, pitfalls L05, L08, L09, L10 */
{
    (void)state;
    for (size_t i = 0; i < OBSTACLES; i++)
        for (unsigned path = 0; path < PATHS; path++)
            check(&obstacles[i], (enum twostate_iopath)path, true);
}

/*
 * Queued twice: for the IOLOCK behind a hold, and then, granted that, for IOTYPE behind a request in
 * flight. The callback comes once, after the second; or never, if cancelled between.
 */
static void queue_at_second_step(enum twostate_iopath path, bool cancel)
{
    struct twostate_iopair pair = TWOSTATE_IOPAIR_INIT;
    struct obstacle first = {.path =
                                 path == TWOSTATE_DIRECT ? TWOSTATE_EXCLUSIVE_IO : TWOSTATE_DIRECT};
    struct obstacle second = {.path = TWOSTATE_DIRECT, .in_flight = true};
    struct twostate_iopair before;
    struct twostate_hold hold;
    struct wanter wanter;

    if (path == TWOSTATE_BUFFERED_READ || path == TWOSTATE_BUFFERED_WRITE ||
        path == TWOSTATE_DIRECT)
        return; /* their first step is shared: a hold in its way would have IOTYPE, too */
    put(&second, &pair);
    before = pair;
    put(&first, &pair);
    wanter_init(&wanter);
    assert_int_equal(twostate_iopair_begin_async(&pair, path, &hold, &wanter.waiter), -EINPROGRESS);
    assert_int_equal(twostate_iopair_query(&pair).iolock.waiting_exclusive, 1);
    take_away(&first);
    assert_int_equal(called(&wanter), 0);
    assert_int_equal(twostate_iopair_query(&pair).iolock.holders, 1);
    assert_int_equal(twostate_iopair_query(&pair).iotype.waiting_a +
                         twostate_iopair_query(&pair).iotype.draining,
                     1);
    assert_int_equal(twostate_iopair_query(&pair).remapping, path == TWOSTATE_REMAP);
    if (cancel) {
        assert_true(twostate_waiter_cancel(&wanter.waiter));
        assert_true(pair_is_as(&pair, &before));
        take_away(&second);
        assert_int_equal(called(&wanter), 0);
    } else {
        take_away(&second);
        assert_true(told_here(&wanter, 0));
        twostate_iopair_end(&hold);
    }
    assert_true(pair_at_rest(&pair));
}

static void test_queued_at_two_steps(void **state) /* G3, G8, pitfall L10 */
{
    (void)state;
    for (unsigned path = 0; path < PATHS; path++) {
        queue_at_second_step((enum twostate_iopath)path, false);
        queue_at_second_step((enum twostate_iopath)path, true);
    }
}

/* Whoever was kept out by what the cancelled begin held already goes on. Pitfalls L07, L14. */
static void test_cancel_lets_others_on(void **state)
{
    struct twostate_iopair pair = TWOSTATE_IOPAIR_INIT;
    struct obstacle in_flight = {.path = TWOSTATE_DIRECT, .in_flight = true};
    struct twostate_hold truncate_hold;
    struct twostate_hold direct_hold;
    struct wanter truncate;
    struct wanter direct;

    (void)state;
    wanter_init(&truncate);
    wanter_init(&direct);
    put(&in_flight, &pair);
    assert_int_equal(
        twostate_iopair_begin_async(&pair, TWOSTATE_EXCLUSIVE_IO, &truncate_hold, &truncate.waiter),
        -EINPROGRESS);
    assert_int_equal(
        twostate_iopair_begin_async(&pair, TWOSTATE_DIRECT, &direct_hold, &direct.waiter),
        -EINPROGRESS);
    assert_int_equal(called(&direct), 0);
    assert_true(twostate_waiter_cancel(&truncate.waiter));
    assert_true(told_here(&direct, 0)); /* beside the one in flight */
    assert_int_equal(called(&truncate), 0);
    twostate_iopair_end(&direct_hold);
    take_away(&in_flight);
    assert_true(pair_at_rest(&pair));
}

/* And its callback may cancel the very waiter that is just being cancelled. */
static void cancel_other(struct wanter *wanter)
{
    struct wanter *other = wanter->argument;

    other->result = twostate_waiter_cancel(&other->waiter);
}

static void test_cancel_within_a_cancel(void **state) /* pitfalls L09, L15 */
{
    struct twostate_iopair pair = TWOSTATE_IOPAIR_INIT;
    struct obstacle in_flight = {.path = TWOSTATE_DIRECT, .in_flight = true};
    struct twostate_hold truncate_hold;
    struct twostate_hold direct_hold;
    struct wanter truncate;
    struct wanter direct;

    (void)state;
    wanter_init(&truncate);
    wanter_init(&direct);
    direct.then = cancel_other;
    direct.argument = &truncate;
    put(&in_flight, &pair);
    assert_int_equal(
        twostate_iopair_begin_async(&pair, TWOSTATE_EXCLUSIVE_IO, &truncate_hold, &truncate.waiter),
        -EINPROGRESS);
    assert_int_equal(
        twostate_iopair_begin_async(&pair, TWOSTATE_DIRECT, &direct_hold, &direct.waiter),
        -EINPROGRESS);
    truncate.result = 7;
    assert_true(twostate_waiter_cancel(&truncate.waiter));
    assert_true(told_here(&direct, 0));
    assert_int_equal(truncate.result, true);
    assert_int_equal(called(&truncate), 0);
    twostate_iopair_end(&direct_hold);
    take_away(&in_flight);
    assert_true(pair_at_rest(&pair));
}

/*
 * A cancel while another thread makes room, first at the IOLOCK, then at IOTYPE: it is cancelled
 * before, between or after, or while it moves from one to the other. Then it is one or the other.
 */
struct race {
    struct obstacle obstacles[2];
    uint32_t round;
    uint32_t made_way;
    uint32_t stop;
};

static void make_way_each_round(void *argument)
{
    struct race *race = argument;

    for (uint32_t round = 1;; round++) {
        while (load(&race->round) < round) {
            if (load(&race->stop))
                return;
            if (round % 4 == 0)
                sched_yield();
        }
        take_away(&race->obstacles[1]);
        take_away(&race->obstacles[0]);
        store(&race->made_way, round);
    }
}

static void test_cancel_races_with_the_steps(void **state) /* G9, pitfalls L09, L10 */
{
    const struct timespec enough = after_ms(3000);
    struct race race = {.round = 0};
    uint32_t cancelled = 0;
    uint32_t round = 0;
    struct task task;

    (void)state;
    task_start(&task, make_way_each_round, &race);
    for (round = 1; round <= 3000 && (round <= 50 || !is_past(&enough)); round++) {
        struct twostate_iopair pair = TWOSTATE_IOPAIR_INIT;
        struct twostate_hold hold;
        struct wanter wanter;
        bool gone = false;

        wanter_init(&wanter);
        race.obstacles[0] = (struct obstacle){.path = TWOSTATE_DIRECT, .in_flight = true};
        race.obstacles[1] = (struct obstacle){.path = TWOSTATE_DIRECT};
        put(&race.obstacles[0], &pair);
        put(&race.obstacles[1], &pair);
        assert_int_equal(
            twostate_iopair_begin_async(&pair, TWOSTATE_EXCLUSIVE_IO, &hold, &wanter.waiter),
            -EINPROGRESS);
        store(&race.round, round);
        sys_pause_(round % 256);
        gone = twostate_waiter_cancel(&wanter.waiter);
        cancelled += gone;
        while (load(&race.made_way) < round)
            sched_yield();
        assert_int_equal(called(&wanter), !gone);
        if (!gone)
            twostate_iopair_end(&hold);
        assert_true(pair_at_rest(&pair));
    }
    store(&race.stop, 1);
    task_join(&task);
    print_message("%u of %u cancelled\n", cancelled, round - 1);
}

static void test_limit_of_holders(void **state) /* G2, G9, pitfall L21 */
{
    struct twostate_iopair pair = TWOSTATE_IOPAIR_INIT;
    struct twostate_iopair before;
    struct twostate_hold hold;
    struct wanter wanter;

    (void)state;
    wanter_init(&wanter);
    pair.iotype_.word_ = word_held(GROUP_A) | TWOSTATE_LOCK_MAX_HOLDERS;
    before = pair;
    assert_int_equal(
        twostate_iopair_begin_async(&pair, TWOSTATE_BUFFERED_READ, &hold, &wanter.waiter),
        -EOVERFLOW);
    assert_true(pair_is_as(&pair, &before));
    assert_int_equal(called(&wanter), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_path_behind_every_other),
        cmocka_unit_test(test_cancelled_behind_every_other),
        cmocka_unit_test(test_queued_at_two_steps),
        cmocka_unit_test(test_cancel_lets_others_on),
        cmocka_unit_test(test_cancel_within_a_cancel),
        cmocka_unit_test(test_cancel_races_with_the_steps),
        cmocka_unit_test(test_limit_of_holders),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
