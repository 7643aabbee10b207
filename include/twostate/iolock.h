/* SPDX-License-Identifier: MIT */
/*
 * The IOLOCK: shared by any number of holders, or held exclusively by one.
 *
 * It is the submission barrier in front of a file's IOTYPE lock: requests take it shared to start,
 * and whoever takes it exclusive keeps new requests from starting. An exclusive holder can demote
 * to shared without letting go.
 *
 * Guarantees: those of lock.h, with state A read as shared and state B as exclusive, except that
 * exclusive has one holder. So shared holders do not starve an exclusive waiter, nor exclusive
 * holders a shared one: after its patience a waiter waits for the holds in progress and one phase
 * of the other side. Between exclusive waiters nothing is promised but that one gets in.
 *
 * Memory: 8 bytes. Zeroed memory is an unlocked lock; nothing has to be destroyed.
 * Threads: any thread may release or demote what another acquired. Not recursive.
 * Processes, null and misaligned locks: as in lock.h.
 *
 * Source: the IOLOCK of XFS, its i_rwsem, as the two-state scheme uses it.
 *
 * Example:
 *
 *     static struct twostate_iolock iolock;
 *
 *     twostate_iolock_acquire(&iolock, TWOSTATE_EXCLUSIVE);
 *     ...                                                    // alone
 *     twostate_iolock_demote(&iolock);
 *     ...                                                    // others read beside us
 *     twostate_iolock_release(&iolock, TWOSTATE_SHARED);
 *
 * Requires: twostate/lock.h. Link with libtwostate.
 */
#ifndef TWOSTATE_IOLOCK_H
#define TWOSTATE_IOLOCK_H

#include <twostate/lock.h>

#ifdef __cplusplus
extern "C" {
#endif

enum twostate_iomode {
    TWOSTATE_SHARED = 0,
    TWOSTATE_EXCLUSIVE = 1,
};

struct TWOSTATE_SAYS_(capability("IOLOCK")) twostate_iolock {
    struct twostate_lock lock_;
};

#define TWOSTATE_IOLOCK_INIT                                                                       \
    {                                                                                              \
        TWOSTATE_LOCK_INIT                                                                         \
    }

/* What an IOLOCK looked like at one instant. reserved is 0, and room for later versions. */
struct twostate_iolock_info {
    uint32_t holders;          /* 0: unlocked; exclusive: 1 */
    enum twostate_iomode mode; /* meaningful while holders > 0 */
    uint32_t waiting_shared;   /* registered waiters, at most 511 of each, as in lock.h */
    uint32_t waiting_exclusive;
    uint32_t reserved[4];
};

/* Makes *lock an unlocked lock. The same as zeroing it. Nobody may be using it. */
TWOSTATE_API void twostate_iolock_init(struct twostate_iolock *lock);

/* As twostate_lock_init_with, _destroy and _clear, for an IOLOCK. */
TWOSTATE_API int twostate_iolock_init_with(struct twostate_iolock *lock, unsigned flags,
                                           uint32_t patience_us);
TWOSTATE_API void twostate_iolock_destroy(struct twostate_iolock *lock);
TWOSTATE_API void twostate_iolock_clear(struct twostate_iolock *lock);

/*
 * Waits until the lock can be held in mode, and holds it.
 * Stops the program if it has TWOSTATE_LOCK_MAX_HOLDERS shared holders already.
 */
static inline void twostate_iolock_acquire(struct twostate_iolock *lock, enum twostate_iomode mode);

/* Holds the lock in mode if that can be had without waiting. False leaves no trace. */
static inline bool twostate_iolock_try_acquire(struct twostate_iolock *lock,
                                               enum twostate_iomode mode);

/*
 * Like acquire, until deadline (absolute, CLOCK_MONOTONIC; NULL waits for ever).
 * Returns 0; -ETIMEDOUT; -EOVERFLOW at the limit of shared holders; -EINVAL if tv_nsec is not in
 * 0..999999999. On an error nothing has changed.
 */
TWOSTATE_API int twostate_iolock_acquire_timed(struct twostate_iolock *lock,
                                               enum twostate_iomode mode,
                                               const struct timespec *deadline);

/* Gives back one hold of mode. Never blocks. Stops the program if the lock is not held in mode. */
static inline void twostate_iolock_release(struct twostate_iolock *lock, enum twostate_iomode mode);

/*
 * Turns the exclusive hold into a shared one. Never blocks; nobody comes in between; shared waiters
 * come in with it, unless it is the turn of another exclusive one. Stops the program if the lock is
 * not held exclusively.
 */
TWOSTATE_API void twostate_iolock_demote(struct twostate_iolock *lock)
    TWOSTATE_SAYS_(release_capability(*lock), acquire_shared_capability(*lock));

/* A snapshot, old as soon as it is returned. */
TWOSTATE_API struct twostate_iolock_info twostate_iolock_query(const struct twostate_iolock *lock);

/* Stops the program unless somebody holds the lock in mode. In every build. */
TWOSTATE_API void twostate_iolock_assert_held(const struct twostate_iolock *lock,
                                              enum twostate_iomode mode);

/* Private: the slow paths of the inline functions below. */

TWOSTATE_API void twostate_iolock_acquire_slow_(struct twostate_iolock *lock,
                                                enum twostate_iomode mode);
TWOSTATE_API bool twostate_iolock_try_slow_(struct twostate_iolock *lock,
                                            enum twostate_iomode mode);
TWOSTATE_API void twostate_iolock_release_slow_(struct twostate_iolock *lock,
                                                enum twostate_iomode mode);

static inline bool twostate_iolock_fast_acquire_(struct twostate_iolock *lock,
                                                 enum twostate_iomode mode)
{
    const uint64_t test = TWOSTATE_FAST_ | TWOSTATE_ASYNC_ | TWOSTATE_HELD_A_ | TWOSTATE_HELD_B_ |
                          TWOSTATE_SLEEP_B_ | TWOSTATE_TURN_;
    uint64_t word = __atomic_load_n(&lock->lock_.word_, __ATOMIC_RELAXED);

    if (mode == TWOSTATE_SHARED)
        return twostate_lock_fast_acquire_(&lock->lock_, TWOSTATE_A);
    return __builtin_expect(mode == TWOSTATE_EXCLUSIVE, 1) &&
           __builtin_expect((word & test) == TWOSTATE_FAST_, 1) &&
           __builtin_expect(__atomic_compare_exchange_n(&lock->lock_.word_, &word,
                                                        (word | TWOSTATE_HELD_B_) + 1, false,
                                                        __ATOMIC_ACQUIRE, __ATOMIC_RELAXED),
                            1);
}

static inline void twostate_iolock_acquire(struct twostate_iolock *lock, enum twostate_iomode mode)
{
    if (!twostate_iolock_fast_acquire_(lock, mode))
        twostate_iolock_acquire_slow_(lock, mode);
}

static inline bool twostate_iolock_try_acquire(struct twostate_iolock *lock,
                                               enum twostate_iomode mode)
{
    return twostate_iolock_fast_acquire_(lock, mode) || twostate_iolock_try_slow_(lock, mode);
}

static inline void twostate_iolock_release(struct twostate_iolock *lock, enum twostate_iomode mode)
{
    if ((mode != TWOSTATE_SHARED && mode != TWOSTATE_EXCLUSIVE) ||
        !twostate_lock_fast_release_(&lock->lock_,
                                     mode == TWOSTATE_SHARED ? TWOSTATE_A : TWOSTATE_B))
        twostate_iolock_release_slow_(lock, mode);
}

#ifdef __cplusplus
}
#endif

