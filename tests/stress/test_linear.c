/* SPDX-License-Identifier: MIT */
/* The check of histories: it accepts what a lock may do, rejects what none may, and agrees with a
 * search that tries every order. */
#include "linear.h"
#include "random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum {
    ONE_B = 1 << MODE_B,
};

/* Histories by hand: slot 0, 1, ... call and return. */

#define BEGIN(at, what, how, may_wait, count)                                                      \
    {                                                                                              \
        .slot = (at), .call = {                                                                    \
            .kind = CALL_##what,                                                                   \
            .mode = MODE_##how,                                                                    \
            .waits = (may_wait),                                                                   \
            .n = (count)                                                                           \
        }                                                                                          \
    }
#define ACQUIRE(at, how)   BEGIN(at, TAKE, how, true, 1)
#define TRY(at, how)       BEGIN(at, TAKE, how, false, 1)
#define TAKE_N(at, how, n) BEGIN(at, TAKE, how, true, n)
#define RELEASE(at, how)   BEGIN(at, GIVE, how, false, 1)
#define GIVE_N(at, how, n) BEGIN(at, GIVE, how, false, n)
#define JOIN(at, how)      BEGIN(at, JOIN, how, false, 1)
#define DRAIN(at)          BEGIN(at, DRAIN, NONE, true, 0)
#define LOOK(at)           BEGIN(at, LOOK, NONE, false, 0)
#define SWITCH(at, from, into)                                                                     \
    {                                                                                              \
        .slot = (at), .call = {.kind = CALL_CHANGE, .mode = MODE_##from, .to = MODE_##into }       \
    }
#define END(at, result)                                                                            \
    {                                                                                              \
        .slot = (at), .returns = true, .call = {.outcome = (result) }                              \
    }
#define DONE(at)   END(at, OUTCOME_DONE)
#define FAILED(at) END(at, OUTCOME_REFUSED)
#define SAW(at, how, count)                                                                        \
    {                                                                                              \
        .slot = (at), .returns = true, .call = {.seen = MODE_##how, .n = (count) }                 \
    }

#define CHECK_HISTORY(expected, alone, ...)                                                        \
    do {                                                                                           \
        struct event events[] = {__VA_ARGS__};                                                     \
        const struct linear_result result =                                                        \
            linear_check(events, sizeof(events) / sizeof(events[0]), alone);                       \
        assert_true(result.complete);                                                              \
        assert_int_equal(result.ok, expected);                                                     \
    } while (0)
#define GOOD(...) CHECK_HISTORY(true, 0, __VA_ARGS__)
#define BAD(...)  CHECK_HISTORY(false, 0, __VA_ARGS__)

static void states_share_and_exclude(void **unused)
{
    (void)unused;
    GOOD(ACQUIRE(0, A), DONE(0), ACQUIRE(1, A), DONE(1), RELEASE(0, A), DONE(0), RELEASE(1, A),
         DONE(1));
    BAD(ACQUIRE(0, A), DONE(0), ACQUIRE(1, B), DONE(1), RELEASE(0, A), DONE(0));
    /* overlapping: the release may have come first */
    GOOD(ACQUIRE(0, A), DONE(0), ACQUIRE(1, B), RELEASE(0, A), DONE(1), DONE(0));
    BAD(ACQUIRE(0, A), DONE(0), ACQUIRE(1, B), DONE(1), RELEASE(0, A), DONE(0), RELEASE(1, B),
        DONE(1));
    BAD(RELEASE(0, A), DONE(0));
    BAD(ACQUIRE(0, A), DONE(0), RELEASE(0, B), DONE(0));
}

static void one_of_b_at_a_time(void **unused)
{
    (void)unused;
    CHECK_HISTORY(false, ONE_B, ACQUIRE(0, B), DONE(0), ACQUIRE(1, B), DONE(1));
    CHECK_HISTORY(true, 0, ACQUIRE(0, B), DONE(0), ACQUIRE(1, B), DONE(1));
    CHECK_HISTORY(true, ONE_B, ACQUIRE(0, B), DONE(0), TRY(1, B), FAILED(1));
    CHECK_HISTORY(false, 0, ACQUIRE(0, B), DONE(0), TRY(1, B), FAILED(1));
    CHECK_HISTORY(true, ONE_B, ACQUIRE(0, B), DONE(0), SWITCH(0, B, A), DONE(0), ACQUIRE(1, A),
                  DONE(1));
}

static void a_try_fails_for_a_reason(void **unused)
{
    (void)unused;
    BAD(TRY(0, A), FAILED(0));
    BAD(ACQUIRE(0, A), DONE(0), TRY(1, A), FAILED(1));
    GOOD(ACQUIRE(0, A), DONE(0), TRY(1, B), FAILED(1));
    /* kept for the waiter of B, or not */
    GOOD(ACQUIRE(0, A), DONE(0), ACQUIRE(1, B), TRY(2, A), FAILED(2), RELEASE(0, A), DONE(0),
         DONE(1));
    GOOD(ACQUIRE(0, A), DONE(0), ACQUIRE(1, B), TRY(2, A), DONE(2), RELEASE(0, A), DONE(0),
         RELEASE(2, A), DONE(2), DONE(1));
    GOOD(ACQUIRE(0, A), DONE(0), DRAIN(1), TRY(2, A), FAILED(2), RELEASE(0, A), DONE(0), DONE(1));
    /* a try does not wait, and a waiter of the same state keeps nothing from it */
    BAD(TRY(1, B), TRY(0, A), FAILED(0), FAILED(1));
    BAD(ACQUIRE(1, A), TRY(0, A), FAILED(0), DONE(1));
    /* the waiter of B had come and gone */
    BAD(ACQUIRE(1, B), DONE(1), RELEASE(1, B), DONE(1), TRY(0, A), FAILED(0));
}

static void timed_and_cancelled(void **unused)
{
    (void)unused;
    BAD(ACQUIRE(0, A), FAILED(0));
    GOOD(ACQUIRE(0, B), DONE(0), ACQUIRE(1, A), FAILED(1), RELEASE(0, B), DONE(0));
    GOOD(ACQUIRE(0, A), END(0, OUTCOME_WITHDRAWN), TRY(0, B), DONE(0));
    /* cancelled, so it holds nothing */
    BAD(ACQUIRE(0, A), END(0, OUTCOME_WITHDRAWN), RELEASE(0, A), DONE(0));
    /* it gave up: nothing is kept for it any more */
    BAD(ACQUIRE(1, A), DONE(1), ACQUIRE(0, B), FAILED(0), TRY(2, A), FAILED(2));
}

static void drains_see_it_unlocked(void **unused)
{
    (void)unused;
    GOOD(DRAIN(0), DONE(0));
    BAD(ACQUIRE(0, A), DONE(0), DRAIN(1), DONE(1));
    BAD(DRAIN(0), FAILED(0));
    GOOD(ACQUIRE(0, A), DONE(0), DRAIN(1), FAILED(1));
    GOOD(ACQUIRE(0, FROZEN), DONE(0), DRAIN(1), DONE(1));
    BAD(ACQUIRE(0, FROZEN), DONE(0), DRAIN(1), FAILED(1));
    /* another hold begins before the first one ends: never unlocked */
    BAD(ACQUIRE(0, A), DONE(0), DRAIN(2), ACQUIRE(1, A), DONE(1), RELEASE(0, A), DONE(0), DONE(2));
    GOOD(ACQUIRE(0, A), DONE(0), DRAIN(2), ACQUIRE(1, A), RELEASE(0, A), DONE(1), DONE(0), DONE(2));
}

static void freezes(void **unused)
{
    (void)unused;
    BAD(ACQUIRE(0, FROZEN), DONE(0), TRY(1, A), DONE(1));
    GOOD(ACQUIRE(0, FROZEN), DONE(0), TRY(1, A), FAILED(1), TRY(1, FROZEN), DONE(1));
    GOOD(ACQUIRE(0, FROZEN), DONE(0), SWITCH(0, FROZEN, B), DONE(0), TRY(1, B), DONE(1));
    BAD(ACQUIRE(0, FROZEN), DONE(0), ACQUIRE(1, FROZEN), DONE(1), SWITCH(0, FROZEN, B), DONE(0));
    GOOD(ACQUIRE(0, FROZEN), DONE(0), ACQUIRE(1, FROZEN), DONE(1), SWITCH(0, FROZEN, B), FAILED(0));
}

static void switches_are_alone(void **unused)
{
    (void)unused;
    GOOD(ACQUIRE(0, A), DONE(0), SWITCH(0, A, B), DONE(0), RELEASE(0, B), DONE(0));
    BAD(ACQUIRE(0, A), DONE(0), ACQUIRE(1, A), DONE(1), SWITCH(0, A, B), DONE(0));
    BAD(ACQUIRE(0, A), DONE(0), SWITCH(0, A, B), FAILED(0));
    BAD(ACQUIRE(0, A), DONE(0), SWITCH(0, A, B), DRAIN(1), DONE(1), DONE(0));
    BAD(ACQUIRE(0, A), DONE(0), SWITCH(0, A, B), LOOK(1), SAW(1, NONE, 0), DONE(0));
}

static void counts(void **unused)
{
    (void)unused;
    GOOD(TAKE_N(0, A, 3), DONE(0), GIVE_N(0, A, 2), DONE(0), JOIN(0, A), DONE(0), LOOK(0),
         SAW(0, A, 2), GIVE_N(0, A, 2), DONE(0), LOOK(0), SAW(0, NONE, 0));
    BAD(TAKE_N(0, A, 3), DONE(0), GIVE_N(0, A, 3), DONE(0), LOOK(0), SAW(0, A, 1));
    BAD(TAKE_N(0, A, 3), DONE(0), GIVE_N(0, A, 4), DONE(0));
    BAD(TAKE_N(0, A, 3), DONE(0), GIVE_N(0, A, 2), DONE(0), TRY(1, B), DONE(1));
    BAD(JOIN(0, A), DONE(0));
    BAD(ACQUIRE(0, A), DONE(0), JOIN(0, A), FAILED(0));
}

static void incomplete_histories(void **unused)
{
    struct event unfinished[] = {ACQUIRE(0, A)};
    struct event twice[] = {ACQUIRE(0, A), ACQUIRE(0, A), DONE(0), DONE(0)};
    struct event nothing[] = {DONE(0)};

    (void)unused;
    assert_false(linear_check(unfinished, 1, 0).complete);
    assert_false(linear_check(twice, 4, 0).complete);
    assert_false(linear_check(nothing, 1, 0).complete);
}

/* A few calls as intervals, and every order of them. */

#define CALLS 6

struct interval {
    struct call call;
    unsigned begin, end;
};

static bool kept_for_other(const struct interval *intervals, unsigned left, const struct call *call,
                           unsigned until)
{
    for (unsigned i = 0; i < CALLS; i++)
        if ((left & 1U << i) != 0 && intervals[i].call.waits && intervals[i].begin < until &&
            call_group(&intervals[i].call) != call_group(call))
            return true;
    return false;
}

/* `left`: a bit for each call that has not had its point. */
static bool some_order(const struct interval *intervals, unsigned left, struct sequential lock,
                       unsigned alone)
{
    unsigned until = UINT32_MAX; /* somebody returns here, so the next point is before */

    for (unsigned i = 0; i < CALLS; i++)
        if ((left & 1U << i) != 0 && intervals[i].end < until)
            until = intervals[i].end;
    for (unsigned i = 0; i < CALLS; i++) {
        struct sequential after = lock;

        if ((left & 1U << i) != 0 && intervals[i].begin < until &&
            sequential_step(&after, &intervals[i].call, alone,
                            kept_for_other(intervals, left, &intervals[i].call, until)) &&
            some_order(intervals, left & ~(1U << i), after, alone))
            return true;
    }
    return left == 0;
}

static struct call any_call(uint64_t *random)
{
    struct call call = {.kind = (uint8_t)random_below(random, 6),
                        .mode = (uint8_t)random_below(random, MODES),
                        .to = (uint8_t)random_below(random, 2),
                        .waits = random_below(random, 2) == 0,
                        .n = (uint16_t)(1 + random_below(random, 2))};

    if (random_below(random, 4) != 0)
        call.kind = random_below(random, 2) == 0 ? CALL_TAKE : CALL_GIVE;
    if (call.kind == CALL_GIVE || call.kind == CALL_JOIN || call.kind == CALL_LOOK)
        call.waits = false;
    return call;
}

/* Most calls come to what they would if the points were in the order of the begins. */
static void decide(uint64_t *random, struct call *call, struct sequential *lock, unsigned alone)
{
    const bool likely = random_below(random, 10) != 0;
    struct sequential after = *lock;

    if (likely && (call->kind == CALL_GIVE || call->kind == CALL_JOIN) && lock->holds > 0) {
        call->mode = lock->mode;
        call->n = 1;
    }
    if (call->kind == CALL_LOOK) {
        call->seen = likely ? lock->mode : MODE_A;
        call->n = likely ? (uint16_t)lock->holds : 1;
    } else if (call->kind == CALL_TAKE || call->kind == CALL_CHANGE || call->kind == CALL_DRAIN) {
        if (sequential_step(&after, call, alone, false) != likely)
            call->outcome = (uint8_t)(1 + random_below(random, 2));
    }
    sequential_step(lock, call, alone, false);
}

/* Calls with random begins and ends, as events in their order. */
static void any_history(uint64_t *random, struct interval *intervals, struct event *events,
                        unsigned alone)
{
    struct sequential lock = {.mode = MODE_NONE};
    unsigned begun = 0;
    unsigned ended = 0;

    for (unsigned at = 0; at < 2 * CALLS; at++) {
        if (begun < CALLS && (begun == ended || random_below(random, 2) == 0)) {
            intervals[begun] = (struct interval){.call = any_call(random), .begin = at};
            decide(random, &intervals[begun].call, &lock, alone);
            events[at] = (struct event){.slot = (uint8_t)begun, .call = intervals[begun].call};
            begun++;
        } else { /* the one that ends is any of those that have begun */
            unsigned i = random_below(random, begun);

            while (intervals[i].end != 0)
                i = (i + 1) % begun;
            intervals[i].end = at;
            events[at] =
                (struct event){.slot = (uint8_t)i, .returns = true, .call = intervals[i].call};
            ended++;
        }
    }
}

static void agrees_with_every_order(void **unused)
{
    uint64_t random = 1;
    unsigned verdicts[2] = {0};

    (void)unused;
    for (unsigned i = 0; i < 4000; i++) {
        const unsigned alone = i % 2 ? ONE_B : 0;
        const struct sequential unlocked = {.mode = MODE_NONE};
        struct interval intervals[CALLS];
        struct event events[2 * CALLS];
        bool expected = false;

        any_history(&random, intervals, events, alone);
        expected = some_order(intervals, (1U << CALLS) - 1, unlocked, alone);
        assert_int_equal(linear_check(events, sizeof(events) / sizeof(events[0]), alone).ok,
                         expected);
        verdicts[expected]++;
    }
    printf("%u linearizable, %u not\n", verdicts[1], verdicts[0]);
    assert_true(verdicts[0] > 400 && verdicts[1] > 400);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(states_share_and_exclude), cmocka_unit_test(one_of_b_at_a_time),
        cmocka_unit_test(a_try_fails_for_a_reason), cmocka_unit_test(timed_and_cancelled),
        cmocka_unit_test(drains_see_it_unlocked),   cmocka_unit_test(freezes),
        cmocka_unit_test(switches_are_alone),       cmocka_unit_test(counts),
        cmocka_unit_test(incomplete_histories),     cmocka_unit_test(agrees_with_every_order),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
