/* SPDX-License-Identifier: MIT */
/* What a consumer may do with the locks, and ThreadSanitizer must not report. */
#include "cases.h"

#include <twostate/iolock.h>
#include <twostate/iopair.h>
#include <twostate/lock.h>
#include <twostate/validate.h>

#include <stdint.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ROUNDS 500

static struct twostate_lock lock;
static struct twostate_iolock iolock;
static struct twostate_iopair pair;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static long data;
static int step;

/* One thread for each state: the states exclude each other, so the data is theirs in turn. */

static void acquire_somehow(enum twostate_state state, int round)
{
    switch (round % 5) {
    case 0:
        twostate_lock_acquire(&lock, state);
        return;
    case 1:
        while (!twostate_lock_try_acquire(&lock, state))
            sched_yield();
        return;
    case 2:
        CHECK(twostate_lock_acquire_timed(&lock, state, NULL) == 0);
        return;
    case 3:
        CHECK(twostate_lock_acquire_n(&lock, state, 3) == 0);
        twostate_lock_release_n(&lock, state, 2);
        return;
    default:
        twostate_lock_acquire(&lock, state);
        CHECK(twostate_lock_join(&lock, state) == 0);
        twostate_lock_release(&lock, state);
    }
}

static void *own_state(void *argument)
{
    const enum twostate_state state = argument ? B : A;

    for (int i = 0; i < ROUNDS; i++) {
        acquire_somehow(state, i);
        data++;
        twostate_lock_release(&lock, state);
    }
    return NULL;
}

static void states(void)
{
    pthread_t a = start(own_state, NULL);
    pthread_t b = start(own_state, &lock);

    join(a);
    join(b);
    CHECK(data == 2L * ROUNDS);
}

/* Every release, in whatever order, happens before the other state: also of those not last. */

static void *release_first(void *argument)
{
    long *own = argument;

    twostate_lock_acquire(&lock, A);
    *own = 1;
    __atomic_fetch_add(&step, 1, __ATOMIC_RELAXED);
    await(&step, 2);
    twostate_lock_release(&lock, A);
    return NULL;
}

static void all_before_the_other(void)
{
    long own[2] = {0};
    pthread_t first = start(release_first, &own[0]);
    pthread_t second = start(release_first, &own[1]);

    await(&step, 2);
    twostate_lock_acquire(&lock, B);
    CHECK(own[0] + own[1] == 2);
    twostate_lock_release(&lock, B);
    join(first);
    join(second);
}

/* Switch and thaw_to are a release of the one and an acquire of the other. */

static void *switcher(void *argument)
{
    (void)argument;
    for (int i = 0; i < ROUNDS; i++) {
        twostate_lock_acquire(&lock, A);
        data++;
        if (twostate_lock_switch(&lock, B) != 0) {
            twostate_lock_release(&lock, A);
            continue;
        }
        data++;
        twostate_lock_release(&lock, B);
    }
    return NULL;
}

static void *freezer(void *argument)
{
    (void)argument;
    for (int i = 0; i < ROUNDS; i++) {
        twostate_lock_freeze(&lock);
        data++;
        if (i % 2) {
            CHECK(twostate_lock_thaw_to(&lock, A) == 0);
            data++;
            twostate_lock_release(&lock, A);
        } else {
            twostate_lock_thaw(&lock);
        }
    }
    return NULL;
}

static void *waits_for_b(void *argument)
{
    await(&step, 1);
    twostate_lock_acquire(&lock, B); /* let in by the switch, shared with the switcher */
    CHECK(*(long *)argument == 7);
    reach(&step, 2);
    twostate_lock_release(&lock, B);
    return NULL;
}

static void switch_lets_in(void)
{
    long before = 0;
    pthread_t waiter = start(waits_for_b, &before);

    twostate_lock_acquire(&lock, A);
    reach(&step, 1);
    before = 7;
    CHECK(twostate_lock_switch(&lock, B) == 0);
    await(&step, 2);
    twostate_lock_release(&lock, B);
    join(waiter);
}

