/* SPDX-License-Identifier: MIT */
/*
 * The two-state shared lock.
 *
 * A lock is unlocked, held in state A, or held in state B. Any number of holders share a state; the
 * states exclude each other; and "unlocked" is a third condition that others can wait for (drain).
 *
 * Guarantees, cited by number in the tests:
 *
 *   G1  States A and B are never held at the same time.
 *   G2  Any number of holders share one state, up to TWOSTATE_LOCK_MAX_HOLDERS; more are refused.
 *   G3  No starvation on either side. A waiter waits at most its lock's patience, plus the holds
 *       then in progress, plus one phase of the other state, plus one drain or freeze if somebody
 *       drains or freezes. (A switch begins a phase of the new state out of turn, and a nested
 *       join adds to the holds in progress; those are not counted.)
 *   G4  With no opposite holder or waiter, acquire is one successful atomic read-modify-write.
 *   G5  Release never blocks, and makes a system call only to wake somebody.
 *   G6  Any thread may release what another acquired (completion side). The validator wants to be
 *       told: twostate_validate_disown.
 *   G7  Release's last touch of the lock is its atomic read-modify-write: whoever then sees the
 *       lock unlocked, by acquire, drain or query, may free it at once, if nobody else uses it.
 *   G8  Drain returns only after it saw the lock unlocked, within the bound of G3. New holders may
 *       come in as soon as it returns: keep them out with a submission barrier (see iolock.h), or
 *       freeze instead: a frozen lock stays unlocked until its thaw.
 *   G9  A try, timed or cancelled call that fails leaves no trace: the lock is as if it had never
 *       been made.
 *   G10 Switch by the only holder is atomic: no other holder comes between, and those who wait for
 *       the new state may come in with it.
 *   G11 A release happens before the next acquire of the other state, and before a drain's return.
 *   G12 Misuse that a release or a switch can see (wrong state, nothing held) stops the program
 *       with the lock's address, its state and the call, in every build: they go to the standard
 *       error, and it aborts (SIGABRT). So does all else that "stops the program" below.
 *   G13 Try never fails spuriously: it fails only while the other state is held or the lock is
 *       frozen, or while the lock is being handed to waiters of the other state, to a drain or to a
 *       freeze, or at the limit of G2.
 *
 * Memory: 8 bytes, aligned to 8. Zeroed memory is an unlocked lock, and nothing has to be destroyed
 * (but a destroy that is called checks that nobody is using the lock).
 * Threads: every function may be called from any thread, none from a signal handler.
 * A thread that holds one state and acquires the other waits for itself. A thread that acquires
 * again the state it holds can wait for ever too, once the lock is being handed to the other state:
 * it joins instead.
 * Processes: a lock is for the threads of one process, unless it was initialised as
 * TWOSTATE_PROCESS_SHARED. After a fork the child has copies of the others, in which the holds and
 * the waiters of all the parent's threads are counted: those that were in use it initialises again.
 * A null or misaligned lock is undefined, as a null mutex is.
 * ThreadSanitizer: understands the lock, also in a program that is built with it while the library
 * is not. There a race between holders of one state is reported too, for nothing orders them (G11),
 * and so are inversions of the order of locks. A hold that another thread will give back should be
 * handed over (twostate_validate_disown), or what this thread locks meanwhile may be taken for an
 * inversion.
 * Clang's thread-safety analysis: thread_safety.h.
 *
 * Source: two_state_shared_lock of bcachefs names the idea; the algorithm (barge, wake once, then
 * hand over) is described in docs/design.md.
 *
 * Example:
 *
 *     static struct twostate_lock lock;                 // zeroed: unlocked
 *
 *     twostate_lock_acquire(&lock, TWOSTATE_A);         // shares with every other A
 *     ...
 *     twostate_lock_release(&lock, TWOSTATE_A);         // by this thread or another
 *
 *     twostate_lock_drain(&lock);                       // returns once it was seen unlocked
 *
 * Requires: Linux, gcc or clang, C99 or C++11. Link with libtwostate. The library's time_t has 64 bits:
 * on 32-bit machines compile with -D_TIME_BITS=64 -D_FILE_OFFSET_BITS=64, as pkg-config and CMake say.
 */
