/* SPDX-License-Identifier: MIT */
/*
 * Waiting: barge, wake once, then hand over.
 *
 * Newcomers and woken waiters compete for the lock, so a lock with short holds never goes idle for
 * the time it takes to wake somebody. A waiter whose patience is over claims the turn for its
 * group: from then on the other groups stay out until every registered waiter of the group is in. A
 * claim costs the parallelism of one phase and bounds the wait; the patience decides how often it
 * is paid.
 */
#include "wait.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>

#define PATIENCE_NS 1000000
#define NS_PER_S    1000000000L
/* A waiter looks so many times before it sleeps, after 8, 16, 32, ... pauses: 4 us in all. */
#define LOOKS        5
#define FIRST_PAUSES 8U
/* A group's futex bit is 1 << group; these are the others. */
#define FUTEX_SWITCHING 8U
#define FUTEX_NOBODY    16U

bool wait_deadline_valid_(const struct timespec *deadline)
{
    return deadline == NULL || (deadline->tv_nsec >= 0 && deadline->tv_nsec < NS_PER_S);
}

static bool passed(const struct timespec *deadline, const struct timespec *now)
{
    return now->tv_sec != deadline->tv_sec ? now->tv_sec > deadline->tv_sec
                                           : now->tv_nsec >= deadline->tv_nsec;
}

static struct timespec patience_end(void)
{
    struct timespec end = sys_now_();

    end.tv_nsec += PATIENCE_NS;
    if (end.tv_nsec >= NS_PER_S) {
        end.tv_nsec -= NS_PER_S;
        end.tv_sec++;
    }
    return end;
}

void wait_misuse_(const struct twostate_lock *lock, uint64_t word, bool exclusive, const char *call)
{
    static const char *const names[2][4] = {
        {"unlocked", "held in state A", "held in state B", "corrupt"},
        {"unlocked", "held shared", "held exclusive", "corrupt"},
    };

    sys_die_("%s %p: misuse: %s while it is %s, holders: %" PRIu32 " (word %#018" PRIx64 ")",
             exclusive ? "iolock" : "lock", (const void *)lock, call,
             names[exclusive][(word & WORD_STATES) / word_held(GROUP_A)], word_holders(word), word);
}

static enum group switching_from(const struct want *want)
{
    return want->group == GROUP_A ? GROUP_B : GROUP_A;
}

static bool admits(uint64_t w, const struct want *want)
{
    if (want->switching)
        return word_holders(w) == 1;
    return word_admits(w, want->group, want->exclusive);
}

static uint64_t enter(uint64_t w, const struct want *want)
{
    if (want->switching)
        return (w & ~(WORD_STATES | WORD_SLEEP_SW)) | word_held(want->group);
    return word_enter(w, want->group, want->exclusive);
}

/* The lock is, and was while this waited, held by the caller in the state it switches from. */
static void check_switch(const struct twostate_lock *lock, uint64_t w, const struct want *want)
{
    if (want->switching && (w & WORD_STATES) != word_held(switching_from(want)))
        wait_misuse_(lock, w, want->exclusive, want->call);
}

void wait_wake_(struct twostate_lock *lock, uint64_t before, uint64_t after, bool exclusive)
{
    const uint64_t woken = before & ~after & WORD_SLEEPERS;
    uint32_t groups = (uint32_t)(woken / word_sleep(GROUP_A));

    if (exclusive && (woken & word_sleep(GROUP_B))) {
        sys_futex_wake_(&lock->word_, 1U << GROUP_B, 1);
        groups &= ~(1U << GROUP_B);
    }
    if (groups)
        sys_futex_wake_(&lock->word_, groups, INT_MAX);
}

/* Puts `next` in place of *seen, letting in at once whoever sleeps though `next` admits it. */
static bool step(struct twostate_lock *lock, uint64_t *seen, uint64_t next, const struct want *want)
{
    const uint64_t before = *seen;

    next &= ~word_wake_admitted(next, want->exclusive);
    if (next != before && !sys_cas_(&lock->word_, seen, next))
        return false;
    wait_wake_(lock, before, next, want->exclusive);
    return true;
}

bool wait_try_(struct twostate_lock *lock, const struct want *want)
{
    uint64_t w = sys_load_(&lock->word_);

    for (;;) {
        check_switch(lock, w, want);
        if (!admits(w, want))
            return false;
        if (step(lock, &w, enter(w, want), want))
            return true;
    }
}

/* One waiter's progress through the loop. */
struct waiter {
    const struct want *want;
    const struct timespec *deadline;
    struct timespec patience;
    unsigned looks;  /* at the word, instead of sleeping */
    bool started;    /* patience is set */
    bool registered; /* counted in the word */
    bool switching;  /* the word's switching bit is this waiter's */
    bool impatient;
    bool timed_out;
};

static int refusal(uint64_t w, const struct waiter *waiter)
{
    const struct want *want = waiter->want;

    if (want->switching && !waiter->switching && (w & WORD_SWITCHING))
        return -EDEADLK;
    if ((w & WORD_FULL) && !want->switching && (w & WORD_STATES) == word_held(want->group))
        return -EOVERFLOW;
    return waiter->timed_out ? -ETIMEDOUT : 0;
}

