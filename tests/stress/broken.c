/* SPDX-License-Identifier: MIT */
/*
 * Locks that are broken on purpose: the real one, with one call changed. Each is a mistake that
 * somebody's lock was shipped with, or that an algorithm like this one invites.
 */
#include "subjects.h"

#include "word.h"

#include <errno.h>
#include <sched.h>
#include <stddef.h>
#include <string.h>

/* G1: state B leaves no mark, and so does not know of A, nor A of it. */

static int ignoring_take(union object *object, struct hold *hold, enum how how,
                         const struct timespec *deadline)
{
    hold->phantom = hold->mode == MODE_B;
    return hold->phantom ? 0 : subject_lock.take(object, hold, how, deadline);
}

/* Of holds that hold nothing. */
static void phantom_give(union object *object, struct hold *hold, uint32_t n)
{
    if (!hold->phantom)
        subject_lock.give(object, hold, n);
}

static int phantom_join(union object *object, struct hold *hold)
{
    return hold->phantom ? 0 : subject_lock.join(object, hold);
}

static int phantom_change(union object *object, struct hold *hold, enum mode to, enum how how,
                          const struct timespec *deadline)
{
    return hold->phantom ? -EDEADLK : subject_lock.change(object, hold, to, how, deadline);
}

static void break_exclusion(struct subject *subject)
{
    subject->take = ignoring_take;
    subject->give = phantom_give;
    subject->join = phantom_join;
    subject->change = phantom_change;
}

/* G8: a drain that does not wait. */

static int early_drain(union object *object, enum how how, const struct timespec *deadline)
{
    (void)object;
    (void)how;
    (void)deadline;
    return 0;
}

static void break_drain(struct subject *subject)
{
    subject->drain = early_drain;
}

/* A release that clears the sleep bits, and wakes nobody. (pitfall L12) */
static void silent_give(union object *object, struct hold *hold, uint32_t n)
{
    uint64_t *word = &object->lock.word_;
    uint64_t seen = __atomic_load_n(word, __ATOMIC_RELAXED);
    uint64_t next = 0;

    (void)hold;
    do {
        next = seen - n;
        if ((next & TWOSTATE_COUNT_) == 0)
            next &= ~(WORD_STATES | TWOSTATE_SLEEPERS_);
    } while (
        !__atomic_compare_exchange_n(word, &seen, next, false, __ATOMIC_RELEASE, __ATOMIC_RELAXED));
}

static void break_wake(struct subject *subject)
{
    subject->give = silent_give;
}

/* G7: a release that looks at the lock again after it gave it up. (pitfall L16) */
static void late_give(union object *object, struct hold *hold, uint32_t n)
{
    subject_lock.give(object, hold, n);
    sched_yield();
    __atomic_fetch_or(&object->lock.word_, WORD_FAST, __ATOMIC_RELAXED);
}

static void break_release(struct subject *subject)
{
    subject->give = late_give;
}

/* A try that does not see that the lock is frozen. */
static int unfrozen_take(union object *object, struct hold *hold, enum how how,
                         const struct timespec *deadline)
{
    hold->phantom = hold->mode != MODE_FROZEN && how == HOW_TRY &&
                    subject_lock.look(object).mode == MODE_FROZEN;
    return hold->phantom ? 0 : subject_lock.take(object, hold, how, deadline);
}

static void break_freeze(struct subject *subject)
{
    break_exclusion(subject);
    subject->take = unfrozen_take;
}

/* release_n gives back one too few. */
static void short_give(union object *object, struct hold *hold, uint32_t n)
{
    subject_lock.give(object, hold, n > 1 ? n - 1 : 1);
}

static void break_release_n(struct subject *subject)
{
    subject->give = short_give;
}

/* A timed acquire that gives up without counting itself out. (pitfall L08) */
static int leaking_take(union object *object, struct hold *hold, enum how how,
                        const struct timespec *deadline)
{
    const int result = subject_lock.take(object, hold, how, deadline);

    if (result == -ETIMEDOUT && hold->mode != MODE_FROZEN)
        __atomic_fetch_add(&object->lock.word_,
                           UINT64_C(1) << word_waiting_shift((enum group)hold->mode),
                           __ATOMIC_RELAXED);
    return result;
}

static void break_timeout(struct subject *subject)
{
    subject->take = leaking_take;
}

/* G9: a timed acquire that gives up and leaves the lock handed to its state. (pitfall L02) */
static int greedy_take(union object *object, struct hold *hold, enum how how,
                       const struct timespec *deadline)
{
    const int result = subject_lock.take(object, hold, how, deadline);

    if (result == -ETIMEDOUT && hold->mode == MODE_B)
        __atomic_fetch_or(&object->lock.word_, word_turn(GROUP_B), __ATOMIC_RELAXED);
    return result;
}

static void break_turn(struct subject *subject)
{
    subject->take = greedy_take;
}

/* Cancel answers "cancelled" to a waiter that was granted: its hold is lost. (pitfall L09) */
static bool forgetful_cancel(struct twostate_waiter *waiter)
{
    if (!subject_lock.cancel(waiter))
        waiter->done = NULL;
    return true;
}

