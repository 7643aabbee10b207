/* SPDX-License-Identifier: MIT */
/*
 * The lock word: what each bit permits and forbids, and every step that changes it.
 *
 * Nothing here waits or touches memory: each step is a function from one word to the next, and the
 * callers (wait.c, lock.c, iolock.c) put it in place with one compare-and-swap.
 *
 *   bits   name       meaning
 *   0-25   count      holders. Bit 25 (FULL) set: nobody may enter, whatever the state.
 *   26     held A     set if and only if count > 0 and the state is A. Forbids entry to B.
 *   27     held B     the same for B.
 *   28     switching  a holder waits to be alone. Forbids a second one; sends releases to the slow
 *                     path, because the one that leaves it alone must wake it.
 *   29-31  reserved   one bit a group: a waiter of the group is past its patience while another
 *                     group has the turn. Promises the group a turn; forbids nothing yet.
 *   32-41  waiting A  registered waiters of A, asleep or not. Illegal to enter or to give up without
 *   42-51  waiting B  counting oneself out in the same step; when full, waiters go unregistered.
 *   52-56  draining   registered drains.
 *   57-60  sleep      one bit a group, and one for the switching holder. Illegal to sleep unless it
 *                     is set; legal to be set while nobody sleeps. Whoever clears it must wake the
 *                     group (in the exclusive group: one of it, who answers for the others).
 *   61-62  turn       0, or 1 + the group to which the lock is handed: nobody else may enter. A drain
 *                     enters nothing: it passes whenever it sees the lock unlocked.
 *
 * Why nobody sleeps through a wake: sleepers wait, in the kernel, for the upper half to change. A
 * waiter only goes to sleep on a word whose sleep bit is set, and the bit is cleared only by a step
 * that is followed by a wake of its group. If the bit is set again in between, by another waiter,
 * that is a promise of another wake; so it does not matter whether the half looks the same.
 *
 * Why one wake is in flight, not many: after a wake the bit is clear, and further unlocks find
 * nobody to wake until one of the woken goes back to sleep.
 *
 * Notation for the steps, as (count and state, turn, sleep bits):
 *
 *   acquire     (0 or s:n, 0 or s, *)   -> (s:n+1, same, same)
 *   release     (s:n+1,    *,      *)   -> (s:n,   same, same)
 *   unlock      (s:1,      0,      o*)  -> (0,     0,    o woken: the other state, else s; drains)
 *   unlock      (s:1,      t,      t*)  -> (0,     t,    t woken; drains)
 *   claim       (o:n,      0,      *)   -> (o:n,   s,    +s)      patience of an s waiter is over
 *   claim       (*,        t,      *)   -> (*,     t,    +s), s reserved
 *   last one in (s:n,      s,      *)   -> (s:n+1, next reserved or 0, *)
 *   give up     (*,        *,      *)   -> same without oneself; wakes whom that lets in
 */
#ifndef TS_WORD_H
#define TS_WORD_H

#include <stdbool.h>
#include <stdint.h>

#include <twostate/lock.h>

/* Who waits together: for state A, for state B, for nobody holding (drains). */
enum group {
    GROUP_A = TWOSTATE_A,
    GROUP_B = TWOSTATE_B,
    GROUP_DRAIN = 2,
};

#define WORD_COUNT     TWOSTATE_COUNT_
#define WORD_FULL      TWOSTATE_FULL_
#define WORD_STATES    (TWOSTATE_HELD_A_ | TWOSTATE_HELD_B_)
#define WORD_SWITCHING TWOSTATE_SWITCHING_
#define WORD_SLEEPERS  TWOSTATE_SLEEPERS_
#define WORD_SLEEP_SW  (UINT64_C(1) << 60)
#define WORD_TURN      TWOSTATE_TURN_

static inline uint64_t word_held(enum group g)
{
    return TWOSTATE_HELD_A_ << g;
}

static inline uint64_t word_reserved(enum group g)
{
    return (UINT64_C(1) << 29) << g;
}

static inline uint64_t word_sleep(enum group g)
{
    return TWOSTATE_SLEEP_A_ << g;
}

static inline uint64_t word_turn(enum group g)
{
    return (uint64_t)(g + 1) << 61;
}

static inline unsigned word_waiting_shift(enum group g)
{
    return 32 + 10 * (unsigned)g;
}

