/* SPDX-License-Identifier: MIT */
/* Without a thread: a hold changes its path, and a remap takes two pairs. */
#include "peek.h"
#include "wanter.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void assert_holds(const struct twostate_iopair *pair, enum twostate_iomode mode,
                         enum twostate_state state)
{
    const struct twostate_iopair_info info = twostate_iopair_query(pair);

    assert_int_equal(info.iolock.holders, 1);
    assert_int_equal(info.iolock.mode, mode);
    assert_int_equal(info.iotype.holders, 1);
    assert_int_equal(info.iotype.state, state);
}

static void put_in_flight(struct twostate_iopair *pair, enum twostate_iopath path,
                          struct twostate_hold *completion)
{
    struct twostate_hold hold;

    twostate_iopair_begin(pair, path, &hold);
    twostate_iopair_submitting(&hold, completion);
    twostate_iopair_submitted(&hold);
}

static void test_extend(void **state) /* G10 */
{
    struct twostate_iopair pair = TWOSTATE_IOPAIR_INIT;
    struct twostate_hold completion;
    struct twostate_hold hold;
    struct wanter wanter;

    (void)state;
    wanter_init(&wanter);
    twostate_iopair_begin(&pair, TWOSTATE_DIRECT_EXTEND, &hold);
    assert_int_equal(twostate_iopair_extend_to_direct_async(&hold, &wanter.waiter), 0);
    assert_holds(&pair, TWOSTATE_SHARED, TWOSTATE_DIRECT_STATE);
    twostate_iopair_end(&hold);
    assert_int_equal(called(&wanter), 0);

    put_in_flight(&pair, TWOSTATE_BUFFERED_WRITE, &completion);
    twostate_iopair_begin(&pair, TWOSTATE_DIRECT_EXTEND, &hold);
    assert_int_equal(twostate_iopair_extend_to_direct_async(&hold, &wanter.waiter), -EINPROGRESS);
    assert_true(twostate_iopair_query(&pair).iotype.switching);
    assert_int_equal(twostate_iopair_query(&pair).iolock.mode, TWOSTATE_EXCLUSIVE);
    twostate_iopair_complete(&completion);
    assert_true(told_here(&wanter, 0));
    assert_holds(&pair, TWOSTATE_SHARED, TWOSTATE_DIRECT_STATE);
    twostate_iopair_submitting(&hold, &completion); /* it is a DIRECT hold in every respect */
    twostate_iopair_submitted(&hold);
    twostate_iopair_complete(&completion);
    assert_true(pair_at_rest(&pair));
}

/* Cancelled, it is the extension that it was: it may be tried again, or end. G9, pitfall L10. */
static void test_cancelled_extend(void **state)
{
    (void)state;
    for (int again = 0; again < 2; again++) {
        struct twostate_iopair pair = TWOSTATE_IOPAIR_INIT;
        struct twostate_iopair before;
        struct twostate_hold completion;
        struct twostate_hold hold;
        struct wanter wanter;

        wanter_init(&wanter);
        put_in_flight(&pair, TWOSTATE_BUFFERED_WRITE, &completion);
        twostate_iopair_begin(&pair, TWOSTATE_DIRECT_EXTEND, &hold);
        before = pair;
        assert_int_equal(twostate_iopair_extend_to_direct_async(&hold, &wanter.waiter),
                         -EINPROGRESS);
        assert_true(twostate_waiter_cancel(&wanter.waiter));
        assert_true(pair_is_as(&pair, &before));
        twostate_iopair_complete(&completion);
        assert_holds(&pair, TWOSTATE_EXCLUSIVE, TWOSTATE_BUFFERED_STATE);
        if (again)
            assert_int_equal(twostate_iopair_extend_to_direct_async(&hold, &wanter.waiter), 0);
        twostate_iopair_end(&hold);
        assert_int_equal(called(&wanter), 0);
        assert_true(pair_at_rest(&pair));
    }
}

