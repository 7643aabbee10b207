/* SPDX-License-Identifier: MIT */
/* The IOLOCK between threads: one exclusive holder, waiters woken one by one, nobody forgotten. */
#include "peek.h"
#include "spy.h"
#include "threads.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>
#include <twostate/iolock.h>

#define SHARED    TWOSTATE_SHARED
#define EXCLUSIVE TWOSTATE_EXCLUSIVE

/* One thread that acquires, and releases when it is told to. */
struct user {
    struct task task;
    struct twostate_iolock *lock;
    enum twostate_iomode mode;
    struct timespec deadline;
    bool timed;
    int result;
    uint32_t entered;
    uint32_t leave;
};

static void use(void *argument)
{
    struct user *user = argument;

    user->result =
        twostate_iolock_acquire_timed(user->lock, user->mode, user->timed ? &user->deadline : NULL);
    if (user->result)
        return;
    store(&user->entered, 1);
    AWAIT(load(&user->leave));
    twostate_iolock_release(user->lock, user->mode);
}

static void user_start(struct user *user, struct twostate_iolock *lock, enum twostate_iomode mode)
{
    *user = (struct user){.lock = lock, .mode = mode};
    task_start(&user->task, use, user);
}

static void user_start_timed(struct user *user, struct twostate_iolock *lock,
                             enum twostate_iomode mode, long ms)
{
    *user = (struct user){.lock = lock, .mode = mode, .timed = true, .deadline = after_ms(ms)};
    task_start(&user->task, use, user);
}

static void user_end(struct user *user)
{
    store(&user->leave, 1);
    task_join(&user->task);
}

static void test_exclusive_waits_for_shared_and_back(void **state) /* G3, G6, pitfalls L01, L02 */
{
    struct twostate_iolock lock = TWOSTATE_IOLOCK_INIT;
    struct user writer;
    struct user reader;

    (void)state;
    twostate_iolock_acquire(&lock, SHARED);
    user_start(&writer, &lock, EXCLUSIVE);
    AWAIT(has_turn(&lock.lock_, GROUP_B));
    assert_int_equal(twostate_iolock_query(&lock).waiting_exclusive, 1);
    assert_false(twostate_iolock_try_acquire(&lock, SHARED)); /* G13 */
    user_start(&reader, &lock, SHARED);
    AWAIT(has_reserved(&lock.lock_, GROUP_A));
    assert_int_equal(twostate_iolock_query(&lock).waiting_shared, 1);
    twostate_iolock_release(&lock, SHARED);
    AWAIT(load(&writer.entered));
    assert_false(load(&reader.entered));
    assert_true(has_turn(&lock.lock_, GROUP_A));
    user_end(&writer);
    AWAIT(load(&reader.entered));
    user_end(&reader);
    assert_true(at_rest(&lock.lock_));
}

/* An exclusive waiter that has the turn comes before shared ones, though both are asleep. G3, L14.
 */
static void test_exclusive_after_exclusive_in_its_turn(void **state)
{
    struct twostate_iolock lock = TWOSTATE_IOLOCK_INIT;
    struct user writer;
    struct user reader;

    (void)state;
    twostate_iolock_acquire(&lock, EXCLUSIVE);
    user_start(&writer, &lock, EXCLUSIVE);
    AWAIT(has_turn(&lock.lock_, GROUP_B));
    user_start(&reader, &lock, SHARED);
    AWAIT(has_reserved(&lock.lock_, GROUP_A));
    twostate_iolock_release(&lock, EXCLUSIVE);
    AWAIT(load(&writer.entered));
    assert_false(load(&reader.entered));
    user_end(&writer);
    AWAIT(load(&reader.entered));
    user_end(&reader);
    assert_true(at_rest(&lock.lock_));
}

/* One unlock wakes one; each that leaves wakes the next. G3, pitfall L06. */
static void test_exclusive_waiters_enter_one_by_one(void **state)
{
    struct twostate_iolock lock = TWOSTATE_IOLOCK_INIT;
    struct user users[6];

    (void)state;
    twostate_iolock_acquire(&lock, EXCLUSIVE);
    for (int n = 0; n < 6; n++)
        user_start(&users[n], &lock, EXCLUSIVE);
    AWAIT(waiting(&lock.lock_, GROUP_B) == 6 && has_turn(&lock.lock_, GROUP_B));
    twostate_iolock_release(&lock, EXCLUSIVE);
    for (uint32_t left = 6; left > 0; left--) {
        struct user *inside = NULL;

        AWAIT(waiting(&lock.lock_, GROUP_B) == left - 1);
        AWAIT(twostate_iolock_query(&lock).holders == 1);
        while (inside == NULL)
            for (int n = 0; n < 6; n++)
                if (load(&users[n].entered) && !load(&users[n].leave))
                    inside = &users[n];
        user_end(inside);
    }
    assert_true(at_rest(&lock.lock_));
}

