/* SPDX-License-Identifier: MIT */
/* The two-state lock's calls, each a want handed to the waiting loop. */
#include <twostate/lock.h>

#include "async.h"
#include "tsan.h"

#include <errno.h>
#include <string.h>

/* Where the public function that this is used in was called from. */
#define SITE __builtin_return_address(0)

void twostate_lock_init(struct twostate_lock *lock)
{
    wait_init_(lock, 0, TWOSTATE_PATIENCE_DEFAULT);
}

int twostate_lock_init_with(struct twostate_lock *lock, unsigned flags, uint32_t patience_us)
{
    return wait_init_(lock, flags, patience_us);
}

void twostate_lock_destroy(struct twostate_lock *lock)
{
    wait_destroy_(lock, false);
}

void twostate_lock_clear(struct twostate_lock *lock)
{
    wait_clear_(lock, false);
}

static enum group group_of(const struct twostate_lock *lock, enum twostate_state state,
                           const char *call)
{
    if (state != TWOSTATE_A && state != TWOSTATE_B)
        sys_die_("lock %p: misuse: %.*s of state %d, which does not exist", (const void *)lock,
                 (int)strcspn(call, " "), call, (int)state); /* of "acquire B" the first word */
    return (enum group)state;
}

/* The wants. */

static struct want acquiring(const struct twostate_lock *lock, enum twostate_state state,
                             uint32_t n)
{
    const char *call = state == TWOSTATE_A ? "acquire A" : "acquire B";

    return (struct want){.group = group_of(lock, state, call), .holds = n, .call = call};
}

static struct want releasing(const struct twostate_lock *lock, enum twostate_state state,
                             uint32_t n)
{
    const char *call = state == TWOSTATE_A ? "release A" : "release B";

    return (struct want){.group = group_of(lock, state, call), .holds = n, .call = call};
}

static const struct want draining = {.group = GROUP_DRAIN, .call = "drain"};
static const struct want freezing = {.group = GROUP_DRAIN, .holds = 1, .call = "freeze"};
static const struct want thawing = {.group = GROUP_DRAIN, .holds = 1, .call = "thaw"};

static struct want switching(const struct twostate_lock *lock, enum twostate_state to)
{
    const char *call = to == TWOSTATE_A ? "switch to A" : "switch to B";
    const enum group group = group_of(lock, to, call);

    return (struct want){.group = group,
                         .from = group == GROUP_A ? GROUP_B : GROUP_A,
                         .switching = true,
                         .holds = 1,
                         .call = call};
}

static struct want thawing_to(const struct twostate_lock *lock, enum twostate_state to)
{
    const char *call = to == TWOSTATE_A ? "thaw to A" : "thaw to B";

    return (struct want){.group = group_of(lock, to, call),
                         .from = GROUP_DRAIN,
                         .switching = true,
                         .holds = 1,
                         .call = call};
}

/* The ways to wait for them. */

static bool try_take(struct twostate_lock *lock, const struct want *want, const void *site)
{
    return wait_take_(lock, want, &(struct limit){.nowait = true, .site = site}) == 0;
}

static int take_until(struct twostate_lock *lock, const struct want *want,
                      const struct timespec *deadline, const void *site)
{
    return wait_take_(lock, want, &(struct limit){.deadline = deadline, .site = site});
}

/* For calls that can't tell of an error; the one there can be is misuse. */
static void take(struct twostate_lock *lock, const struct want *want, const char *overflow,
                 const void *site)
{
    if (wait_take_(lock, want, &(struct limit){.infallible = true, .site = site}) != 0)
        wait_misuse_(lock, sys_load_(&lock->word_), false, overflow);
}

static int take_async(struct twostate_lock *lock, const struct want *want,
                      struct twostate_waiter *waiter, const void *site)
{
    async_begin_(waiter, NULL);
    return async_end_(waiter,
                      wait_take_(lock, want, &(struct limit){.waiter = waiter, .site = site}));
}

