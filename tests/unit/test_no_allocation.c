/* SPDX-License-Identifier: MIT */
/*
 * No call of the lock, the IOLOCK or the pair allocates memory, on no path: the linker puts
 * ourselves in front of the allocator (--wrap, see CMakeLists.txt).
 */
#include "caller.h"
#include "peek.h"
#include "wanter.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#define A TWOSTATE_A
#define B TWOSTATE_B

static uint32_t allocations;

/* The linker's --wrap makes these names. */
void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__real_realloc(void *memory, size_t size);
void *__wrap_realloc(void *memory, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);

void *__wrap_malloc(size_t size)
{
    add(&allocations, 1);
    return __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    add(&allocations, 1);
    return __real_calloc(count, size);
}

void *__wrap_realloc(void *memory, size_t size)
{
    add(&allocations, 1);
    return __real_realloc(memory, size);
}

void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
    add(&allocations, 1);
    return __real_aligned_alloc(alignment, size);
}

static void test_allocations_are_seen(void **state)
{
    void *volatile memory = malloc(1); /* a compiler may leave out what is not looked at */

    (void)state;
    free(memory);
    assert_int_equal(load(&allocations), 1);
}

static void test_waits_and_hand_overs(void **state) /* pitfall L20 */
{
    const uint32_t before = load(&allocations);
    struct twostate_lock lock = TWOSTATE_LOCK_INIT;
    struct caller waiters[5];

    (void)state;
    twostate_lock_acquire(&lock, A);
    for (enum call call = CALL_ACQUIRE; call < CALL_SWITCH; call++)
        caller_start_timed(&waiters[call], &lock, call, B, 5);
    caller_start(&waiters[4], &lock, CALL_FREEZE, B);
    assert_int_equal(caller_join(&waiters[CALL_ACQUIRE_TIMED]), -ETIMEDOUT);
    assert_int_equal(caller_join(&waiters[CALL_DRAIN_TIMED]), -ETIMEDOUT);
    AWAIT((peek(&lock) & WORD_TURN) != 0);
    twostate_lock_release(&lock, A);
    for (int n = 0; n < 2; n++) { /* in one order or the other */
        AWAIT(twostate_lock_query(&lock).frozen || twostate_lock_query(&lock).holders);
        if (twostate_lock_query(&lock).frozen)
            assert_int_equal(twostate_lock_thaw_to(&lock, A), 0);
        else
            assert_int_equal(twostate_lock_switch(&lock, A), 0);
        twostate_lock_release(&lock, A);
    }
    caller_join(&waiters[CALL_ACQUIRE]);
    caller_join(&waiters[4]);
    caller_join(&waiters[CALL_DRAIN]);
    assert_true(at_rest(&lock));
    assert_int_equal(load(&allocations), before);
}

static void test_async(void **state) /* pitfall L20 */
{
    static struct wanter wanters[700];
    const uint32_t before = load(&allocations);
    struct twostate_lock lock = TWOSTATE_LOCK_INIT;
    struct twostate_iopair pairs[2] = {TWOSTATE_IOPAIR_INIT, TWOSTATE_IOPAIR_INIT};
    struct twostate_hold holds[2];

    (void)state;
    twostate_lock_acquire(&lock, A);
    for (int n = 0; n < 700; n++) {
        wanter_init(&wanters[n]);
        assert_int_equal(twostate_lock_acquire_async(&lock, B, &wanters[n].waiter), -EINPROGRESS);
    }
    for (int n = 0; n < 700; n += 2)
        assert_true(twostate_waiter_cancel(&wanters[n].waiter));
    twostate_lock_release(&lock, A);
    twostate_lock_release_n(&lock, B, 350);
    twostate_iopair_begin(&pairs[0], TWOSTATE_EXCLUSIVE_IO, &holds[0]);
    assert_int_equal(
        twostate_iopair_begin_remap_two_async(&pairs[0], &pairs[1], &holds[1], &wanters[0].waiter),
        -EINPROGRESS);
    twostate_iopair_end(&holds[0]);
    twostate_iopair_end(&holds[1]);
    assert_int_equal(load(&allocations), before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_allocations_are_seen),
        cmocka_unit_test(test_waits_and_hand_overs),
        cmocka_unit_test(test_async),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
