/* SPDX-License-Identifier: MIT */
/* A lock's properties: what init_with takes and refuses, that a lock keeps them, and its end. */
#include "caller.h"
#include "peek.h"
#include "spy.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include <twostate/async.h>

#define A TWOSTATE_A
#define B TWOSTATE_B

static const struct timespec past;

static void test_default_is_a_zeroed_lock(void **state)
{
    struct twostate_lock lock;
    const struct twostate_lock zeroed = TWOSTATE_LOCK_INIT;

    (void)state;
    memset(&lock, 0xff, sizeof(lock));
    assert_int_equal(twostate_lock_init_with(&lock, 0, TWOSTATE_PATIENCE_DEFAULT), 0);
    assert_memory_equal(&lock, &zeroed, sizeof(lock));
}

static void test_every_patience_is_an_unlocked_lock(void **state) /* G1 */
{
    static const uint32_t patience[] = {0, 1, 64, 1000, 1024, 2000, TWOSTATE_PATIENCE_MAX};

    (void)state;
    for (size_t i = 0; i < sizeof(patience) / sizeof(patience[0]); i++)
        for (unsigned flags = 0; flags <= TWOSTATE_PROCESS_SHARED; flags++) {
            struct twostate_lock lock;

            memset(&lock, 0xff, sizeof(lock));
            assert_int_equal(twostate_lock_init_with(&lock, flags, patience[i]), 0);
            assert_int_equal(twostate_lock_query(&lock).holders, 0);
            twostate_lock_assert_unlocked(&lock);
            for (enum twostate_state s = A; s <= B; s++) {
                twostate_lock_acquire(&lock, s);
                assert_int_equal(twostate_lock_query(&lock).state, s);
                assert_int_equal(twostate_lock_query(&lock).holders, 1);
                assert_int_equal(twostate_lock_acquire_timed(&lock, opposite(s), &past),
                                 -ETIMEDOUT);
                twostate_lock_release(&lock, s);
            }
            twostate_lock_destroy(&lock);
        }
}

static void refuses(unsigned flags, uint32_t patience)
{
    struct twostate_iopair pair;
    struct twostate_iopair before;

    memset(&pair, 0x5a, sizeof(pair));
    before = pair;
    assert_int_equal(twostate_lock_init_with(&pair.iotype_, flags, patience), -EINVAL);
    assert_int_equal(twostate_iolock_init_with(&pair.iolock_, flags, patience), -EINVAL);
    assert_int_equal(twostate_iopair_init_with(&pair, flags, patience), -EINVAL);
    assert_memory_equal(&pair, &before, sizeof(pair));
}

static void test_what_is_refused_changes_nothing(void **state) /* G9 */
{
    (void)state;
    for (unsigned flag = TWOSTATE_PROCESS_SHARED << 1; flag != 0; flag <<= 1) {
        refuses(flag, 0);
        refuses(flag | TWOSTATE_PROCESS_SHARED, 64);
    }
    refuses(UINT32_MAX, 0);
    refuses(0, TWOSTATE_PATIENCE_MAX + 1);
    refuses(0, UINT32_MAX);
    refuses(TWOSTATE_PROCESS_SHARED, TWOSTATE_PATIENCE_MAX + 1);
}

/* Room for later versions is 0, whatever was in the memory; and it is all that is left of a pair. */
static void test_room_is_zero(void **state)
{
    static const uint32_t none[4];
    struct twostate_iopair pair;
    struct twostate_iopair_info info;
    struct twostate_grants grants;
    struct twostate_lock_info lock;

    (void)state;
    memset(&pair, 0xff, sizeof(pair));
    memset(&grants, 0xff, sizeof(grants));
    twostate_iopair_init(&pair);
    assert_int_equal(pair.reserved_, 0);
    assert_int_equal(sizeof(pair), offsetof(struct twostate_iopair, reserved_) + 4);
    info = twostate_iopair_query(&pair);
    lock = twostate_lock_query(&pair.iotype_);
    assert_memory_equal(info.iolock.reserved, none, sizeof(info.iolock.reserved));
    assert_memory_equal(info.iotype.reserved, none, sizeof(info.iotype.reserved));
    assert_memory_equal(lock.reserved, none, sizeof(lock.reserved));
    assert_int_equal(twostate_grants_init(&grants), 0);
    assert_null(grants.reserved_[0]);
    assert_null(grants.reserved_[1]);
    twostate_grants_destroy(&grants);
}