/* Some of the waiters give up: the others get in all the same. G9, pitfalls L05, L06, L07. */
static void test_some_exclusive_waiters_time_out(void **state)
{
    struct twostate_iolock lock = TWOSTATE_IOLOCK_INIT;
    struct user timed[3];
    struct user patient[3];

    (void)state;
    twostate_iolock_acquire(&lock, EXCLUSIVE);
    for (int n = 0; n < 3; n++) {
        user_start_timed(&timed[n], &lock, EXCLUSIVE, 10 + 5 * n);
        user_start(&patient[n], &lock, EXCLUSIVE);
    }
    for (int n = 0; n < 3; n++) {
        user_end(&timed[n]);
        assert_int_equal(timed[n].result, -ETIMEDOUT);
        store(&patient[n].leave, 1);
    }
    AWAIT(waiting(&lock.lock_, GROUP_B) == 3);
    twostate_iolock_release(&lock, EXCLUSIVE);
    for (int n = 0; n < 3; n++)
        task_join(&patient[n].task);
    assert_true(at_rest(&lock.lock_));
}

/* An exclusive waiter that had the turn gives up: shared ones behind it go on. Pitfall L07. */
static void test_timed_out_exclusive_parks_nobody(void **state)
{
    struct twostate_iolock lock = TWOSTATE_IOLOCK_INIT;
    struct user timed;
    struct user reader;

    (void)state;
    twostate_iolock_acquire(&lock, SHARED);
    user_start_timed(&timed, &lock, EXCLUSIVE, 300);
    AWAIT(has_turn(&lock.lock_, GROUP_B) || task_done(&timed.task));
    user_start(&reader, &lock, SHARED);
    user_end(&timed);
    assert_int_equal(timed.result, -ETIMEDOUT);
    AWAIT(load(&reader.entered)); /* beside the shared holder */
    user_end(&reader);
    assert_true(holds_only(&lock.lock_, GROUP_A, 1));
}

static void test_demote_lets_shared_waiters_in(void **state) /* G10, pitfall L14 */
{
    struct twostate_iolock lock = TWOSTATE_IOLOCK_INIT;
    struct user readers[2];
    struct user writer;

    (void)state;
    twostate_iolock_acquire(&lock, EXCLUSIVE);
    for (int n = 0; n < 2; n++)
        user_start(&readers[n], &lock, SHARED);
    AWAIT(waiting(&lock.lock_, GROUP_A) == 2 && has_turn(&lock.lock_, GROUP_A));
    user_start(&writer, &lock, EXCLUSIVE);
    AWAIT(has_reserved(&lock.lock_, GROUP_B));
    twostate_iolock_demote(&lock);
    for (int n = 0; n < 2; n++)
        AWAIT(load(&readers[n].entered));
    assert_int_equal(twostate_iolock_query(&lock).holders, 3);
    assert_false(load(&writer.entered));
    for (int n = 0; n < 2; n++)
        user_end(&readers[n]);
    twostate_iolock_release(&lock, SHARED);
    AWAIT(load(&writer.entered));
    user_end(&writer);
    assert_true(at_rest(&lock.lock_));
}

/* A demote while another exclusive waiter has the turn does not wait, and forgets nobody. */
static void test_demote_before_an_exclusive_waiter(void **state)
{
    struct twostate_iolock lock = TWOSTATE_IOLOCK_INIT;
    struct user writer;
    struct user reader;

    (void)state;
    twostate_iolock_acquire(&lock, EXCLUSIVE);
    user_start(&writer, &lock, EXCLUSIVE);
    AWAIT(has_turn(&lock.lock_, GROUP_B));
    user_start(&reader, &lock, SHARED);
    AWAIT(waiting(&lock.lock_, GROUP_A) == 1);
    twostate_iolock_demote(&lock);
    twostate_iolock_assert_held(&lock, SHARED);
    assert_false(load(&writer.entered));
    store(&reader.leave, 1);
    store(&writer.leave, 1);
    twostate_iolock_release(&lock, SHARED);
    task_join(&writer.task);
    task_join(&reader.task);
    assert_true(at_rest(&lock.lock_));
}

/* Neither side lets the lock go free while the other is kept out: see test_lock_starvation.c. */
struct crowd {
    struct twostate_iolock lock;
    enum twostate_iomode mode;
    uint32_t inside;
    uint32_t stop;
};

/* Past their patience, and enough of them that one still waits when the next has come in. */
static bool others_wait(const struct crowd *crowd)
{
    const uint64_t w = sys_load_(&crowd->lock.lock_.word_);

    return word_waiting(w, GROUP_B) >= 2 && (w & WORD_TURN) != 0;
}