static int forgetful_wait(struct twostate_waiter *waiter, const struct timespec *deadline)
{
    const int result = subject_lock.wait(waiter, deadline);

    return result == 0 ? -ETIMEDOUT : result;
}

static void break_cancel(struct subject *subject)
{
    subject->cancel = forgetful_cancel;
    subject->wait = forgetful_wait;
}

/* G13: a try that fails for no reason, sometimes. */
static int shy_take(union object *object, struct hold *hold, enum how how,
                    const struct timespec *deadline)
{
    static uint32_t times;

    if (how == HOW_TRY && __atomic_add_fetch(&times, 1, __ATOMIC_RELAXED) % 64 == 0)
        return -EAGAIN;
    return subject_lock.take(object, hold, how, deadline);
}

static void break_try(struct subject *subject)
{
    subject->take = shy_take;
}

/* G10: a switch that lets go in between. */
static int gaping_change(union object *object, struct hold *hold, enum mode to, enum how how,
                         const struct timespec *deadline)
{
    struct hold next = {.mode = to, .n = 1};

    (void)how;
    (void)deadline;
    subject_lock.give(object, hold, 1);
    sched_yield();
    return subject_lock.take(object, &next, HOW_WAIT, NULL);
}

static void break_switch(struct subject *subject)
{
    subject->change = gaping_change;
}

/* A join that is not counted. */
static int uncounted_join(union object *object, struct hold *hold)
{
    (void)object;
    (void)hold;
    return 0;
}

static void break_join(struct subject *subject)
{
    subject->join = uncounted_join;
}

/* A release that loses the state while others hold it. */
static void blind_give(union object *object, struct hold *hold, uint32_t n)
{
    (void)hold;
    subject_lock.give(object, hold, n);
    __atomic_fetch_and(&object->lock.word_, ~WORD_STATES, __ATOMIC_RELAXED);
}

static void break_state(struct subject *subject)
{
    subject->give = blind_give;
}

/* A freeze that only drains. (pitfall L17) */
static int passing_take(union object *object, struct hold *hold, enum how how,
                        const struct timespec *deadline)
{
    int result = 0;

    hold->phantom = hold->mode == MODE_FROZEN;
    if (!hold->phantom)
        return subject_lock.take(object, hold, how, deadline);
    result = subject_lock.drain(object, how, deadline);
    return how == HOW_TRY && result != 0 ? -EAGAIN : result;
}

static void break_thaw(struct subject *subject)
{
    break_exclusion(subject);
    subject->take = passing_take;
}

/* A callback that comes although the caller was told that it holds at once. */
static int twice_queue(union object *object, struct hold *hold, struct twostate_waiter *waiter)
{
    const int result = subject_lock.queue(object, hold, waiter);

    if (result == 0 && waiter->done != NULL)
        waiter->done(waiter, 0);
    return result;
}

static void break_grant(struct subject *subject)
{
    subject->queue = twice_queue;
}

/* G11: a release that orders nothing before it. (On x86 only ThreadSanitizer can tell.) */
static void relaxed_give(union object *object, struct hold *hold, uint32_t n)
{
    uint64_t seen = __atomic_load_n(&object->lock.word_, __ATOMIC_RELAXED);

    if (n == 1 && (seen & TWOSTATE_COUNT_) > 1 && (seen & TWOSTATE_SWITCHING_) == 0 &&
        __atomic_compare_exchange_n(&object->lock.word_, &seen, seen - 1, false, __ATOMIC_RELAXED,
                                    __ATOMIC_RELAXED))
        return;
    subject_lock.give(object, hold, n);
}

static void break_order(struct subject *subject)
{
    subject->give = relaxed_give;
}

static const struct {
    const char *name;
    void (*breaks)(struct subject *subject);
} broken[] = {
    {"b-ignores-a", break_exclusion},
    {"early-drain", break_drain},
    {"no-wake", break_wake},
    {"late-touch", break_release},
    {"try-ignores-freeze", break_freeze},
    {"short-release-n", break_release_n},
    {"timeout-stays", break_timeout},
    {"timeout-keeps-turn", break_turn},
    {"cancel-leaks", break_cancel},
    {"shy-try", break_try},
    {"switch-gap", break_switch},
    {"join-uncounted", break_join},
    {"lost-state", break_state},
    {"freeze-drains", break_thaw},
    {"granted-twice", break_grant},
    {"relaxed-release", break_order},
};

const struct subject *subject_find(const char *name)
{
    static const struct subject *const real[] = {&subject_lock, &subject_iolock, &subject_pair};
    static struct subject changed;

    for (size_t i = 0; i < sizeof(real) / sizeof(real[0]); i++)
        if (strcmp(real[i]->name, name) == 0)
            return real[i];
    for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
        if (strcmp(broken[i].name, name) != 0)
            continue;
        changed = subject_lock;
        changed.name = broken[i].name;
        changed.broken = true;
        broken[i].breaks(&changed);
        return &changed;
    }
    return NULL;
}
