/* SPDX-License-Identifier: MIT */
/* A begin that waited for one lock of the pair, and is then refused by the other. */
#include "peek.h"
#include "wanter.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

/* It is told of the refusal, and leaves the lock that it got meanwhile. G9, pitfall L09 */
static void test_refused_by_the_second_lock(void **state)
{
    struct twostate_iopair pair = TWOSTATE_IOPAIR_INIT;
    struct twostate_hold hold;
    struct wanter wanter;

    (void)state;
    wanter_init(&wanter);
    assert_int_equal(
        twostate_lock_acquire_n(&pair.iotype_, TWOSTATE_BUFFERED_STATE, TWOSTATE_LOCK_MAX_HOLDERS),
        0);
    twostate_iolock_acquire(&pair.iolock_, TWOSTATE_EXCLUSIVE);
    assert_int_equal(
        twostate_iopair_begin_async(&pair, TWOSTATE_BUFFERED_READ, &hold, &wanter.waiter),
        -EINPROGRESS);
    twostate_iolock_release(&pair.iolock_, TWOSTATE_EXCLUSIVE);
    assert_true(told_here(&wanter, -EOVERFLOW));
    assert_int_equal(twostate_waiter_result(&wanter.waiter), -EOVERFLOW);
    assert_false(twostate_waiter_cancel(&wanter.waiter));
    assert_true(at_rest(&pair.iolock_.lock_));
    twostate_lock_release_n(&pair.iotype_, TWOSTATE_BUFFERED_STATE, TWOSTATE_LOCK_MAX_HOLDERS);
    assert_true(pair_at_rest(&pair));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused_by_the_second_lock),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
