/* SPDX-License-Identifier: MIT */
/* What a waiting thread does meanwhile: it sleeps, and its errno is as it was. */
#include "caller.h"
#include "spy.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define A TWOSTATE_A
#define B TWOSTATE_B

/* Once until its patience is over, then until its deadline; some more if something wakes it. */
static void test_sleeps_till_its_deadline(void **state)
{
    const struct timespec end = after_ms(200);
    struct twostate_lock lock = TWOSTATE_LOCK_INIT;
    uint32_t before = 0;

    (void)state;
    twostate_lock_acquire(&lock, A);
    before = spy_waits();
    assert_int_equal(twostate_lock_acquire_timed(&lock, B, &end), -ETIMEDOUT);
    assert_true(spy_waits() - before <= 10);
    twostate_lock_release(&lock, A);
}

static void test_errno_is_kept(void **state)
{
    const struct timespec past = {0};
    struct twostate_lock lock = TWOSTATE_LOCK_INIT;
    struct timespec end;
    struct caller caller;

    (void)state;
    twostate_lock_acquire(&lock, A);
    errno = ENOTTY;
    end = after_ms(5);
    assert_int_equal(twostate_lock_acquire_timed(&lock, B, &end), -ETIMEDOUT);
    assert_int_equal(twostate_lock_drain_timed(&lock, &past), -ETIMEDOUT);
    assert_int_equal(errno, ENOTTY);

    caller_start(&caller, &lock, CALL_ACQUIRE, B);
    AWAIT(twostate_lock_query(&lock).waiting_b == 1);
    errno = ENOTTY;
    twostate_lock_release(&lock, A);
    assert_int_equal(errno, ENOTTY);
    caller_join(&caller);
    twostate_lock_release(&lock, B);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sleeps_till_its_deadline),
        cmocka_unit_test(test_errno_is_kept),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
