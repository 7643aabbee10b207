/* SPDX-License-Identifier: MIT */
/* What one thread alone sees of an IOLOCK. */
#include "peek.h"
#include "spy.h"
#include "threads.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>
#include <twostate/iolock.h>

#define SHARED    TWOSTATE_SHARED
#define EXCLUSIVE TWOSTATE_EXCLUSIVE

static const struct timespec past;

static void test_zeroed_is_unlocked(void **state)
{
    struct twostate_iolock zeroed;
    struct twostate_iolock made;
    struct twostate_iolock initialised = TWOSTATE_IOLOCK_INIT;

    (void)state;
    memset(&zeroed, 0, sizeof(zeroed));
    memset(&made, 0xff, sizeof(made));
    twostate_iolock_init(&made);
    assert_memory_equal(&zeroed, &made, sizeof(made));
    assert_memory_equal(&zeroed, &initialised, sizeof(made));
    assert_int_equal(sizeof(made), 8);
    assert_int_equal(twostate_iolock_query(&zeroed).holders, 0);
}

static void test_shared_is_shared(void **state) /* G1, G2, G13 */
{
    struct twostate_iolock lock = TWOSTATE_IOLOCK_INIT;

    (void)state;
    twostate_iolock_acquire(&lock, SHARED);
    assert_true(twostate_iolock_try_acquire(&lock, SHARED));
    assert_int_equal(twostate_iolock_acquire_timed(&lock, SHARED, NULL), 0);
    assert_int_equal(twostate_iolock_query(&lock).holders, 3);
    assert_int_equal(twostate_iolock_query(&lock).mode, SHARED);
    twostate_iolock_assert_held(&lock, SHARED);
    for (int n = 3; n > 0; n--) {
        assert_false(twostate_iolock_try_acquire(&lock, EXCLUSIVE));
        twostate_iolock_release(&lock, SHARED);
    }
    assert_true(at_rest(&lock.lock_));
}

static void test_exclusive_is_alone(void **state) /* G1, G13 */
{
    struct twostate_iolock lock = TWOSTATE_IOLOCK_INIT;

    (void)state;
    for (int round = 0; round < 3; round++) {
        if (round == 0)
            twostate_iolock_acquire(&lock, EXCLUSIVE);
        else if (round == 1)
            assert_true(twostate_iolock_try_acquire(&lock, EXCLUSIVE));
        else
            assert_int_equal(twostate_iolock_acquire_timed(&lock, EXCLUSIVE, &past), 0);
        assert_int_equal(twostate_iolock_query(&lock).holders, 1);
        assert_int_equal(twostate_iolock_query(&lock).mode, EXCLUSIVE);
        twostate_iolock_assert_held(&lock, EXCLUSIVE);
        assert_false(twostate_iolock_try_acquire(&lock, EXCLUSIVE));
        assert_false(twostate_iolock_try_acquire(&lock, SHARED));
        twostate_iolock_release(&lock, EXCLUSIVE);
        assert_true(at_rest(&lock.lock_));
    }
}

static void test_demote(void **state) /* G10 */
{
    struct twostate_iolock lock = TWOSTATE_IOLOCK_INIT;
    const uint32_t calls = spy_waits() + spy_wakes();

    (void)state;
    twostate_iolock_acquire(&lock, EXCLUSIVE);
    twostate_iolock_demote(&lock);
    assert_int_equal(twostate_iolock_query(&lock).holders, 1);
    twostate_iolock_assert_held(&lock, SHARED);
    assert_true(twostate_iolock_try_acquire(&lock, SHARED));
    assert_false(twostate_iolock_try_acquire(&lock, EXCLUSIVE));
    twostate_iolock_release(&lock, SHARED);
    twostate_iolock_release(&lock, SHARED);
    assert_true(at_rest(&lock.lock_));
    assert_int_equal(spy_waits() + spy_wakes(), calls);
}

static void test_failed_try_and_timed_leave_no_trace(void **state) /* G9, pitfalls L05, L08 */
{
    static const struct {
        enum twostate_iomode held;
        enum twostate_iomode wanted;
    } rows[] = {{SHARED, EXCLUSIVE}, {EXCLUSIVE, SHARED}, {EXCLUSIVE, EXCLUSIVE}};

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct twostate_iolock lock = TWOSTATE_IOLOCK_INIT;
        struct timespec soon = after_ms(5);
        uint64_t before = 0;

        twostate_iolock_acquire(&lock, rows[i].held);
        before = peek(&lock.lock_);
        assert_false(twostate_iolock_try_acquire(&lock, rows[i].wanted));
        assert_true(peek(&lock.lock_) == before);
        assert_int_equal(twostate_iolock_acquire_timed(&lock, rows[i].wanted, &past), -ETIMEDOUT);
        assert_true(peek(&lock.lock_) == before);
        assert_int_equal(twostate_iolock_acquire_timed(&lock, rows[i].wanted, &soon), -ETIMEDOUT);
        assert_true(is_past(&soon));
        assert_true(peek(&lock.lock_) == before);
    }
}

static void test_deadline_must_be_a_time(void **state)
{
    const struct timespec invalid[] = {{.tv_nsec = -1}, {.tv_nsec = 1000000000}};
    struct twostate_iolock lock = TWOSTATE_IOLOCK_INIT;

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(twostate_iolock_acquire_timed(&lock, SHARED, &invalid[i]), -EINVAL);
        assert_int_equal(twostate_iolock_acquire_timed(&lock, EXCLUSIVE, &invalid[i]), -EINVAL);
        assert_true(at_rest(&lock.lock_));
    }
}

static void test_limit_of_holders(void **state) /* G2, pitfall L21 */
{
    const uint64_t full = word_held(GROUP_A) | TWOSTATE_LOCK_MAX_HOLDERS;
    struct twostate_iolock lock = {.lock_ = {.word_ = full}};

    (void)state;
    assert_false(twostate_iolock_try_acquire(&lock, SHARED));
    assert_int_equal(twostate_iolock_acquire_timed(&lock, SHARED, NULL), -EOVERFLOW);
    assert_int_equal(twostate_iolock_acquire_timed(&lock, EXCLUSIVE, &past), -ETIMEDOUT);
    assert_true(peek(&lock.lock_) == full);
    twostate_iolock_release(&lock, SHARED);
    assert_true(twostate_iolock_try_acquire(&lock, SHARED));
    assert_true(peek(&lock.lock_) == full);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_zeroed_is_unlocked),
        cmocka_unit_test(test_shared_is_shared),
        cmocka_unit_test(test_exclusive_is_alone),
        cmocka_unit_test(test_demote),
        cmocka_unit_test(test_failed_try_and_timed_leave_no_trace),
        cmocka_unit_test(test_deadline_must_be_a_time),
        cmocka_unit_test(test_limit_of_holders),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