static void test_retry_unaligned(void **state)
{
    struct twostate_iopair pair = TWOSTATE_IOPAIR_INIT;
    struct twostate_hold completion;
    struct twostate_hold hold;
    struct wanter wanter;

    (void)state;
    wanter_init(&wanter);
    twostate_iopair_begin(&pair, TWOSTATE_DIRECT, &hold);
    assert_int_equal(twostate_iopair_retry_unaligned_async(&hold, &wanter.waiter), 0);
    assert_holds(&pair, TWOSTATE_EXCLUSIVE, TWOSTATE_BUFFERED_STATE);
    twostate_iopair_end(&hold);
    assert_int_equal(called(&wanter), 0);

    put_in_flight(&pair, TWOSTATE_DIRECT, &completion);
    twostate_iopair_begin(&pair, TWOSTATE_DIRECT, &hold);
    assert_int_equal(twostate_iopair_retry_unaligned_async(&hold, &wanter.waiter), -EINPROGRESS);
    twostate_iopair_complete(&completion);
    assert_true(told_here(&wanter, 0));
    assert_holds(&pair, TWOSTATE_EXCLUSIVE, TWOSTATE_BUFFERED_STATE);
    twostate_iopair_end(&hold);
    assert_true(pair_at_rest(&pair));
}

static void test_cancelled_retry_has_ended(void **state) /* G9 */
{
    (void)state;
    for (int in_flight = 0; in_flight < 2; in_flight++) {
        struct twostate_iopair pair = TWOSTATE_IOPAIR_INIT;
        struct twostate_iopair before;
        struct twostate_hold other;
        struct twostate_hold hold;
        struct wanter wanter;

        wanter_init(&wanter);
        if (in_flight)
            put_in_flight(&pair, TWOSTATE_DIRECT, &other);
        else
            twostate_iopair_begin(&pair, TWOSTATE_DIRECT, &other);
        before = pair;
        twostate_iopair_begin(&pair, TWOSTATE_DIRECT, &hold);
        assert_int_equal(twostate_iopair_retry_unaligned_async(&hold, &wanter.waiter),
                         -EINPROGRESS);
        assert_true(twostate_waiter_cancel(&wanter.waiter));
        assert_true(pair_is_as(&pair, &before));
        if (in_flight)
            twostate_iopair_complete(&other);
        else
            twostate_iopair_end(&other);
        assert_int_equal(called(&wanter), 0);
        assert_true(pair_at_rest(&pair));
    }
}

/* Remap of two. */

static void assert_remapping(const struct twostate_iopair *source,
                             const struct twostate_iopair *destination)
{
    assert_true(twostate_iopair_query(source).remapping);
    assert_holds(source, TWOSTATE_SHARED, TWOSTATE_BUFFERED_STATE);
    assert_false(twostate_iopair_query(destination).remapping);
    assert_holds(destination, TWOSTATE_EXCLUSIVE, TWOSTATE_BUFFERED_STATE);
}

/* In either order of the addresses; at once, and with the same pair twice. */
static void test_remap_of_two_at_once(void **state)
{
    struct twostate_iopair pairs[2] = {TWOSTATE_IOPAIR_INIT, TWOSTATE_IOPAIR_INIT};
    struct twostate_hold hold;
    struct wanter wanter;

    (void)state;
    wanter_init(&wanter);
    for (int n = 0; n < 2; n++) {
        assert_int_equal(
            twostate_iopair_begin_remap_two_async(&pairs[n], &pairs[1 - n], &hold, &wanter.waiter),
            0);
        assert_remapping(&pairs[n], &pairs[1 - n]);
        twostate_iopair_end(&hold);
        assert_int_equal(
            twostate_iopair_begin_remap_two_async(&pairs[n], &pairs[n], &hold, &wanter.waiter), 0);
        assert_holds(&pairs[n], TWOSTATE_EXCLUSIVE, TWOSTATE_BUFFERED_STATE);
        twostate_iopair_end(&hold);
        assert_true(pair_at_rest(&pairs[0]) && pair_at_rest(&pairs[1]));
    }
    assert_int_equal(called(&wanter), 0);
}

/*
 * Up to four things in its way, taken away in every order: the source held and its IO in flight,
 * the same of the destination. Granted, or cancelled, after so many of them are gone.
 */
struct way {
    struct twostate_iopair pairs[2];
    struct twostate_hold things[4];
};

