/* SPDX-License-Identifier: MIT */
/*
 * A lock that two shared objects use: what one acquires the other releases, and they exclude each
 * other, because all there is of a lock is its word. Nothing of it lives in the headers' statics, of
 * which each object has its own.
 */
#include "dso.h"
#include "peek.h"
#include "threads.h"

#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define A TWOSTATE_A
#define B TWOSTATE_B

static const struct dso *const objects[2] = {&dso_one, &dso_two};

static void test_acquired_in_one_released_in_the_other(void **state) /* G1, G6, pitfall L19 */
{
    struct twostate_lock lock = TWOSTATE_LOCK_INIT;
    struct twostate_iolock iolock = TWOSTATE_IOLOCK_INIT;

    (void)state;
    assert_true(dso_one.acquire != dso_two.acquire);
    for (int n = 0; n < 2; n++) {
        const struct dso *one = objects[n];
        const struct dso *two = objects[1 - n];

        one->acquire(&lock, A);
        assert_true(two->try_acquire(&lock, A));
        assert_false(two->try_acquire(&lock, B));
        two->release(&lock, A);
        assert_false(two->try_acquire(&lock, B));
        two->release(&lock, A);
        assert_true(two->try_acquire(&lock, B));
        one->release(&lock, B);
        assert_true(at_rest(&lock));
        one->acquire_iolock(&iolock, TWOSTATE_EXCLUSIVE);
        assert_false(two->try_acquire_iolock(&iolock, TWOSTATE_EXCLUSIVE));
        assert_false(two->try_acquire_iolock(&iolock, TWOSTATE_SHARED));
        two->release_iolock(&iolock, TWOSTATE_EXCLUSIVE);
        assert_true(at_rest(&iolock.lock_));
    }
}

/* Threads of both objects, waiting for each other. */
struct crowd {
    struct twostate_lock lock;
    uint32_t inside[2];
    uint32_t next;
};

static void come_and_go(void *argument)
{
    struct crowd *crowd = argument;
    const uint32_t mine = add(&crowd->next, 1);

    for (uint32_t round = 0; round < 2000; round++) {
        const enum twostate_state s = (round + mine) % 2 ? A : B;

        objects[mine % 2]->acquire(&crowd->lock, s);
        add(&crowd->inside[s], 1);
        CHECK(load(&crowd->inside[s == A ? B : A]) == 0);
        if (round % 4 == 0)
            sched_yield();
        add(&crowd->inside[s], UINT32_MAX);
        objects[round / 2 % 2]->release(&crowd->lock, s);
    }
}

static void test_objects_contend(void **state) /* G1, G3, pitfall L19 */
{
    struct crowd crowd = {.next = 0};
    struct task tasks[4];

    (void)state;
    for (int n = 0; n < 4; n++)
        task_start(&tasks[n], come_and_go, &crowd);
    for (int n = 0; n < 4; n++)
        task_join(&tasks[n]);
    assert_true(at_rest(&crowd.lock));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_acquired_in_one_released_in_the_other),
        cmocka_unit_test(test_objects_contend),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