static inline uint32_t word_waiting_max(enum group g)
{
    return g == GROUP_DRAIN ? 31 : 1023;
}

static inline uint32_t word_waiting(uint64_t w, enum group g)
{
    return (uint32_t)(w >> word_waiting_shift(g)) & word_waiting_max(g);
}

static inline uint32_t word_holders(uint64_t w)
{
    return (uint32_t)(w & WORD_COUNT);
}

static inline uint32_t word_upper(uint64_t w)
{
    return (uint32_t)(w >> 32);
}

/* An exclusive lock is one whose state B has one holder at a time (see iolock.c). */
static inline bool word_admits(uint64_t w, enum group g, bool exclusive)
{
    const uint64_t turn = w & WORD_TURN;

    if (g == GROUP_DRAIN) /* takes nothing, so no turn has to keep it out */
        return (w & WORD_STATES) == 0;
    if ((turn != 0 && turn != word_turn(g)) || (w & WORD_FULL) != 0)
        return false;
    if ((w & WORD_STATES) == 0)
        return true;
    return (w & WORD_STATES) == word_held(g) && !(exclusive && g == GROUP_B);
}

static inline uint64_t word_remove_holder(uint64_t w)
{
    w -= 1;
    return (w & WORD_COUNT) == 0 ? w & ~WORD_STATES : w;
}

/* A waiter's patience is over: its group has the turn now, or a reservation for a later one. */
static inline uint64_t word_claim(uint64_t w, enum group g)
{
    if ((w & WORD_TURN) == 0)
        return w | word_turn(g);
    return (w & WORD_TURN) == word_turn(g) ? w : w | word_reserved(g);
}

/* The turn of g is over: the next group that reserved one has it, in the order A, B, drains. */
static inline uint64_t word_pass_turn(uint64_t w, enum group g)
{
    w &= ~WORD_TURN;
    for (unsigned i = 1; i < 3; i++) {
        const enum group next = (enum group)((g + i) % 3);

        if (w & word_reserved(next))
            return (w & ~word_reserved(next)) | word_turn(next);
    }
    return w;
}

/*
 * Somebody enters, waiter or newcomer. In an exclusive lock that was the turn of the exclusive group;
 * those of it who still wait reserve the next one. (If a newcomer did not use it up, one that comes
 * again and again could prolong it for ever.)
 */
static inline uint64_t word_enter(uint64_t w, enum group g, bool exclusive)
{
    if (g == GROUP_DRAIN)
        return w;
    if (exclusive && g == GROUP_B && (w & WORD_TURN) == word_turn(g))
        w = word_claim(word_pass_turn(w, g), g);
    return (w | word_held(g)) + 1;
}

/*
 * A registered waiter counts itself out, because it entered or gave up. The last of a group takes
 * what the group had with it: its turn or reservation, and its sleep bit. In the exclusive group
 * whoever leaves answers for those it leaves behind, of whom only one is woken at a time: their
 * sleep bit is set again.
 */
static inline uint64_t word_leave(uint64_t w, enum group g, bool exclusive)
{
    w -= UINT64_C(1) << word_waiting_shift(g);
    if (word_waiting(w, g) > 0)
        return exclusive && g == GROUP_B ? w | word_sleep(g) : w;
    w &= ~(word_sleep(g) | word_reserved(g));
    return (w & WORD_TURN) == word_turn(g) ? word_pass_turn(w, g) : w;
}

/* Whom to wake when the last holder of g has left (w is the word without it). */
static inline uint64_t word_wake_at_unlock(uint64_t w, enum group g)
{
    const enum group other = g == GROUP_A ? GROUP_B : GROUP_A;
    uint64_t wake;

    if (w & WORD_TURN)
        return w &
               ((word_sleep(GROUP_A) << (((w & WORD_TURN) >> 61) - 1)) | word_sleep(GROUP_DRAIN));
    wake = w & (word_sleep(other) | word_sleep(GROUP_DRAIN));
    return wake ? wake : w & word_sleep(g);
}

/* Every sleeping group that may enter now: whom to wake after a step that may have let them in. */
static inline uint64_t word_wake_admitted(uint64_t w, bool exclusive)
{
    uint64_t wake = 0;

    for (unsigned g = GROUP_A; g <= GROUP_DRAIN; g++)
        if (word_admits(w, (enum group)g, exclusive))
            wake |= w & word_sleep((enum group)g);
    return wake;
}

#endif