/* Whatever happens to it: waits that end well, waits that time out, freezes, switches. */
static void test_properties_are_kept(void **state)
{
    (void)state;
    for (unsigned flags = 0; flags <= TWOSTATE_PROCESS_SHARED; flags++) {
        struct twostate_lock lock;
        struct caller waiter;
        uint64_t kept = 0;

        assert_int_equal(twostate_lock_init_with(&lock, flags, 256), 0);
        kept = lock.word_;
        twostate_lock_freeze(&lock);
        assert_int_equal(twostate_lock_thaw_to(&lock, A), 0);
        assert_int_equal(twostate_lock_switch(&lock, B), 0);
        caller_start(&waiter, &lock, CALL_ACQUIRE, A);
        AWAIT(has_turn(&lock, GROUP_A));
        twostate_lock_release(&lock, B);
        caller_join(&waiter);
        caller_start_timed(&waiter, &lock, CALL_DRAIN_TIMED, A, 5);
        assert_int_equal(caller_join(&waiter), -ETIMEDOUT);
        twostate_lock_release(&lock, A);
        assert_true((peek(&lock) & ~WORD_SLEEPERS) == kept);
    }
}

static void test_iolock_and_pair_have_them_too(void **state)
{
    struct twostate_iolock iolock;
    struct twostate_iopair pair;
    struct twostate_hold hold;

    (void)state;
    memset(&iolock, 0xff, sizeof(iolock));
    memset(&pair, 0xff, sizeof(pair));
    assert_int_equal(twostate_iolock_init_with(&iolock, TWOSTATE_PROCESS_SHARED, 4096), 0);
    assert_int_equal(twostate_iopair_init_with(&pair, TWOSTATE_PROCESS_SHARED, 4096), 0);
    for (int n = 0; n < 2; n++) {
        const uint64_t kept = WORD_SHARED | word_patience(4096);

        assert_true(peek(&iolock.lock_) == kept);
        assert_true(peek(&pair.iolock_.lock_) == kept);
        assert_true(peek(&pair.iotype_) == kept);
        assert_false(twostate_iopair_query(&pair).remapping);
        twostate_iolock_acquire(&iolock, TWOSTATE_EXCLUSIVE);
        twostate_iolock_release(&iolock, TWOSTATE_EXCLUSIVE);
        twostate_iopair_begin(&pair, TWOSTATE_REMAP, &hold);
        twostate_iopair_end(&hold);
    }
}

/* A lock that is at rest may be destroyed, whatever it has been through. */
static void test_destroy_after_use(void **state)
{
    struct twostate_lock lock = TWOSTATE_LOCK_INIT;
    struct twostate_iolock iolock = TWOSTATE_IOLOCK_INIT;
    struct twostate_iopair pair = TWOSTATE_IOPAIR_INIT;
    struct twostate_hold hold;
    struct caller waiter;

    (void)state;
    twostate_lock_destroy(&lock);
    twostate_iolock_destroy(&iolock);
    twostate_iopair_destroy(&pair);
    twostate_lock_init(&lock);
    twostate_iolock_init(&iolock);
    twostate_iopair_init(&pair);
    twostate_lock_acquire(&lock, A);
    caller_start(&waiter, &lock, CALL_FREEZE, A);
    AWAIT(has_turn(&lock, GROUP_DRAIN));
    twostate_lock_release(&lock, A);
    caller_join(&waiter);
    twostate_lock_thaw(&lock);
    twostate_iolock_acquire(&iolock, TWOSTATE_EXCLUSIVE);
    twostate_iolock_demote(&iolock);
    twostate_iolock_release(&iolock, TWOSTATE_SHARED);
    twostate_iopair_begin(&pair, TWOSTATE_EXCLUSIVE_IO, &hold);
    twostate_iopair_end(&hold);
    twostate_lock_destroy(&lock);
    twostate_iolock_destroy(&iolock);
    twostate_iopair_destroy(&pair);
}

/* Nobody else is in the way of a clear of a lock that is at rest. */
static void test_clear_of_unlocked(void **state)
{
    struct twostate_lock lock;
    uint64_t before = 0;

    (void)state;
    assert_int_equal(twostate_lock_init_with(&lock, TWOSTATE_PROCESS_SHARED, 128), 0);
    before = peek(&lock);
    twostate_lock_clear(&lock);
    assert_true(peek(&lock) == before);
    assert_true(twostate_lock_try_acquire(&lock, B));
    twostate_lock_clear(&lock);
    assert_true(peek(&lock) == before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_default_is_a_zeroed_lock),
        cmocka_unit_test(test_every_patience_is_an_unlocked_lock),
        cmocka_unit_test(test_what_is_refused_changes_nothing),
        cmocka_unit_test(test_room_is_zero),
        cmocka_unit_test(test_properties_are_kept),
        cmocka_unit_test(test_iolock_and_pair_have_them_too),
        cmocka_unit_test(test_destroy_after_use),
        cmocka_unit_test(test_clear_of_unlocked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