static void stay(struct crowd *crowd)
{
    while (!load(&crowd->stop)) {
        if (crowd->mode == EXCLUSIVE ? others_wait(crowd) : load(&crowd->inside) >= 2)
            return;
        if (crowd->mode == SHARED) {
            if (!twostate_iolock_try_acquire(&crowd->lock, SHARED))
                return;
            twostate_iolock_release(&crowd->lock, SHARED);
        }
        sched_yield();
    }
}

static void come_and_go(void *argument)
{
    struct crowd *crowd = argument;

    while (!load(&crowd->stop)) {
        twostate_iolock_acquire(&crowd->lock, crowd->mode);
        CHECK(add(&crowd->inside, 1) == 1 || crowd->mode == SHARED);
        stay(crowd);
        add(&crowd->inside, UINT32_MAX);
        twostate_iolock_release(&crowd->lock, crowd->mode);
    }
}

static void test_neither_mode_starves(void **state) /* G1, G3, pitfall L01 */
{
    (void)state;
    for (enum twostate_iomode theirs = SHARED; theirs <= EXCLUSIVE; theirs++) {
        const enum twostate_iomode ours = theirs == SHARED ? EXCLUSIVE : SHARED;
        struct crowd crowd = {.mode = theirs};
        struct task tasks[4];

        for (int n = 0; n < 4; n++)
            task_start(&tasks[n], come_and_go, &crowd);
        AWAIT(load(&crowd.inside) > 0);
        for (int round = 0; round < 50; round++) {
            twostate_iolock_acquire(&crowd.lock, ours);
            assert_int_equal(load(&crowd.inside), 0);
            twostate_iolock_release(&crowd.lock, ours);
        }
        store(&crowd.stop, 1);
        for (int n = 0; n < 4; n++)
            task_join(&tasks[n]);
        assert_true(at_rest(&crowd.lock.lock_));
    }
}

/* Plain data, written by exclusive holders, read by shared ones, by demoted ones beside them. */
struct load_test {
    struct twostate_iolock lock;
    unsigned long first;
    unsigned long second;
    uint32_t next;
};

static void write_once(struct load_test *test, uint32_t seed)
{
    if (seed % 3 == 0) {
        const struct timespec deadline = after_ms(seed % 2);

        if (twostate_iolock_acquire_timed(&test->lock, EXCLUSIVE, &deadline) != 0)
            return;
    } else {
        twostate_iolock_acquire(&test->lock, EXCLUSIVE);
    }
    test->first++;
    if (seed % 5 == 0)
        sched_yield();
    test->second++;
    if (seed % 4 == 0) {
        twostate_iolock_demote(&test->lock);
        CHECK(test->first == test->second);
        twostate_iolock_release(&test->lock, SHARED);
    } else {
        twostate_iolock_release(&test->lock, EXCLUSIVE);
    }
}

static void read_and_write(void *argument)
{
    struct load_test *test = argument;
    const uint32_t mine = add(&test->next, 1);

    for (uint32_t round = 0; round < 4000; round++) {
        if ((round + mine) % 3 == 0) {
            write_once(test, round * 7 + mine);
            continue;
        }
        twostate_iolock_acquire(&test->lock, SHARED);
        CHECK(test->first == test->second);
        if (round % 16 == 0)
            sched_yield();
        twostate_iolock_release(&test->lock, SHARED);
    }
}

static void run_load(void)
{
    struct load_test test = {.next = 0};
    struct task tasks[6];

    for (int n = 0; n < 6; n++)
        task_start(&tasks[n], read_and_write, &test);
    for (int n = 0; n < 6; n++)
        task_join(&tasks[n]);
    assert_true(at_rest(&test.lock.lock_));
}

static void test_load(void **state) /* G1, G3, G9, G11 */
{
    (void)state;
    run_load();
}

static void test_load_though_waits_are_interrupted(void **state) /* pitfall L22 */
{
    (void)state;
    spy_interrupt(true);
    run_load();
    spy_interrupt(false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exclusive_waits_for_shared_and_back),
        cmocka_unit_test(test_exclusive_after_exclusive_in_its_turn),
        cmocka_unit_test(test_exclusive_waiters_enter_one_by_one),
        cmocka_unit_test(test_some_exclusive_waiters_time_out),
        cmocka_unit_test(test_timed_out_exclusive_parks_nobody),
        cmocka_unit_test(test_demote_lets_shared_waiters_in),
        cmocka_unit_test(test_demote_before_an_exclusive_waiter),
        cmocka_unit_test(test_neither_mode_starves),
        cmocka_unit_test(test_load),
        cmocka_unit_test(test_load_though_waits_are_interrupted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