/* The calls again, for clang's thread-safety analysis: what each does to a lock in one mode. */
#ifdef TWOSTATE_ANALYSED_
TWOSTATE_OVERLOADS_BEGIN_
/* clang-format off */
#define TWOSTATE_IOLOCK_IN_(MODE, shared_)                                                         \
    TWOSTATE_VOID_WHEN_(mode == MODE, twostate_iolock_acquire,                                     \
                        (struct twostate_iolock *lock, enum twostate_iomode mode),                 \
                        (lock, mode), acquire_##shared_##capability(lock))                         \
    TWOSTATE_VOID_WHEN_(mode == MODE, twostate_iolock_release,                                     \
                        (struct twostate_iolock *lock, enum twostate_iomode mode),                 \
                        (lock, mode), release_##shared_##capability(lock))                         \
    TWOSTATE_WHEN_(mode == MODE, bool, twostate_iolock_try_acquire,                                \
                   (struct twostate_iolock *lock, enum twostate_iomode mode),                      \
                   (lock, mode), try_acquire_##shared_##capability(true, lock))                    \
    TWOSTATE_WHEN_(mode == MODE, int, twostate_iolock_acquire_timed,                               \
                   (struct twostate_iolock *lock, enum twostate_iomode mode,                       \
                    const struct timespec *deadline),                                              \
                   (lock, mode, deadline), try_acquire_##shared_##capability(0, lock))             \
    TWOSTATE_VOID_WHEN_(mode == MODE, twostate_iolock_assert_held,                                 \
                        (const struct twostate_iolock *lock, enum twostate_iomode mode),           \
                        (lock, mode), assert_##shared_##capability(lock))
TWOSTATE_IOLOCK_IN_(TWOSTATE_SHARED, shared_)
TWOSTATE_IOLOCK_IN_(TWOSTATE_EXCLUSIVE, )
#undef TWOSTATE_IOLOCK_IN_
/* clang-format on */
TWOSTATE_OVERLOADS_END_
#endif

#endif