/* The switcher and the freezer are never in together, except with a freezer's A. */
static void freezes(void)
{
    pthread_t first = start(freezer, NULL);
    pthread_t second = start(own_state, &lock);

    join(first);
    join(second);
}

static void switches(void)
{
    pthread_t first = start(switcher, NULL);

    join(first);
    twostate_lock_drain(&lock);
    data++;
}

/* Drain, query and destroy see all that was done under the lock (G7, G8). */

struct owned {
    struct twostate_lock lock;
    long data;
};

static void *last_user(void *argument)
{
    struct owned *owned = argument;

    twostate_lock_acquire(&owned->lock, B);
    reach(&step, 1);
    owned->data = 1;
    twostate_lock_release(&owned->lock, B);
    return NULL;
}

static struct owned *used(pthread_t *user)
{
    struct owned *owned = calloc(1, sizeof(*owned));

    CHECK(owned != NULL);
    *user = start(last_user, owned);
    await(&step, 1);
    return owned;
}

static void drain_and_free(void)
{
    pthread_t user;
    struct owned *owned = used(&user);

    twostate_lock_drain(&owned->lock);
    CHECK(owned->data == 1);
    free(owned);
    join(user);
}

static void query_and_free(void)
{
    pthread_t user;
    struct owned *owned = used(&user);

    while (twostate_lock_query(&owned->lock).holders > 0)
        sched_yield();
    CHECK(owned->data == 1);
    twostate_lock_destroy(&owned->lock);
    free(owned);
    join(user);
}

/* The IOLOCK: exclusive after exclusive, shared after a demote. */

static void *exclusive_user(void *argument)
{
    (void)argument;
    for (int i = 0; i < ROUNDS; i++) {
        twostate_iolock_acquire(&iolock, TWOSTATE_EXCLUSIVE);
        data++;
        if (i % 4 == 0) {
            twostate_iolock_demote(&iolock);
            CHECK(data > 0);
            twostate_iolock_release(&iolock, TWOSTATE_SHARED);
        } else {
            twostate_iolock_release(&iolock, TWOSTATE_EXCLUSIVE);
        }
        twostate_iolock_acquire(&iolock, TWOSTATE_SHARED);
        CHECK(data > 0);
        twostate_iolock_release(&iolock, TWOSTATE_SHARED);
    }
    return NULL;
}

static void exclusives(void)
{
    pthread_t threads[3];

    for (int i = 0; i < 3; i++)
        threads[i] = start(exclusive_user, NULL);
    for (int i = 0; i < 3; i++)
        join(threads[i]);
    CHECK(data == 3L * ROUNDS);
}

static void *exclusive_only(void *argument)
{
    (void)argument;
    for (int i = 0; i < ROUNDS; i++) {
        twostate_iolock_acquire(&iolock, TWOSTATE_EXCLUSIVE);
        data++;
        twostate_iolock_release(&iolock, TWOSTATE_EXCLUSIVE);
    }
    return NULL;
}

static void exclusives_only(void)
{
    pthread_t first = start(exclusive_only, NULL);
    pthread_t second = start(exclusive_only, NULL);

    join(first);
    join(second);
}

/* Completion-side release (G6), told and untold. */

static void *completer(void *argument)
{
    (void)argument;
    receive(&step, 1);
    data++;
    twostate_lock_release(&lock, B);
    return NULL;
}

static void *lock_inside_mutex(void *argument)
{
    (void)argument;
    CHECK(pthread_mutex_lock(&mutex) == 0);
    twostate_lock_acquire(&lock, A);
    data++;
    twostate_lock_release(&lock, A);
    pthread_mutex_unlock(&mutex);
    return NULL;
}

static void mutex_alone(void)
{
    CHECK(pthread_mutex_lock(&mutex) == 0);
    pthread_mutex_unlock(&mutex);
}

