/* SPDX-License-Identifier: MIT */
/* Holds that were taken in one step and given back in pieces: the rest is held, and still known. */
#include "collect.h"
#include "threads.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <twostate/lock.h>

static struct twostate_lock lock;

static void test_the_rest_is_known(void **state)
{
    const struct timespec end = after_ms(20000);

    (void)state;
    assert_int_equal(twostate_lock_acquire_n(&lock, TWOSTATE_A, 3), 0);
    twostate_lock_release(&lock, TWOSTATE_A);
    assert_int_equal(twostate_lock_acquire_timed(&lock, TWOSTATE_B, &end), -EDEADLK);
    EXPECT(TWOSTATE_RULE_SELF_DEADLOCK, &lock, "acquire B");
    twostate_lock_release_n(&lock, TWOSTATE_A, 2);
    assert_int_equal(twostate_lock_acquire_timed(&lock, TWOSTATE_B, &end), 0);
    twostate_lock_release(&lock, TWOSTATE_B);
    expect_none();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_the_rest_is_known, collect_start, collect_stop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