/* Acquire and release. */

void twostate_lock_acquire_slow_(struct twostate_lock *lock, enum twostate_state state)
{
    const struct want want = acquiring(lock, state, 1);

    wait_back_off_(lock, want.group);
    take(lock, &want, "acquire past the limit of holders", SITE);
}

bool twostate_lock_try_slow_(struct twostate_lock *lock, enum twostate_state state)
{
    const struct want want = acquiring(lock, state, 1);

    return try_take(lock, &want, SITE);
}

int twostate_lock_acquire_timed(struct twostate_lock *lock, enum twostate_state state,
                                const struct timespec *deadline)
{
    const struct want want = acquiring(lock, state, 1);

    if (!wait_deadline_valid_(deadline))
        return -EINVAL;
    return twostate_lock_fast_acquire_(lock, state) ? 0 : take_until(lock, &want, deadline, SITE);
}

int twostate_lock_acquire_async(struct twostate_lock *lock, enum twostate_state state,
                                struct twostate_waiter *waiter)
{
    const struct want want = acquiring(lock, state, 1);

    return take_async(lock, &want, waiter, SITE);
}

void twostate_lock_release_slow_(struct twostate_lock *lock, enum twostate_state state)
{
    const struct want want = releasing(lock, state, 1);

    wait_release_(lock, &want, SITE);
}

/* Several holds, and one more. */

int twostate_lock_acquire_n_timed(struct twostate_lock *lock, enum twostate_state state, uint32_t n,
                                  const struct timespec *deadline)
{
    const struct want want = acquiring(lock, state, n);

    return n == 0 ? -EINVAL : take_until(lock, &want, deadline, SITE);
}

int twostate_lock_acquire_n(struct twostate_lock *lock, enum twostate_state state, uint32_t n)
{
    const struct want want = acquiring(lock, state, n);

    return n == 0 ? -EINVAL : take_until(lock, &want, NULL, SITE);
}

bool twostate_lock_try_acquire_n(struct twostate_lock *lock, enum twostate_state state, uint32_t n)
{
    const struct want want = acquiring(lock, state, n);

    return n != 0 && try_take(lock, &want, SITE);
}

int twostate_lock_acquire_n_async(struct twostate_lock *lock, enum twostate_state state, uint32_t n,
                                  struct twostate_waiter *waiter)
{
    const struct want want = acquiring(lock, state, n);

    return n == 0 ? -EINVAL : take_async(lock, &want, waiter, SITE);
}

void twostate_lock_release_n(struct twostate_lock *lock, enum twostate_state state, uint32_t n)
{
    const struct want want = releasing(lock, state, n);

    if (n == 0)
        wait_misuse_(lock, sys_load_(&lock->word_), false, "release of no holds");
    wait_release_(lock, &want, SITE);
}

int twostate_lock_join(struct twostate_lock *lock, enum twostate_state state)
{
    const char *call = state == TWOSTATE_A ? "join A" : "join B";
    const struct want want = {.group = group_of(lock, state, call), .holds = 1, .call = call};

    return wait_join_(lock, &want, SITE);
}

/* Unlocked: waited for, and held so. */

void twostate_lock_drain(struct twostate_lock *lock)
{
    take(lock, &draining, "drain", SITE);
}

int twostate_lock_drain_timed(struct twostate_lock *lock, const struct timespec *deadline)
{
    return take_until(lock, &draining, deadline, SITE);
}

int twostate_lock_drain_async(struct twostate_lock *lock, struct twostate_waiter *waiter)
{
    return take_async(lock, &draining, waiter, SITE);
}

void twostate_lock_freeze(struct twostate_lock *lock)
{
    take(lock, &freezing, "freeze past the limit of freezes", SITE);
}

bool twostate_lock_try_freeze(struct twostate_lock *lock)
{
    return try_take(lock, &freezing, SITE);
}