/* Nothing says that the hold is handed over, until another thread releases it. */
static void released_elsewhere(void)
{
    pthread_t thread = start(completer, NULL);

    twostate_lock_acquire(&lock, B);
    data++;
    send(&step, 1);
    join(thread);
    mutex_alone(); /* this thread doesn't hold the lock: this is no order */
    for (int i = 0; i < 3; i++)
        join(start(lock_inside_mutex, NULL));
    step = 0;
    thread = start(completer, NULL);
    twostate_lock_acquire(&lock, B);
    data++;
    send(&step, 1);
    mutex_alone();
    join(thread);
}

/* While the request holds the lock, this thread does not: the mutex comes first. */
static void handed_over(void)
{
    pthread_t thread = start(completer, NULL);
    pthread_t waiter;

    twostate_lock_acquire(&lock, B);
    twostate_validate_disown(&lock);
    mutex_alone();
    data++;
    waiter = start(lock_inside_mutex, NULL);
    while (twostate_lock_query(&lock).waiting_a == 0)
        sched_yield();
    send(&step, 1);
    join(waiter);
    join(thread);
}

static void *lock_releaser(void *argument)
{
    struct twostate_lock *locks = argument;

    for (int i = 0; i < 200; i++)
        twostate_lock_release(&locks[i], A);
    return NULL;
}

/* More holds than ThreadSanitizer has room for in a thread. */
static void many_holds(void)
{
    static struct twostate_lock locks[200];

    for (int i = 0; i < 200; i++) {
        twostate_lock_acquire(&lock, A);
        twostate_lock_acquire(&locks[i], A);
    }
    for (int i = 0; i < 200; i++)
        twostate_lock_release(&lock, A);
    join(start(lock_releaser, locks));
}

/* A pair's request: begun here, completed there; the mutex is taken on both sides. */

static struct twostate_hold completion;

static void *completes(void *argument)
{
    (void)argument;
    receive(&step, 1);
    data++;
    twostate_iopair_complete(&completion);
    CHECK(pthread_mutex_lock(&mutex) == 0); /* then another request: mutex before IOTYPE */
    {
        struct twostate_hold hold;

        twostate_iopair_begin(&pair, TWOSTATE_BUFFERED_WRITE, &hold);
        data++;
        twostate_iopair_end(&hold);
    }
    pthread_mutex_unlock(&mutex);
    return NULL;
}

static void submits(void)
{
    pthread_t thread = start(completes, NULL);
    struct twostate_hold hold;

    twostate_iopair_begin(&pair, TWOSTATE_DIRECT, &hold);
    twostate_iopair_submitting(&hold, &completion);
    data++;
    twostate_iopair_submitted(&hold);
    mutex_alone(); /* while the request holds IOTYPE: this thread does not */
    send(&step, 1);
    join(thread);
}

static void all_paths(void)
{
    for (int path = TWOSTATE_BUFFERED_READ; path <= TWOSTATE_EXCLUSIVE_IO; path++) {
        struct twostate_hold hold;

        twostate_iopair_begin(&pair, (enum twostate_iopath)path, &hold);
        if (path == TWOSTATE_DIRECT_EXTEND)
            twostate_iopair_extend_to_direct(&hold);
        data++;
        twostate_iopair_end(&hold);
    }
}

static void *pair_user(void *argument)
{
    (void)argument;
    for (int i = 0; i < ROUNDS / 10; i++) {
        struct twostate_hold hold;

        twostate_iopair_begin(&pair, i % 2 ? TWOSTATE_UNALIGNED : TWOSTATE_EXCLUSIVE_IO, &hold);
        data++;
        twostate_iopair_end(&hold);
    }
    return NULL;
}

static void pair_exclusion(void)
{
    pthread_t threads[2] = {start(pair_user, NULL), start(pair_user, NULL)};

    join(threads[0]);
    join(threads[1]);
    all_paths();
}

