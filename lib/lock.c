/* SPDX-License-Identifier: MIT */
/* The two-state lock's calls, each a want handed to the waiting loop. */
#include <twostate/lock.h>

#include "wait.h"

#include <errno.h>

void twostate_lock_init(struct twostate_lock *lock)
{
    *lock = (struct twostate_lock)TWOSTATE_LOCK_INIT;
}

static enum group group_of(const struct twostate_lock *lock, enum twostate_state state,
                           const char *call)
{
    if (state != TWOSTATE_A && state != TWOSTATE_B)
        sys_die_("lock %p: misuse: %s of state %d, which does not exist", (const void *)lock, call,
                 (int)state);
    return (enum group)state;
}

static struct want acquiring(const struct twostate_lock *lock, enum twostate_state state)
{
    const char *call = state == TWOSTATE_A ? "acquire A" : "acquire B";

    return (struct want){.group = group_of(lock, state, call), .call = call};
}

static struct want draining(void)
{
    return (struct want){.group = GROUP_DRAIN, .call = "drain"};
}

static struct want switching(const struct twostate_lock *lock, enum twostate_state to)
{
    const char *call = to == TWOSTATE_A ? "switch to A" : "switch to B";

    return (struct want){.group = group_of(lock, to, call), .switching = true, .call = call};
}

void twostate_lock_acquire_slow_(struct twostate_lock *lock, enum twostate_state state)
{
    const struct want want = acquiring(lock, state);

    sys_pause_(WAIT_BACK_OFF_PAUSES_);
    if (wait_until_(lock, &want, NULL) != 0)
        wait_misuse_(lock, sys_load_(&lock->word_), false, "acquire past the limit of holders");
}

bool twostate_lock_try_slow_(struct twostate_lock *lock, enum twostate_state state)
{
    const struct want want = acquiring(lock, state);

    return wait_try_(lock, &want);
}

int twostate_lock_acquire_timed(struct twostate_lock *lock, enum twostate_state state,
                                const struct timespec *deadline)
{
    const struct want want = acquiring(lock, state);

    if (!wait_deadline_valid_(deadline))
        return -EINVAL;
    return twostate_lock_fast_acquire_(lock, state) ? 0 : wait_until_(lock, &want, deadline);
}

void twostate_lock_release_slow_(struct twostate_lock *lock, enum twostate_state state)
{
    const char *call = state == TWOSTATE_A ? "release A" : "release B";

    wait_release_(lock, group_of(lock, state, call), false, call);
}

void twostate_lock_drain(struct twostate_lock *lock)
{
    const struct want want = draining();

    wait_until_(lock, &want, NULL);
}

int twostate_lock_drain_timed(struct twostate_lock *lock, const struct timespec *deadline)
{
    const struct want want = draining();

    return wait_deadline_valid_(deadline) ? wait_until_(lock, &want, deadline) : -EINVAL;
}

bool twostate_lock_try_switch(struct twostate_lock *lock, enum twostate_state to)
{
    const struct want want = switching(lock, to);

    return wait_try_(lock, &want);
}

int twostate_lock_switch(struct twostate_lock *lock, enum twostate_state to)
{
    return twostate_lock_switch_timed(lock, to, NULL);
}

int twostate_lock_switch_timed(struct twostate_lock *lock, enum twostate_state to,
                               const struct timespec *deadline)
{
    const struct want want = switching(lock, to);

    return wait_deadline_valid_(deadline) ? wait_until_(lock, &want, deadline) : -EINVAL;
}

struct twostate_lock_info twostate_lock_query(const struct twostate_lock *lock)
{
    const uint64_t w = sys_load_(&lock->word_);

    return (struct twostate_lock_info){
        .holders = word_holders(w),
        .state = (w & word_held(GROUP_B)) ? TWOSTATE_B : TWOSTATE_A,
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

    if (w & WORD_STATES)
        wait_misuse_(lock, w, false, "assert unlocked");
}
