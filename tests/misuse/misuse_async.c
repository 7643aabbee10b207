/* SPDX-License-Identifier: MIT */
/* Misuse by asynchronous calls, of what is granted to them, and what is no misuse: a late cancel. */
#include "deaths.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <twostate/async.h>

#define A TWOSTATE_A
#define B TWOSTATE_B

static struct twostate_lock lock;
static struct twostate_iolock iolock;
static struct twostate_iopair pair;
static struct twostate_hold hold;
static unsigned calls;

static void count(struct twostate_waiter *waiter, int result)
{
    (void)waiter;
    (void)result;
    calls++;
}

static struct twostate_waiter waiter = {.done = count};
static struct twostate_waiter other = {.done = count};

static void acquire_no_state(void)
{
    twostate_lock_acquire_async(&lock, (enum twostate_state)7, &waiter);
}

static void acquire_no_mode(void)
{
    twostate_iolock_acquire_async(&iolock, (enum twostate_iomode)7, &waiter);
}

static void begin_no_path(void)
{
    twostate_iopair_begin_async(&pair, (enum twostate_iopath)77, &hold, &waiter);
}

static void switch_unlocked(void)
{
    twostate_lock_switch_async(&lock, B, &waiter);
}

static void switch_to_what_is_held(void)
{
    twostate_lock_acquire(&lock, A);
    twostate_lock_switch_async(&lock, A, &waiter);
}

static void thaw_to_unlocked(void)
{
    twostate_lock_thaw_to_async(&lock, A, &waiter);
}

static void thaw_to_held(void)
{
    twostate_lock_acquire(&lock, A);
    twostate_lock_thaw_to_async(&lock, A, &waiter);
}

/* Queued is not held. */
static void release_before_the_grant(void)
{
    twostate_lock_acquire(&lock, A);
    if (twostate_lock_acquire_async(&lock, B, &waiter) == -EINPROGRESS)
        twostate_lock_release(&lock, B);
}

static void release_after_cancel(void)
{
    twostate_lock_acquire(&lock, A);
    if (twostate_lock_acquire_async(&lock, B, &waiter) == -EINPROGRESS &&
        twostate_waiter_cancel(&waiter)) {
        twostate_lock_release(&lock, A);
        twostate_lock_release(&lock, B);
    }
}

static void release_granted_twice(void)
{
    twostate_lock_acquire(&lock, A);
    if (twostate_lock_acquire_async(&lock, B, &waiter) == -EINPROGRESS) {
        twostate_lock_release(&lock, A);
        twostate_lock_release(&lock, B);
        twostate_lock_release(&lock, B);
    }
}

/* Whoever waits to switch gave its hold back: the release that leaves nobody finds out. */
static void release_while_switching(void)
{
    twostate_lock_acquire_n(&lock, A, 3);
    if (twostate_lock_switch_async(&lock, B, &waiter) == -EINPROGRESS)
        for (int n = 0; n < 3; n++)
            twostate_lock_release(&lock, A);
}

static void end_cancelled(void)
{
    static struct twostate_hold first;

    twostate_iopair_begin(&pair, TWOSTATE_EXCLUSIVE_IO, &first);
    if (twostate_iopair_begin_async(&pair, TWOSTATE_DIRECT, &hold, &waiter) == -EINPROGRESS &&
        twostate_waiter_cancel(&waiter))
        twostate_iopair_end(&hold);
}

static void end_cancelled_retry(void)
{
    static struct twostate_hold first;

    twostate_iopair_begin(&pair, TWOSTATE_DIRECT, &first);
    twostate_iopair_begin(&pair, TWOSTATE_DIRECT, &hold);
    if (twostate_iopair_retry_unaligned_async(&hold, &waiter) == -EINPROGRESS &&
        twostate_waiter_cancel(&waiter))
        twostate_iopair_end(&hold);
}

static void extend_of_direct(void)
{
    twostate_iopair_begin(&pair, TWOSTATE_DIRECT, &hold);
    twostate_iopair_extend_to_direct_async(&hold, &waiter);
}

static void retry_of_buffered(void)
{
    twostate_iopair_begin(&pair, TWOSTATE_BUFFERED_READ, &hold);
    twostate_iopair_retry_unaligned_async(&hold, &waiter);
}

static void cancel_never_queued(void)
{
    twostate_waiter_cancel(&waiter);
}

static void wait_never_queued(void)
{
    twostate_waiter_wait(&waiter, NULL);
}

#define DEATH(call, where, ...)                                                                    \
    {                                                                                              \
#call, call, where,                                                                        \
        {                                                                                          \
            __VA_ARGS__                                                                            \
        }                                                                                          \
    }

static const struct death deaths[] = {
    DEATH(acquire_no_state, &lock, "acquire of state 7"),
    DEATH(cancel_never_queued, &waiter, "cancel", "not queued"),
    DEATH(wait_never_queued, &waiter, "wait", "not queued"),
    DEATH(acquire_no_mode, &iolock, "acquire", "mode 7"),
    DEATH(begin_no_path, &pair, "begin", "path 77"),
    DEATH(switch_unlocked, &lock, "switch to B", "unlocked"),
    DEATH(switch_to_what_is_held, &lock, "switch to A", "held in state A"),
    DEATH(thaw_to_unlocked, &lock, "thaw to A", "unlocked"),
    DEATH(thaw_to_held, &lock, "thaw to A", "held in state A"),
    DEATH(release_before_the_grant, &lock, "release B", "held in state A"),
    DEATH(release_after_cancel, &lock, "release B", "unlocked"),
    DEATH(release_granted_twice, &lock, "release B", "unlocked"),
    DEATH(release_while_switching, &lock, "release A", "held in state B"),
    DEATH(end_cancelled, &hold, ": end ", "nothing"),
    DEATH(end_cancelled_retry, &hold, ": end ", "nothing"),
    DEATH(extend_of_direct, &hold, "extend_to_direct", "IOTYPE-direct"),
    DEATH(retry_of_buffered, &hold, "retry_unaligned", "IOTYPE-buffered"),
};

static void test_deaths(void **state) /* G12 */
{
    (void)state;
    for (size_t i = 0; i < sizeof(deaths) / sizeof(deaths[0]); i++)
        assert_dies(&deaths[i]);
}

/* A cancel after the grant is no misuse, but has an answer; what was granted stays granted. */
static void test_late_cancel_answers(void **state) /* pitfall L09 */
{
    struct twostate_lock ours = TWOSTATE_LOCK_INIT;

    (void)state;
    twostate_lock_acquire(&ours, A);
    assert_int_equal(twostate_lock_acquire_async(&ours, B, &waiter), -EINPROGRESS);
    assert_int_equal(twostate_lock_freeze_async(&ours, &other), -EINPROGRESS);
    twostate_lock_release(&ours, A);
    assert_int_equal(calls, 1);
    assert_false(twostate_waiter_cancel(&waiter));
    twostate_lock_assert_held(&ours, B);
    assert_true(twostate_waiter_cancel(&other));
    assert_int_equal(calls, 1);
    twostate_lock_release(&ours, B);
    twostate_lock_destroy(&ours);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_deaths),
        cmocka_unit_test(test_late_cancel_answers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