/* A try that gets it takes part in no deadlock. */
static void try_against_order(void)
{
    static struct twostate_lock other;
    struct timespec now;

    twostate_lock_acquire(&lock, A);
    twostate_lock_acquire(&other, A);
    twostate_lock_release(&other, A);
    twostate_lock_release(&lock, A);
    clock_gettime(CLOCK_MONOTONIC, &now);
    twostate_lock_acquire(&other, A);
    CHECK(twostate_lock_try_acquire(&lock, A));
    twostate_lock_release(&lock, A);
    CHECK(twostate_lock_acquire_timed(&lock, A, &now) == 0);
    twostate_lock_release(&lock, A);
    twostate_lock_release(&other, A);
}

/* Other locks at the same addresses have an order of their own. */
static void *in_order(void *argument)
{
    struct twostate_lock **locks = argument;

    twostate_lock_acquire(locks[0], A);
    twostate_lock_acquire(locks[1], B);
    twostate_lock_release(locks[1], B);
    twostate_lock_release(locks[0], A);
    return NULL;
}

static struct twostate_lock one, two;

static void used_again(void)
{
    join(start(in_order, (struct twostate_lock *[]){&one, &two}));
    CHECK(twostate_lock_init_with(&one, 0, 128) == 0);
    CHECK(twostate_lock_init_with(&two, 0, 128) == 0);
    join(start(in_order, (struct twostate_lock *[]){&two, &one}));
}

static void *user_until(void *unused)
{
    while (__atomic_load_n(&step, __ATOMIC_RELAXED) == 0) {
        twostate_lock_acquire(&lock, A);
        twostate_lock_release(&lock, A);
    }
    return unused;
}

/* The child has no other threads, whatever they were just doing, and makes the lock anew. */
static void forks(void)
{
    const pthread_t user = start(user_until, NULL);

    for (int i = 0; i < 100; i++) {
        const pid_t child = fork();
        int status = 1;

        if (child == 0) {
            alarm(120);
            twostate_lock_init(&lock);
            twostate_lock_acquire(&lock, B);
            twostate_lock_release(&lock, B);
            _exit(0);
        }
        CHECK(waitpid(child, &status, 0) == child && status == 0);
    }
    reach(&step, 1);
    join(user);
}

static void zeroed_again(void)
{
    join(start(in_order, (struct twostate_lock *[]){&one, &two}));
    one = two = (struct twostate_lock)TWOSTATE_LOCK_INIT;
    join(start(in_order, (struct twostate_lock *[]){&two, &one}));
}

/* The first use of a lock in the place of another, by two threads at once. */
static void *first_use(void *rounds)
{
    __atomic_fetch_add(&step, 1, __ATOMIC_RELAXED);
    await(&step, 2 * *(int *)rounds);
    twostate_lock_acquire(&lock, A);
    twostate_lock_release(&lock, A);
    return NULL;
}

static void used_again_by_two(void)
{
    for (int rounds = 1; rounds <= 50; rounds++) {
        pthread_t threads[2];

        twostate_lock_init(&lock);
        for (int i = 0; i < 2; i++)
            threads[i] = start(first_use, &rounds);
        for (int i = 0; i < 2; i++)
            join(threads[i]);
    }
}

static const struct test_case cases[] = {
    {"states", states},
    {"all_before_the_other", all_before_the_other},
    {"switches", switches},
    {"switch_lets_in", switch_lets_in},
    {"freezes", freezes},
    {"drain_and_free", drain_and_free},
    {"query_and_free", query_and_free},
    {"exclusives", exclusives},
    {"exclusives_only", exclusives_only},
    {"released_elsewhere", released_elsewhere},
    {"handed_over", handed_over},
    {"many_holds", many_holds},
    {"submits", submits},
    {"pair_exclusion", pair_exclusion},
    {"try_against_order", try_against_order},
    {"used_again", used_again},
    {"used_again_by_two", used_again_by_two},
    {"zeroed_again", zeroed_again},
    {"forks", forks},
};

int main(int argc, char **argv)
{
    return run_case(cases, sizeof(cases) / sizeof(cases[0]), argc, argv);
}
