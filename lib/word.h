/* SPDX-License-Identifier: MIT */
/*
 * The lock word: what each bit permits and forbids, and every step that changes it.
 *
 * Nothing here waits or touches memory: each step is a function from one word to the next, and the
 * callers (wait.c, lock.c, iolock.c) put it in place with one compare-and-swap.
 *
 *   bits   name       meaning
 *   0-22   count      holds of the state. At 2^22 (FULL) nobody more may enter.
 *   23-24  held       0: unlocked, 1: A, 2: B, 3: frozen. Not 0 if and only if count > 0.
 *   25     switching  a holder waits to be alone. Forbids a second one; sends releases to the slow
 *                     path, because the one that leaves it alone must wake it.
 *   26-28  reserved   one bit a group: a waiter of the group is past its patience while another
 *                     group has the turn. Promises the group a turn; forbids nothing yet.
 *   29     fast       the inline paths may be used: set by the first one in, unless somebody
 *                     watches the lock (watch.h). Legal to be clear: then every call is slow.
 *   30     async      a waiter is queued in async.c. Forbids the inline paths to newcomers: they
 *                     look whether its patience is over, for it has no thread to look itself.
 *   31     shared     between processes: what the futex calls have to know. Never changes.
 *   32-40  waiting A  registered waiters of A, asleep or not. Illegal to enter or to give up without
 *   41-49  waiting B  counting oneself out in the same step; when full, waiters go unregistered.
 *   50-53  draining   registered drains and freezes.
 *   54-57  sleep      one bit a group, and one for the switching holder. Illegal to sleep unless it
 *                     is set; legal to be set while nobody sleeps. Whoever clears it must wake the
 *                     group (in the exclusive group: one of it, who answers for the others).
 *   58-59  turn       0, or 1 + the group to which the lock is handed: nobody else may enter. A drain
 *                     enters nothing: it passes whenever it sees the lock unlocked or frozen.
 *   60-63  patience   0: the default; 1: none; k: 64 us << (k - 2). Never changes.
 *
 * Why nobody sleeps through a wake: sleepers wait, in the kernel, for the upper half to change. A
 * waiter only goes to sleep on a word whose sleep bit is set, and the bit is cleared only by a step
 * that is followed by a wake of its group. If the bit is set again in between, by another waiter,
 * that is a promise of another wake; so it does not matter whether the half looks the same.
 *
 * Why one wake is in flight, not many: after a wake the bit is clear, and further unlocks find
 * nobody to wake until one of the woken goes back to sleep.
 *
 * Notation for the steps, as (count and state, turn, sleep bits); s is A, B or frozen:
 *
 *   acquire     (0 or s:n, 0 or s, *)   -> (s:n+1, same, same)
 *   release     (s:n+1,    *,      *)   -> (s:n,   same, same)
 *   unlock      (s:1,      0,      o*)  -> (0,     0,    o woken: the other groups, else s)
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

/* Who waits together: for state A, for state B, for nobody holding (drains and freezes). */
enum group {
    GROUP_A = TWOSTATE_A,
    GROUP_B = TWOSTATE_B,
    GROUP_DRAIN = 2,
};

#define WORD_COUNT     TWOSTATE_COUNT_
#define WORD_STATES    (TWOSTATE_HELD_A_ | TWOSTATE_HELD_B_)
#define WORD_SWITCHING TWOSTATE_SWITCHING_
#define WORD_FAST      TWOSTATE_FAST_
#define WORD_ASYNC     TWOSTATE_ASYNC_
#define WORD_SHARED    (UINT64_C(1) << 31)
#define WORD_WAITING   (((UINT64_C(1) << 22) - 1) << 32)
#define WORD_SLEEPERS  TWOSTATE_SLEEPERS_
#define WORD_SLEEP_SW  (UINT64_C(1) << 57)
#define WORD_TURN      TWOSTATE_TURN_
#define WORD_PATIENCE  (UINT64_C(15) << 60)

/* The state that a group's members hold: A, B, or frozen. */
static inline uint64_t word_held(enum group g)
{
    return (uint64_t)(g + 1) << 23;
}

static inline uint64_t word_reserved(enum group g)
{
    return (UINT64_C(1) << 26) << g;
}

static inline uint64_t word_sleep(enum group g)
{
    return TWOSTATE_SLEEP_A_ << g;
}

static inline uint64_t word_turn(enum group g)
{
    return (uint64_t)(g + 1) << 58;
}

static inline unsigned word_waiting_shift(enum group g)
{
    return 32 + 9 * (unsigned)g;
}

