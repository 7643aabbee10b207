/* SPDX-License-Identifier: MIT */
/* A consumer's mistakes around the locks: ThreadSanitizer reports each, in every run. */
#include "cases.h"

#include <twostate/async.h>
#include <twostate/iolock.h>
#include <twostate/iopair.h>
#include <twostate/lock.h>
#include <twostate/validate.h>

#include <errno.h>

static struct twostate_lock lock, other;
static struct twostate_iolock iolock;
static struct twostate_iopair pair;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static long data;
static int step;

/* Races: the second thread comes when the first has left, and still nothing orders them. */

static void *writes_in_a(void *argument)
{
    (void)argument;
    twostate_lock_acquire(&lock, A);
    data++;
    twostate_lock_release(&lock, A);
    reach(&step, 1);
    return NULL;
}

static void race_without_the_lock(void)
{
    pthread_t thread = start(writes_in_a, NULL);

    await(&step, 1);
    data++;
    join(thread);
}

static void race_in_one_state(void)
{
    pthread_t thread = start(writes_in_a, NULL);

    await(&step, 1);
    twostate_lock_acquire(&lock, A); /* A excludes B, not A */
    data++;
    twostate_lock_release(&lock, A);
    join(thread);
}

static void *writes_later(void *argument)
{
    (void)argument;
    await(&step, 1);
    twostate_lock_acquire(&lock, A);
    data++;
    twostate_lock_release(&lock, A);
    return NULL;
}

static void race_after_release(void)
{
    pthread_t thread = start(writes_later, NULL);

    twostate_lock_acquire(&lock, B);
    twostate_lock_release(&lock, B);
    data++;
    reach(&step, 1);
    join(thread);
}

static void race_with_another_lock(void)
{
    pthread_t thread = start(writes_in_a, NULL);

    await(&step, 1);
    twostate_lock_acquire(&other, B);
    data++;
    twostate_lock_release(&other, B);
    join(thread);
}

static void *writes_shared(void *argument)
{
    (void)argument;
    twostate_iolock_acquire(&iolock, TWOSTATE_SHARED);
    data++;
    twostate_iolock_release(&iolock, TWOSTATE_SHARED);
    reach(&step, 1);
    return NULL;
}

static void race_in_shared(void)
{
    pthread_t thread = start(writes_shared, NULL);

    await(&step, 1);
    twostate_iolock_acquire(&iolock, TWOSTATE_SHARED);
    data++;
    twostate_iolock_release(&iolock, TWOSTATE_SHARED);
    join(thread);
}

/* The switch makes the hold B: another B is beside it. */
static void *switches(void *argument)
{
    (void)argument;
    twostate_lock_acquire(&lock, A);
    CHECK(twostate_lock_try_switch(&lock, B));
    data++;
    twostate_lock_release(&lock, B);
    reach(&step, 1);
    return NULL;
}

static void race_after_switch(void)
{
    pthread_t thread = start(switches, NULL);

    await(&step, 1);
    twostate_lock_acquire(&lock, B);
    data++;
    twostate_lock_release(&lock, B);
    join(thread);
}

/* What the request carries is the completion's, from submitting on. */

static struct twostate_hold completion;

static void *completes(void *argument)
{
    (void)argument;
    receive(&step, 1);
    data++;
    twostate_iopair_complete(&completion);
    reach(&step, 2);
    return NULL;
}

static void race_with_completion(void)
{
    pthread_t thread = start(completes, NULL);
    struct twostate_hold hold;

    twostate_iopair_begin(&pair, TWOSTATE_DIRECT, &hold);
    twostate_iopair_submitting(&hold, &completion);
    send(&step, 1);
    await(&step, 2);
    data++;
    twostate_iopair_submitted(&hold);
    join(thread);
}

static void granted(struct twostate_waiter *waiter, int result)
{
    (void)result;
    data++;
    twostate_lock_release(waiter->context, B);
}

static void *grants(void *argument)
{
    (void)argument;
    receive(&step, 1);
    twostate_lock_release(&lock, A); /* calls granted */
    reach(&step, 2);
    return NULL;
}

static void race_with_callback(void)
{
    struct twostate_waiter waiter = {.done = granted, .context = &lock};
    pthread_t thread = start(grants, NULL);

    twostate_lock_acquire(&lock, A);
    CHECK(twostate_lock_acquire_async(&lock, B, &waiter) == -EINPROGRESS);
    send(&step, 1);
    await(&step, 2);
    data++;
    join(thread);
}

/* Order: one thread after the other, so nothing waits for long. */

static void *lock_then_other(void *argument)
{
    (void)argument;
    twostate_lock_acquire(&lock, A);
    twostate_lock_acquire(&other, B);
    twostate_lock_release(&other, B);
    twostate_lock_release(&lock, A);
    return NULL;
}

static void *other_then_lock(void *argument)
{
    (void)argument;
    twostate_lock_acquire(&other, A);
    twostate_lock_acquire(&lock, A);
    twostate_lock_release(&lock, A);
    twostate_lock_release(&other, A);
    return NULL;
}

static void order_of_two(void)
{
    join(start(lock_then_other, NULL));
    join(start(other_then_lock, NULL));
}

/* The report does not wait for the wait to end, which in a deadlock it never does. */

static int reports;

void __tsan_on_report(void *report);
void __tsan_on_report(void *report)
{
    (void)report;
    __atomic_fetch_add(&reports, 1, __ATOMIC_RELAXED);
}

static void order_before_the_wait_ends(void)
{
    pthread_t thread;

    join(start(lock_then_other, NULL));
    twostate_lock_acquire(&lock, B);
    thread = start(other_then_lock, NULL);
    await(&reports, 1);
    twostate_lock_release(&lock, B);
    join(thread);
}