#ifndef TWOSTATE_LOCK_H
#define TWOSTATE_LOCK_H

#include <stdbool.h>
#include <stdint.h>

#include <twostate/thread_safety.h>
#include <twostate/visibility.h>

#if defined(__TIMESIZE) && __TIMESIZE == 32 && !defined(__USE_TIME_BITS64)
#error "libtwostate has a 64-bit time_t: compile with -D_TIME_BITS=64 -D_FILE_OFFSET_BITS=64"
#endif

#ifdef __cplusplus
extern "C" {
#endif

struct timespec;

enum twostate_state {
    TWOSTATE_A = 0,
    TWOSTATE_B = 1,
};

/* The one member is private; its bits are described in lib/word.h. */
struct TWOSTATE_SAYS_(capability("two-state lock")) twostate_lock {
    uint64_t word_;
} __attribute__((aligned(8)));

#define TWOSTATE_LOCK_INIT                                                                         \
    {                                                                                              \
        0                                                                                          \
    }

/* Holders of one state at the same time (G2), and freezes of a frozen lock. */
#define TWOSTATE_LOCK_MAX_HOLDERS (UINT32_C(1) << 22)

/* For init_with: the lock lies in memory that several processes share. */
#define TWOSTATE_PROCESS_SHARED 1U

/* Patience in microseconds: what a zeroed lock has, and the most that one can have. */
#define TWOSTATE_PATIENCE_DEFAULT UINT32_C(1024)
#define TWOSTATE_PATIENCE_MAX     UINT32_C(524288)

/* What a lock looked like at one instant. reserved is 0, and room for later versions. */
struct twostate_lock_info {
    uint32_t holders;          /* of a state; 0: unlocked */
    enum twostate_state state; /* meaningful while holders > 0 */
    uint32_t frozen;           /* freezes that hold it unlocked */
    uint32_t waiting_a;        /* registered waiters of A, at most 511 (see below) */
    uint32_t waiting_b;        /* the same of B; a waiting switch counts in its new state */
    uint32_t draining;         /* registered drains and freezes, at most 15 */
    bool switching;            /* a holder waits to be alone, to switch */
    uint32_t reserved[3];
};

/*
 * Waiters beyond 511 of one state, or beyond 15 drains and freezes, wait correctly too; but they
 * are not counted, and G3 bounds their wait only from the moment when one of the counted ones has
 * left.
 */

/* Makes *lock an unlocked lock. The same as zeroing it. Nobody may be using it. */
TWOSTATE_API void twostate_lock_init(struct twostate_lock *lock);

/*
 * Makes *lock an unlocked lock with these properties, which it keeps. Nobody may be using it.
 *
 * flags: 0, or TWOSTATE_PROCESS_SHARED: processes that map the memory, wherever, use the lock.
 * patience_us: how long a waiter lets others compete for the lock before it is handed over (G3).
 *     0 hands over as soon as somebody waits (strictly phase-fair). Else rounded up to a power of
 *     two from 64 to TWOSTATE_PATIENCE_MAX.
 *
 * Returns 0, or -EINVAL for other flags or more patience: *lock is then as it was.
 */
TWOSTATE_API int twostate_lock_init_with(struct twostate_lock *lock, unsigned flags,
                                         uint32_t patience_us);

/* The end of a lock. Not needed; but it stops the program if the lock is held or waited for. */
TWOSTATE_API void twostate_lock_destroy(struct twostate_lock *lock);

/*
 * For a supervisor, after a process died that was using a TWOSTATE_PROCESS_SHARED lock: makes the
 * lock unlocked, whatever held it, and forgets the waiters that it counts. Live waiters go on, and
 * the first of them get in. So no live process may hold the lock, or it stops at its release.
 * What a killed process leaves: its holds, for ever; as a waiter also its place in a hand-over,
 * which then never ends. Stops the program if the lock is not shared between processes.
 */
TWOSTATE_API void twostate_lock_clear(struct twostate_lock *lock);

/*
 * Waits until the lock can be held in state, and holds it (G1-G4). An interrupted wait goes on.
 * Stops the program if there are TWOSTATE_LOCK_MAX_HOLDERS already.
 */
static inline void twostate_lock_acquire(struct twostate_lock *lock, enum twostate_state state);

/* Holds the lock in state if that can be had without waiting (G9, G13). False also at the limit. */
static inline bool twostate_lock_try_acquire(struct twostate_lock *lock, enum twostate_state state);

/*
 * Like acquire, until deadline (absolute, CLOCK_MONOTONIC; NULL waits for ever). A deadline in the
 * past still takes a lock that is free to take.
 * Returns 0; -ETIMEDOUT; -EOVERFLOW at the limit of holders; -EINVAL if tv_nsec is not in
 * 0..999999999. On an error nothing has changed (G9).
 */
TWOSTATE_API int twostate_lock_acquire_timed(struct twostate_lock *lock, enum twostate_state state,
                                             const struct timespec *deadline);

/*
 * Gives back one hold of state (G5-G7), acquired by this thread or another. Never blocks.
 * Stops the program if the lock is not held in state (G12).
 */
static inline void twostate_lock_release(struct twostate_lock *lock, enum twostate_state state);

/*
 * Holds the lock in state, n times, in one step. Each is given back by a release, or several by
 * release_n. The try and timed forms as above; the limit is holders + n <= the maximum.
 * acquire_n and its timed form return 0, -EOVERFLOW, -EINVAL if n is 0, -ETIMEDOUT; on an error
 * nothing has changed. try_acquire_n is false for what is an error to them.
 */
TWOSTATE_API int twostate_lock_acquire_n(struct twostate_lock *lock, enum twostate_state state,
                                         uint32_t n);
TWOSTATE_API bool twostate_lock_try_acquire_n(struct twostate_lock *lock, enum twostate_state state,
                                              uint32_t n);
TWOSTATE_API int twostate_lock_acquire_n_timed(struct twostate_lock *lock,
                                               enum twostate_state state, uint32_t n,
                                               const struct timespec *deadline);

/* Gives back n holds of state in one step. Stops the program if there are fewer, or n is 0. */
TWOSTATE_API void twostate_lock_release_n(struct twostate_lock *lock, enum twostate_state state,
                                          uint32_t n);

/*
 * One more hold of the state that the caller holds already (itself, or through another thread that
 * keeps it held meanwhile). Never waits, whoever else does, and so prolongs their wait.
 * Returns 0, or -EOVERFLOW. Stops the program if the lock is not held in state.
 */
TWOSTATE_API int twostate_lock_join(struct twostate_lock *lock, enum twostate_state state);

/*
 * Waits until the lock is unlocked (G8, G11). Returns at once if it is, or is frozen. Takes
 * nothing. If the lock is to be freed after its drain, one drainer only may rely on that: with two,
 * one frees it under the other.
 */
TWOSTATE_API void twostate_lock_drain(struct twostate_lock *lock)
    TWOSTATE_SAYS_(locks_excluded(lock));

/* Like drain, until deadline. Returns 0, -ETIMEDOUT or -EINVAL, as acquire_timed does. */
TWOSTATE_API int twostate_lock_drain_timed(struct twostate_lock *lock,
                                           const struct timespec *deadline)
    TWOSTATE_SAYS_(locks_excluded(lock));

/*
 * Turns the caller's hold of the other state into one of state `to`, if it is the only hold (G10).
 * False if there are other holders; the hold is then as before.
 * Stops the program if the other state is not held (G12).
 */
TWOSTATE_API bool twostate_lock_try_switch(struct twostate_lock *lock, enum twostate_state to);

/*
 * Like try_switch, but waits for the other holders to leave; new ones are kept out within the bound
 * of G3. Returns 0, or -EDEADLK if another holder is already waiting to switch (each would wait for
 * the other): the hold is then as before, and must be released for the other to go on.
 */
TWOSTATE_API int twostate_lock_switch(struct twostate_lock *lock, enum twostate_state to);

/* Like switch, until deadline. Returns 0, -EDEADLK, -ETIMEDOUT or -EINVAL; on an error the hold is
 * as before. */
TWOSTATE_API int twostate_lock_switch_timed(struct twostate_lock *lock, enum twostate_state to,
                                            const struct timespec *deadline);

/*
 * Waits until the lock is unlocked, and holds it so: neither state can be acquired until every
 * freeze is thawed. Freezes share, as holders of a state do; drains pass.
 * The limit and the errors are those of acquire and acquire_timed.
 */
TWOSTATE_API void twostate_lock_freeze(struct twostate_lock *lock)
    TWOSTATE_SAYS_(acquire_capability(*lock));
TWOSTATE_API bool twostate_lock_try_freeze(struct twostate_lock *lock)
    TWOSTATE_SAYS_(try_acquire_capability(true, *lock));
TWOSTATE_API int twostate_lock_freeze_timed(struct twostate_lock *lock,
                                            const struct timespec *deadline)
    TWOSTATE_SAYS_(try_acquire_capability(0, *lock));

/* Ends one freeze, by this thread or another. Never blocks. Stops the program if there is none. */
TWOSTATE_API void twostate_lock_thaw(struct twostate_lock *lock)
    TWOSTATE_SAYS_(release_capability(*lock));

/*
 * Turns the caller's freeze into a hold of state `to`, in one step, as switch does between states:
 * false while there are other freezes; the blocking form waits for their thaw, and returns
 * -EDEADLK if another one waits for that already.
 */
TWOSTATE_API bool twostate_lock_try_thaw_to(struct twostate_lock *lock, enum twostate_state to);
TWOSTATE_API int twostate_lock_thaw_to(struct twostate_lock *lock, enum twostate_state to);
TWOSTATE_API int twostate_lock_thaw_to_timed(struct twostate_lock *lock, enum twostate_state to,
                                             const struct timespec *deadline);

/* A snapshot, old as soon as it is returned. An unlocked answer orders like a drain's return (G11).
 */
TWOSTATE_API struct twostate_lock_info twostate_lock_query(const struct twostate_lock *lock);

/* Stops the program unless somebody holds the lock in state. In every build. */
TWOSTATE_API void twostate_lock_assert_held(const struct twostate_lock *lock,
                                            enum twostate_state state);

/* Stops the program unless the lock is unlocked or frozen. In every build. */
TWOSTATE_API void twostate_lock_assert_unlocked(const struct twostate_lock *lock);

/* Private: what the inline functions below need. */

#define TWOSTATE_COUNT_     ((UINT64_C(1) << 23) - 1)
#define TWOSTATE_FULL_      (UINT64_C(1) << 22)
#define TWOSTATE_HELD_A_    (UINT64_C(1) << 23)
#define TWOSTATE_HELD_B_    (UINT64_C(1) << 24)
#define TWOSTATE_SWITCHING_ (UINT64_C(1) << 25)
#define TWOSTATE_FAST_      (UINT64_C(1) << 29)
#define TWOSTATE_ASYNC_     (UINT64_C(1) << 30)
#define TWOSTATE_SLEEP_A_   (UINT64_C(1) << 54)
#define TWOSTATE_SLEEP_B_   (UINT64_C(1) << 55)
#define TWOSTATE_SLEEPERS_  (UINT64_C(15) << 54)
#define TWOSTATE_TURN_      (UINT64_C(3) << 58)

TWOSTATE_API void twostate_lock_acquire_slow_(struct twostate_lock *lock,
                                              enum twostate_state state);
TWOSTATE_API bool twostate_lock_try_slow_(struct twostate_lock *lock, enum twostate_state state);
TWOSTATE_API void twostate_lock_release_slow_(struct twostate_lock *lock,
                                              enum twostate_state state);

/*
 * Both fast paths have two tries. The first guesses that nobody else is there, which saves a load,
 * a quarter of the time of a pair; the second goes by what the first saw.
 */

/* One mask test, one compare-and-swap. */
static inline bool twostate_lock_enter_(struct twostate_lock *lock, enum twostate_state state,
                                        uint64_t *seen)
{
    const uint64_t held = state == TWOSTATE_A ? TWOSTATE_HELD_A_ : TWOSTATE_HELD_B_;
    const uint64_t test = TWOSTATE_FAST_ | TWOSTATE_ASYNC_ | TWOSTATE_FULL_ | TWOSTATE_TURN_ |
                          (state == TWOSTATE_A ? TWOSTATE_HELD_B_ | TWOSTATE_SLEEP_A_
                                               : TWOSTATE_HELD_A_ | TWOSTATE_SLEEP_B_);
    const uint64_t word = *seen;

    return __builtin_expect(state == TWOSTATE_A || state == TWOSTATE_B, 1) &&
           __builtin_expect((word & test) == TWOSTATE_FAST_, 1) &&
           __builtin_expect(__atomic_compare_exchange_n(&lock->word_, seen, (word | held) + 1,
                                                        false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED),
                            1);
}

/* False: it takes the slow path to know. */
static inline bool twostate_lock_fast_acquire_(struct twostate_lock *lock,
                                               enum twostate_state state)
{
    uint64_t seen = TWOSTATE_FAST_;

    return twostate_lock_enter_(lock, state, &seen) || twostate_lock_enter_(lock, state, &seen);
}

static inline void twostate_lock_acquire(struct twostate_lock *lock, enum twostate_state state)
{
    if (!twostate_lock_fast_acquire_(lock, state))
        twostate_lock_acquire_slow_(lock, state);
}

static inline bool twostate_lock_try_acquire(struct twostate_lock *lock, enum twostate_state state)
{
    return twostate_lock_fast_acquire_(lock, state) || twostate_lock_try_slow_(lock, state);
}

static inline bool twostate_lock_leave_(struct twostate_lock *lock, enum twostate_state state,
                                        uint64_t *seen)
{
    const uint64_t states = TWOSTATE_HELD_A_ | TWOSTATE_HELD_B_;
    const uint64_t held = state == TWOSTATE_A ? TWOSTATE_HELD_A_ : TWOSTATE_HELD_B_;
    const uint64_t word = *seen;
    uint64_t next = word - 1;

    if ((next & TWOSTATE_COUNT_) == 0)
        next &= ~states;
    return __builtin_expect(state == TWOSTATE_A || state == TWOSTATE_B, 1) &&
           __builtin_expect((word & (states | TWOSTATE_SWITCHING_ | TWOSTATE_FAST_)) ==
                                (held | TWOSTATE_FAST_),
                            1) &&
           __builtin_expect((next & states) != 0 || (word & TWOSTATE_SLEEPERS_) == 0, 1) &&
           __builtin_expect(__atomic_compare_exchange_n(&lock->word_, seen, next, false,
                                                        __ATOMIC_RELEASE, __ATOMIC_RELAXED),
                            1);
}

/* False: somebody may have to be woken, or it is misuse. */
static inline bool twostate_lock_fast_release_(struct twostate_lock *lock,
                                               enum twostate_state state)
{
    uint64_t seen =
        TWOSTATE_FAST_ | (state == TWOSTATE_A ? TWOSTATE_HELD_A_ : TWOSTATE_HELD_B_) | 1;

    return twostate_lock_leave_(lock, state, &seen) || twostate_lock_leave_(lock, state, &seen);
}

static inline void twostate_lock_release(struct twostate_lock *lock, enum twostate_state state)
{
    if (!twostate_lock_fast_release_(lock, state))
        twostate_lock_release_slow_(lock, state);
}

#ifdef __cplusplus
}
#endif