static inline uint32_t word_waiting_max(enum group g)
{
    return g == GROUP_DRAIN ? 15 : 511;
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

static inline uint32_t word_patience_us(uint64_t w)
{
    const unsigned k = (unsigned)(w >> 60);

    if (k < 2)
        return k == 0 ? TWOSTATE_PATIENCE_DEFAULT : 0;
    return UINT32_C(64) << (k - 2);
}

/* The patience bits for at least so many microseconds, at most TWOSTATE_PATIENCE_MAX. */
static inline uint64_t word_patience(uint32_t us)
{
    uint64_t k = us == 0 ? 1 : 2;

    if (us == TWOSTATE_PATIENCE_DEFAULT)
        return 0;
    while (k > 1 && word_patience_us(k << 60) < us)
        k++;
    return k << 60;
}

static inline bool word_has_room(uint64_t w, uint32_t holds)
{
    return holds <= TWOSTATE_LOCK_MAX_HOLDERS - word_holders(w);
}

/* An exclusive lock is one whose state B has one holder at a time (see iolock.c). */
static inline bool word_admits(uint64_t w, enum group g, bool exclusive, uint32_t holds)
{
    const uint64_t turn = w & WORD_TURN;

    if (holds == 0) /* a drain takes nothing, so no turn has to keep it out */
        return (w & WORD_STATES) == 0 || (w & WORD_STATES) == WORD_STATES;
    if ((turn != 0 && turn != word_turn(g)) || !word_has_room(w, holds))
        return false;
    if ((w & WORD_STATES) == 0)
        return true;
    return (w & WORD_STATES) == word_held(g) && !(exclusive && g == GROUP_B);
}

static inline uint64_t word_remove_holds(uint64_t w, uint32_t holds)
{
    w -= holds;
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
static inline uint64_t word_enter(uint64_t w, enum group g, bool exclusive, uint32_t holds)
{
    if (holds == 0)
        return w;
    if (exclusive && g == GROUP_B && (w & WORD_TURN) == word_turn(g))
        w = word_claim(word_pass_turn(w, g), g);
    return (w | word_held(g)) + holds;
}

/*
 * A registered waiter counts itself out, because it entered or gave up. The last of a group takes
 * what the group had with it: its turn or reservation, and its sleep bit, unless somebody may sleep
 * who is not counted: an async waiter, or one whose count was cleared by a supervisor. In the
 * exclusive group whoever leaves answers for those it leaves behind, of whom only one is woken at a
 * time: their sleep bit is set again.
 */
static inline uint64_t word_leave(uint64_t w, enum group g, bool exclusive)
{
    if (word_waiting(w, g) > 0) /* else it was cleared */
        w -= UINT64_C(1) << word_waiting_shift(g);
    if (word_waiting(w, g) > 0)
        return exclusive && g == GROUP_B ? w | word_sleep(g) : w;
    w &= ~word_reserved(g);
    if ((w & (WORD_ASYNC | WORD_SHARED)) == 0)
        w &= ~word_sleep(g);
    else if (exclusive && g == GROUP_B)
        w |= word_sleep(g);
    return (w & WORD_TURN) == word_turn(g) ? word_pass_turn(w, g) : w;
}

/* No async waiter is left: a sleep bit is again of somebody who is counted. */
static inline uint64_t word_end_async(uint64_t w)
{
    w &= ~WORD_ASYNC;
    for (unsigned g = GROUP_A; g <= GROUP_DRAIN; g++)
        if (word_waiting(w, (enum group)g) == 0)
            w &= ~word_sleep((enum group)g);
    return w;
}

/*
 * Whom to wake when the last holder of g has left (w is the word without it). The other groups first;
 * but where a sleep bit may be of nobody, no other group can be relied on to wake g later.
 */
static inline uint64_t word_wake_at_unlock(uint64_t w, enum group g)
{
    const uint64_t groups = w & (WORD_SLEEPERS & ~WORD_SLEEP_SW);
    const uint64_t others = groups & ~word_sleep(g);

    if (w & WORD_TURN)
        return groups &
               ((word_sleep(GROUP_A) << (((w & WORD_TURN) >> 58) - 1)) | word_sleep(GROUP_DRAIN));
    return others != 0 && (w & (WORD_ASYNC | WORD_SHARED)) == 0 ? others : groups;
}

/* Every sleeping group that may enter now: whom to wake after a step that may have let them in. */
static inline uint64_t word_wake_admitted(uint64_t w, bool exclusive)
{
    uint64_t wake = 0;

    for (unsigned g = GROUP_A; g <= GROUP_DRAIN; g++)
        if (word_admits(w, (enum group)g, exclusive, g != GROUP_DRAIN))
            wake |= w & word_sleep((enum group)g);
    return wake;
}

/* Of a step: a group got the turn, or the promise of one, by it. */
static inline bool word_claims(uint64_t before, uint64_t after)
{
    const uint64_t reserved =
        word_reserved(GROUP_A) | word_reserved(GROUP_B) | word_reserved(GROUP_DRAIN);

    return (after & ~before & reserved) != 0 || ((before & WORD_TURN) == 0 && (after & WORD_TURN));
}

/* Of a step: it wakes others than g. */
static inline bool word_wakes_others(uint64_t before, uint64_t after, enum group g)
{
    return (before & ~after & WORD_SLEEPERS & ~(word_sleep(g) | WORD_SLEEP_SW)) != 0;
}

/* Registered waiters of every kind. */
static inline uint32_t word_waiting_all(uint64_t w)
{
    return word_waiting(w, GROUP_A) + word_waiting(w, GROUP_B) + word_waiting(w, GROUP_DRAIN);
}

#endif