static void *iolock_then_lock(void *argument)
{
    (void)argument;
    twostate_iolock_acquire(&iolock, TWOSTATE_SHARED);
    twostate_lock_acquire(&lock, B);
    twostate_lock_release(&lock, B);
    twostate_iolock_release(&iolock, TWOSTATE_SHARED);
    return NULL;
}

static void *lock_then_iolock(void *argument)
{
    (void)argument;
    twostate_lock_acquire(&lock, A);
    twostate_iolock_acquire(&iolock, TWOSTATE_EXCLUSIVE);
    twostate_iolock_release(&iolock, TWOSTATE_EXCLUSIVE);
    twostate_lock_release(&lock, A);
    return NULL;
}

static void iotype_before_iolock(void)
{
    join(start(iolock_then_lock, NULL));
    join(start(lock_then_iolock, NULL));
}

static void *lock_then_mutex(void *argument)
{
    (void)argument;
    twostate_lock_acquire(&lock, A);
    CHECK(pthread_mutex_lock(&mutex) == 0);
    pthread_mutex_unlock(&mutex);
    twostate_lock_release(&lock, A);
    return NULL;
}

static void *mutex_then_lock(void *argument)
{
    (void)argument;
    CHECK(pthread_mutex_lock(&mutex) == 0);
    twostate_lock_acquire(&lock, B);
    twostate_lock_release(&lock, B);
    pthread_mutex_unlock(&mutex);
    return NULL;
}

static void order_with_a_mutex(void)
{
    join(start(lock_then_mutex, NULL));
    join(start(mutex_then_lock, NULL));
}

static void *mutex_then_drain(void *argument)
{
    (void)argument;
    CHECK(pthread_mutex_lock(&mutex) == 0);
    twostate_lock_drain(&lock);
    pthread_mutex_unlock(&mutex);
    return NULL;
}

static void order_with_a_drain(void)
{
    join(start(mutex_then_drain, NULL));
    join(start(lock_then_mutex, NULL));
}

static void *hold_then_mutex(void *argument)
{
    struct twostate_hold hold;

    (void)argument;
    twostate_iopair_begin(&pair, TWOSTATE_DIRECT, &hold);
    CHECK(pthread_mutex_lock(&mutex) == 0);
    pthread_mutex_unlock(&mutex);
    twostate_iopair_end(&hold);
    return NULL;
}

static void *mutex_then_hold(void *argument)
{
    struct twostate_hold hold;

    (void)argument;
    CHECK(pthread_mutex_lock(&mutex) == 0);
    twostate_iopair_begin(&pair, TWOSTATE_BUFFERED_READ, &hold);
    twostate_iopair_end(&hold);
    pthread_mutex_unlock(&mutex);
    return NULL;
}

static void order_with_a_pair(void)
{
    join(start(hold_then_mutex, NULL));
    join(start(mutex_then_hold, NULL));
}

/* Handed over and taken back: this thread's again. */
static void order_after_adopt(void)
{
    twostate_lock_acquire(&lock, A);
    twostate_validate_disown(&lock);
    twostate_validate_adopt(&lock);
    CHECK(pthread_mutex_lock(&mutex) == 0);
    pthread_mutex_unlock(&mutex);
    twostate_lock_release(&lock, A);
    join(start(mutex_then_lock, NULL));
}

/* Holds that were released elsewhere take no room for ever. */

static struct twostate_lock many[100];

static void *releases_many(void *argument)
{
    for (int i = 0; i < 100; i++)
        twostate_lock_release(&many[i], A);
    return argument;
}

static void order_after_other_releases(void)
{
    for (int i = 0; i < 100; i++)
        twostate_lock_acquire(&many[i], A);
    join(start(releases_many, NULL));
    lock_then_mutex(NULL);
    join(start(mutex_then_lock, NULL));
}

/* Releases of nothing: ThreadSanitizer reports, then the library stops the program. */

static void double_release(void)
{
    twostate_lock_acquire(&lock, A);
    twostate_lock_release(&lock, A);
    twostate_lock_release(&lock, A);
}

static void double_release_exclusive(void)
{
    twostate_iolock_acquire(&iolock, TWOSTATE_EXCLUSIVE);
    twostate_iolock_release(&iolock, TWOSTATE_EXCLUSIVE);
    twostate_iolock_release(&iolock, TWOSTATE_EXCLUSIVE);
}

static void double_release_of_wrong_state(void)
{
    twostate_lock_acquire(&lock, A);
    twostate_lock_release(&lock, B);
}

static const struct test_case cases[] = {
    {"race_without_the_lock", race_without_the_lock},
    {"race_in_one_state", race_in_one_state},
    {"race_after_release", race_after_release},
    {"race_with_another_lock", race_with_another_lock},
    {"race_in_shared", race_in_shared},
    {"race_after_switch", race_after_switch},
    {"race_with_completion", race_with_completion},
    {"race_with_callback", race_with_callback},
    {"order_of_two", order_of_two},
    {"order_before_the_wait_ends", order_before_the_wait_ends},
    {"order_iotype_before_iolock", iotype_before_iolock},
    {"order_with_a_mutex", order_with_a_mutex},
    {"order_with_a_drain", order_with_a_drain},
    {"order_with_a_pair", order_with_a_pair},
    {"order_after_adopt", order_after_adopt},
    {"order_after_other_releases", order_after_other_releases},
    {"double_release", double_release},
    {"double_release_exclusive", double_release_exclusive},
    {"double_release_of_wrong_state", double_release_of_wrong_state},
};

int main(int argc, char **argv)
{
    return run_case(cases, sizeof(cases) / sizeof(cases[0]), argc, argv);
}
