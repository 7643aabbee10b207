/* SPDX-License-Identifier: MIT */
/* Holds that travel between threads, what they order, and when the lock's memory may be freed. */
#include "peek.h"
#include "spy.h"
#include "threads.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#define A         TWOSTATE_A
#define B         TWOSTATE_B
#define THREADS   4
#define ROUNDS    4000
#define HANDOVERS 8000

/*
 * Every thread writes its own place while it holds A, and reads all places while it holds B. The
 * places are plain memory: ThreadSanitizer says so if a release does not come before the next
 * acquire of the other state.
 */
struct places {
    struct twostate_lock lock;
    unsigned long place[THREADS];
    uint32_t next;
    uint32_t inside[2];
};

static void check_inside(struct places *places, enum twostate_state s)
{
    add(&places->inside[s], 1);
    CHECK(load(&places->inside[s == A ? B : A]) == 0);
}

static unsigned long sum(const struct places *places)
{
    unsigned long total = 0;

    for (int n = 0; n < THREADS; n++)
        total += places->place[n];
    return total;
}

static void write_and_read(void *argument)
{
    struct places *places = argument;
    const uint32_t mine = add(&places->next, 1) - 1;

    for (int round = 0; round < ROUNDS; round++) {
        unsigned long before = 0;

        twostate_lock_acquire(&places->lock, A);
        check_inside(places, A);
        places->place[mine]++;
        if (round % 8 == 0)
            sched_yield(); /* in the middle of a hold, so that the others have to wait */
        add(&places->inside[A], UINT32_MAX);
        twostate_lock_release(&places->lock, A);

        twostate_lock_acquire(&places->lock, B);
        check_inside(places, B);
        before = sum(places);
        if (round % 8 == 4)
            sched_yield();
        CHECK(before > (unsigned long)round && sum(places) == before);
        add(&places->inside[B], UINT32_MAX);
        twostate_lock_release(&places->lock, B);
    }
}

static void run_places(void)
{
    struct places places = {.next = 0};
    struct task tasks[THREADS];

    for (int n = 0; n < THREADS; n++)
        task_start(&tasks[n], write_and_read, &places);
    for (int n = 0; n < 20; n++)
        twostate_lock_drain(&places.lock);
    for (int n = 0; n < THREADS; n++)
        task_join(&tasks[n]);
    twostate_lock_drain(&places.lock);
    assert_int_equal(sum(&places), THREADS * ROUNDS);
    assert_true(at_rest(&places.lock));
}

static void test_states_exclude_under_load(void **state) /* G1, G11, pitfall L13 */
{
    (void)state;
    run_places();
}

static void test_states_exclude_though_waits_are_interrupted(void **state) /* G1, G3, L22 */
{
    (void)state;
    spy_interrupt(true);
    run_places();
    spy_interrupt(false);
}

/* A partner thread that releases one hold of every lock it is given. */
struct partner {
    struct task task;
    struct twostate_lock *given;
    enum twostate_state state;
    unsigned long *data;
    uint32_t stop;
};

static struct twostate_lock *take_given(struct partner *partner)
{
    return __atomic_exchange_n(&partner->given, NULL, __ATOMIC_ACQ_REL);
}

static void give(struct partner *partner, struct twostate_lock *lock)
{
    __atomic_store_n(&partner->given, lock, __ATOMIC_RELEASE);
}

static void release_given(void *argument)
{
    struct partner *partner = argument;

    while (!load(&partner->stop)) {
        struct twostate_lock *lock = take_given(partner);

        if (lock == NULL) {
            sched_yield();
            continue;
        }
        (*partner->data)++;
        twostate_lock_release(lock, partner->state);
    }
}

enum seen_by { SEEN_BY_DRAIN, SEEN_BY_ACQUIRE, SEEN_BY_QUERY, SEEN_BY_TRY };

/* Returns once it saw that the other thread's hold is gone. */
static void see_unlocked(struct twostate_lock *lock, enum twostate_state opposite, enum seen_by how)
{
    switch (how) {
    case SEEN_BY_DRAIN:
        twostate_lock_drain(lock);
        break;
    case SEEN_BY_ACQUIRE:
        twostate_lock_acquire(lock, opposite);
        twostate_lock_release(lock, opposite);
        break;
    case SEEN_BY_QUERY:
        while (twostate_lock_query(lock).holders != 0)
            sched_yield();
        break;
    case SEEN_BY_TRY:
        while (!twostate_lock_try_acquire(lock, opposite))
            sched_yield();
        twostate_lock_release(lock, opposite);
        break;
    }
}

/*
 * Acquired here, released there, and freed here as soon as it is seen unlocked: AddressSanitizer
 * and ThreadSanitizer say so if the release touches the lock afterwards. The data that the partner
 * writes before its release is plain, so they also say so if that is not seen in order.
 */
static void test_free_as_soon_as_unlocked(void **state) /* G6, G7, G11, pitfall L16 */
{
    unsigned long data = 0;
    struct partner partner = {.data = &data};

    (void)state;
    for (enum twostate_state s = A; s <= B; s++) {
        partner.state = s;
        partner.stop = 0;
        task_start(&partner.task, release_given, &partner);
        for (unsigned round = 0; round < HANDOVERS; round++) {
            struct twostate_lock *lock = calloc(1, sizeof(*lock));

            assert_non_null(lock);
            twostate_lock_acquire(lock, s);
            data++;
            give(&partner, lock);
            see_unlocked(lock, s == A ? B : A, (enum seen_by)(round % 4));
            data++;
            free(lock);
        }
        store(&partner.stop, 1);
        task_join(&partner.task);
    }
    assert_int_equal(data, 2 * HANDOVERS * 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_states_exclude_under_load),
        cmocka_unit_test(test_states_exclude_though_waits_are_interrupted),
        cmocka_unit_test(test_free_as_soon_as_unlocked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