int twostate_lock_freeze_timed(struct twostate_lock *lock, const struct timespec *deadline)
{
    return take_until(lock, &freezing, deadline, SITE);
}

int twostate_lock_freeze_async(struct twostate_lock *lock, struct twostate_waiter *waiter)
{
    return take_async(lock, &freezing, waiter, SITE);
}

void twostate_lock_thaw(struct twostate_lock *lock)
{
    wait_release_(lock, &thawing, SITE);
}

/* From one state to another. */

bool twostate_lock_try_switch(struct twostate_lock *lock, enum twostate_state to)
{
    const struct want want = switching(lock, to);

    return try_take(lock, &want, SITE);
}

int twostate_lock_switch(struct twostate_lock *lock, enum twostate_state to)
{
    const struct want want = switching(lock, to);

    return take_until(lock, &want, NULL, SITE);
}

int twostate_lock_switch_timed(struct twostate_lock *lock, enum twostate_state to,
                               const struct timespec *deadline)
{
    const struct want want = switching(lock, to);

    return take_until(lock, &want, deadline, SITE);
}

int twostate_lock_switch_async(struct twostate_lock *lock, enum twostate_state to,
                               struct twostate_waiter *waiter)
{
    const struct want want = switching(lock, to);

    return take_async(lock, &want, waiter, SITE);
}

bool twostate_lock_try_thaw_to(struct twostate_lock *lock, enum twostate_state to)
{
    const struct want want = thawing_to(lock, to);

    return try_take(lock, &want, SITE);
}

int twostate_lock_thaw_to(struct twostate_lock *lock, enum twostate_state to)
{
    const struct want want = thawing_to(lock, to);

    return take_until(lock, &want, NULL, SITE);
}

int twostate_lock_thaw_to_timed(struct twostate_lock *lock, enum twostate_state to,
                                const struct timespec *deadline)
{
    const struct want want = thawing_to(lock, to);

    return take_until(lock, &want, deadline, SITE);
}

int twostate_lock_thaw_to_async(struct twostate_lock *lock, enum twostate_state to,
                                struct twostate_waiter *waiter)
{
    const struct want want = thawing_to(lock, to);

    return take_async(lock, &want, waiter, SITE);
}

/* What it looks like. */

struct twostate_lock_info twostate_lock_query(const struct twostate_lock *lock)
{
    const uint64_t w = sys_load_(&lock->word_);
    const bool frozen = (w & WORD_STATES) == WORD_STATES;

    if (tsan_sees_() && (frozen || word_holders(w) == 0))
        tsan_unlocked_(lock);
    return (struct twostate_lock_info){
        .holders = frozen ? 0 : word_holders(w),
        .state = (w & word_held(GROUP_B)) ? TWOSTATE_B : TWOSTATE_A,
        .frozen = frozen ? word_holders(w) : 0,
        .waiting_a = word_waiting(w, GROUP_A),
        .waiting_b = word_waiting(w, GROUP_B),
        .draining = word_waiting(w, GROUP_DRAIN),
        .switching = (w & WORD_SWITCHING) != 0,
    };
}

void twostate_lock_assert_held(const struct twostate_lock *lock, enum twostate_state state)
{
    const uint64_t w = sys_load_(&lock->word_);

    if ((w & WORD_STATES) != word_held(group_of(lock, state, "assert_held")))
        wait_misuse_(lock, w, false,
                     state == TWOSTATE_A ? "assert held in state A" : "assert held in state B");
}

void twostate_lock_assert_unlocked(const struct twostate_lock *lock)
{
    const uint64_t w = sys_load_(&lock->word_);

    if ((w & WORD_STATES) != 0 && (w & WORD_STATES) != WORD_STATES)
        wait_misuse_(lock, w, false, "assert unlocked");
    if (tsan_sees_())
        tsan_unlocked_(lock);
}