static void take_away(struct way *way, unsigned thing)
{
    if (thing < 2)
        twostate_iopair_end(&way->things[thing]);
    else
        twostate_iopair_complete(&way->things[thing]);
}

static void obstruct(struct way *way)
{
    memset(way->pairs, 0, sizeof(way->pairs));
    for (int n = 0; n < 2; n++) {
        put_in_flight(&way->pairs[n], TWOSTATE_DIRECT, &way->things[2 + n]);
        twostate_iopair_begin(&way->pairs[n], TWOSTATE_DIRECT, &way->things[n]);
    }
}

static void remap_through(const unsigned order[4], unsigned gone, int from)
{
    struct way way;
    struct way without; /* the same, when nobody remaps */
    struct twostate_hold hold;
    struct wanter wanter;

    wanter_init(&wanter);
    obstruct(&way);
    obstruct(&without);
    assert_int_equal(twostate_iopair_begin_remap_two_async(&way.pairs[from], &way.pairs[1 - from],
                                                           &hold, &wanter.waiter),
                     -EINPROGRESS);
    for (unsigned i = 0; i < gone; i++) {
        assert_int_equal(called(&wanter), 0);
        take_away(&way, order[i]);
        take_away(&without, order[i]);
    }
    if (gone == 4) {
        assert_true(told_here(&wanter, 0));
        assert_remapping(&way.pairs[from], &way.pairs[1 - from]);
        twostate_iopair_end(&hold);
    } else {
        assert_true(twostate_waiter_cancel(&wanter.waiter));
        for (int n = 0; n < 2; n++)
            assert_true(pair_is_as(&way.pairs[n], &without.pairs[n]));
        for (unsigned i = gone; i < 4; i++)
            take_away(&way, order[i]);
        assert_int_equal(called(&wanter), 0);
    }
    assert_true(pair_at_rest(&way.pairs[0]) && pair_at_rest(&way.pairs[1]));
}

static void test_remap_of_two_step_by_step(void **state) /* G3, G8, G9, pitfalls L07 to L10 */
{
    (void)state;
    for (unsigned p = 0; p < 256; p++) {
        const unsigned order[4] = {p & 3, p >> 2 & 3, p >> 4 & 3, p >> 6};

        if ((1U << order[0] | 1U << order[1] | 1U << order[2] | 1U << order[3]) != 15)
            continue; /* not a permutation */
        for (unsigned gone = 0; gone <= 4; gone++)
            for (int from = 0; from < 2; from++)
                remap_through(order, gone, from);
    }
}

/* Queued crosswise, each onto the other: one after another, all are granted. Pitfall L04. */
#define REMAPS 40

static struct twostate_iopair files[2];
static struct twostate_hold holds[REMAPS];
static uint32_t remapping;

static void remap_and_end(struct wanter *wanter)
{
    struct twostate_hold *hold = wanter->argument;

    CHECK(add(&remapping, 1) == 1);
    CHECK(wanter->result == 0);
    add(&remapping, UINT32_MAX);
    twostate_iopair_end(hold);
}

static void test_remaps_crosswise(void **state)
{
    static struct wanter wanters[REMAPS];
    struct twostate_hold direct;

    (void)state;
    twostate_iopair_begin(&files[1], TWOSTATE_DIRECT, &direct);
    for (int n = 0; n < REMAPS; n++) {
        wanter_init(&wanters[n]);
        wanters[n].then = remap_and_end;
        wanters[n].argument = &holds[n];
        assert_int_equal(twostate_iopair_begin_remap_two_async(&files[n % 2], &files[1 - n % 2],
                                                               &holds[n], &wanters[n].waiter),
                         -EINPROGRESS);
    }
    twostate_iopair_end(&direct);
    for (int n = 0; n < REMAPS; n++)
        assert_true(told_here(&wanters[n], 0));
    assert_true(pair_at_rest(&files[0]) && pair_at_rest(&files[1]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_extend),
        cmocka_unit_test(test_cancelled_extend),
        cmocka_unit_test(test_retry_unaligned),
        cmocka_unit_test(test_cancelled_retry_has_ended),
        cmocka_unit_test(test_remap_of_two_at_once),
        cmocka_unit_test(test_remap_of_two_step_by_step),
        cmocka_unit_test(test_remaps_crosswise),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