static uint64_t leave(uint64_t w, const struct waiter *waiter)
{
    if (waiter->switching)
        w &= ~(WORD_SWITCHING | WORD_SLEEP_SW);
    if (waiter->registered)
        w = word_leave(w, waiter->want->group, waiter->want->exclusive);
    return w;
}

static struct timespec earlier(const struct timespec *deadline, struct timespec other)
{
    return deadline == NULL || passed(deadline, &other) == false ? other : *deadline;
}

static bool can_register(uint64_t w, const struct waiter *waiter)
{
    const enum group g = waiter->want->group;

    return waiter->registered || word_waiting(w, g) < word_waiting_max(g);
}

/* The word that this waiter may sleep on. */
static uint64_t prepare(uint64_t w, const struct waiter *waiter)
{
    const enum group g = waiter->want->group;

    if (!waiter->registered)
        w += UINT64_C(1) << word_waiting_shift(g);
    w |= waiter->want->switching ? WORD_SWITCHING | WORD_SLEEP_SW : word_sleep(g);
    return waiter->impatient ? word_claim(w, g) : w;
}

static void sleep_on(struct twostate_lock *lock, uint64_t w, uint32_t groups, struct waiter *waiter,
                     const struct timespec *until)
{
    struct timespec now;

    sys_futex_wait_(&lock->word_, word_upper(w), groups, until);
    /* Whatever ended the sleep: one that is woken again and again grows impatient too. */
    now = sys_now_();
    waiter->impatient = passed(&waiter->patience, &now);
    waiter->timed_out = waiter->deadline != NULL && passed(waiter->deadline, &now);
}

/*
 * The word has no room to count this waiter: it looks again later, and is nobody's to wake. But a
 * switch says that it waits, so that a second one is refused.
 */
static bool poll_later(struct twostate_lock *lock, uint64_t *w, struct waiter *waiter)
{
    const uint64_t next = waiter->want->switching ? *w | WORD_SWITCHING : *w;
    const struct timespec until = earlier(waiter->deadline, patience_end());

    if (next != *w && !sys_cas_(&lock->word_, w, next))
        return false;
    waiter->switching = waiter->want->switching;
    sleep_on(lock, next, FUTEX_NOBODY, waiter, &until);
    return true;
}

static bool go_to_sleep(struct twostate_lock *lock, uint64_t *w, struct waiter *waiter)
{
    const bool switching = waiter->want->switching;
    const uint64_t next = prepare(*w, waiter);
    struct timespec until;

    if (next != *w && !sys_cas_(&lock->word_, w, next))
        return false;
    waiter->registered = true;
    waiter->switching = switching;
    until = earlier(waiter->deadline, waiter->patience);
    sleep_on(lock, next, switching ? FUTEX_SWITCHING : 1U << waiter->want->group, waiter,
             waiter->impatient ? waiter->deadline : &until);
    return true;
}

/*
 * Short holds end sooner than a sleep would. Not when others wait already: then holds are long, or
 * there are more threads than processors, and it is they who need this one.
 */
static bool look_again(uint64_t w, struct waiter *waiter)
{
    if (waiter->looks == LOOKS || word_waiting(w, GROUP_A) || word_waiting(w, GROUP_B) ||
        word_waiting(w, GROUP_DRAIN))
        return false;
    sys_pause_(FIRST_PAUSES << waiter->looks++);
    return true;
}

int wait_until_(struct twostate_lock *lock, const struct want *want,
                const struct timespec *deadline)
{
    struct waiter waiter = {.want = want, .deadline = deadline};
    uint64_t w = sys_load_(&lock->word_);

    for (;;) {
        int refused = 0;

        check_switch(lock, w, want);
        if (admits(w, want)) {
            if (step(lock, &w, leave(enter(w, want), &waiter), want))
                return 0;
            continue;
        }
        refused = refusal(w, &waiter);
        if (refused) {
            if (step(lock, &w, leave(w, &waiter), want))
                return refused;
            continue;
        }
        if (!waiter.started && look_again(w, &waiter)) {
            w = sys_load_(&lock->word_);
            continue;
        }
        if (!waiter.started) {
            waiter.patience = patience_end();
            waiter.started = true;
        }
        if (can_register(w, &waiter) ? go_to_sleep(lock, &w, &waiter)
                                     : poll_later(lock, &w, &waiter))
            w = sys_load_(&lock->word_);
    }
}

void wait_release_(struct twostate_lock *lock, enum group g, bool exclusive, const char *call)
{
    uint64_t w = sys_load_(&lock->word_);
    uint64_t next;

    do {
        if ((w & WORD_STATES) != word_held(g))
            wait_misuse_(lock, w, exclusive, call);
        next = word_remove_holder(w);
        if ((next & WORD_STATES) == 0)
            next &= ~word_wake_at_unlock(next, g);
        else if (word_holders(next) == 1)
            next &= ~WORD_SLEEP_SW;
    } while (!sys_cas_(&lock->word_, &w, next));
    wait_wake_(lock, w, next, exclusive);
}