/* The calls again, for clang's thread-safety analysis: what each does to a lock in one state. */
#ifdef TWOSTATE_ANALYSED_
TWOSTATE_OVERLOADS_BEGIN_
/* clang-format off */
#define TWOSTATE_LOCK_VOID_(STATE, call, ...)                                                      \
    TWOSTATE_VOID_WHEN_(state == STATE, call, (struct twostate_lock *lock,                         \
                                               enum twostate_state state),                         \
                        (lock, state), __VA_ARGS__)
#define TWOSTATE_LOCK_CALL_(STATE, type, call, ...)                                                \
    TWOSTATE_WHEN_(state == STATE, type, call, (struct twostate_lock *lock,                        \
                                                enum twostate_state state),                        \
                   (lock, state), __VA_ARGS__)
#define TWOSTATE_LOCK_TIMED_(STATE, call, ...)                                                     \
    TWOSTATE_WHEN_(state == STATE, int, call, (struct twostate_lock *lock,                         \
                                               enum twostate_state state,                          \
                                               const struct timespec *deadline),                   \
                   (lock, state, deadline), __VA_ARGS__)
#define TWOSTATE_LOCK_IN_(STATE, in_state, in_other)                                               \
    TWOSTATE_LOCK_VOID_(STATE, twostate_lock_acquire, acquire_capability(lock, in_state))          \
    TWOSTATE_LOCK_VOID_(STATE, twostate_lock_release, release_capability(lock, in_state))          \
    TWOSTATE_LOCK_CALL_(STATE, bool, twostate_lock_try_acquire,                                    \
                        try_acquire_capability(true, lock, in_state))                              \
    TWOSTATE_LOCK_TIMED_(STATE, twostate_lock_acquire_timed,                                       \
                         try_acquire_capability(0, lock, in_state))                                \
    TWOSTATE_LOCK_CALL_(STATE, bool, twostate_lock_try_switch, release_capability(in_other),       \
                        try_acquire_capability(true, in_state),                                    \
                        try_acquire_capability(false, in_other))                                   \
    TWOSTATE_LOCK_CALL_(STATE, int, twostate_lock_switch, release_capability(in_other),            \
                        try_acquire_capability(0, in_state),                                       \
                        try_acquire_capability(1, in_other))                                       \
    TWOSTATE_LOCK_TIMED_(STATE, twostate_lock_switch_timed, release_capability(in_other),          \
                         try_acquire_capability(0, in_state),                                      \
                         try_acquire_capability(1, in_other))                                      \
    TWOSTATE_LOCK_CALL_(STATE, bool, twostate_lock_try_thaw_to, requires_capability(lock),         \
                        try_acquire_capability(true, in_state))                                    \
    TWOSTATE_LOCK_CALL_(STATE, int, twostate_lock_thaw_to, requires_capability(lock),              \
                        try_acquire_capability(0, in_state))                                       \
    TWOSTATE_LOCK_TIMED_(STATE, twostate_lock_thaw_to_timed, requires_capability(lock),            \
                         try_acquire_capability(0, in_state))                                      \
    TWOSTATE_VOID_WHEN_(state == STATE, twostate_lock_assert_held,                                 \
                        (const struct twostate_lock *lock, enum twostate_state state),             \
                        (lock, state), assert_capability(lock, in_state))
TWOSTATE_LOCK_IN_(TWOSTATE_A, TWOSTATE_IN_A_(lock), TWOSTATE_IN_B_(lock))
TWOSTATE_LOCK_IN_(TWOSTATE_B, TWOSTATE_IN_B_(lock), TWOSTATE_IN_A_(lock))
#undef TWOSTATE_LOCK_VOID_
#undef TWOSTATE_LOCK_CALL_
#undef TWOSTATE_LOCK_TIMED_
#undef TWOSTATE_LOCK_IN_
/* clang-format on */
TWOSTATE_OVERLOADS_END_
#endif

#endif
