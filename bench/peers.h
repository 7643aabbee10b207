/* SPDX-License-Identifier: MIT */
/*
 * The locks that are compared, all under one shape: struct lock_P, acquire_P, release_P.
 *
 * They are inline functions, found by name through the list below: a benchmark makes its timed loop
 * once for each peer with a macro, so that no indirect call is measured. Zeroed memory is an
 * unlocked lock of each (with glibc and musl of the pthread ones too).
 */
#ifndef BENCH_PEERS_H
#define BENCH_PEERS_H

#include <linux/futex.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <ck_pflock.h>
#include <ck_rwlock.h>

#include <twostate/lock.h>

/*
 * name, states shared: both, or A only (a reader-writer lock: its B is exclusive, which is a weaker
 * service, and easier to give fast), waits: by sleeping, or by spinning only.
 */
#define BENCH_PEERS(X)                                                                             \
    X(twostate, both, sleeps)                                                                      \
    X(bcachefs_alg, both, sleeps)                                                                  \
    X(mutex_cond, both, sleeps)                                                                    \
    X(pthread_rwlock, a_only, sleeps)                                                              \
    X(ck_rwlock, a_only, spins)                                                                    \
    X(ck_pflock, a_only, spins)

/* Those of them that others can drain, and a holder switch: drain_P, switch_P. */
#define BENCH_DRAINABLE(X)                                                                         \
    X(twostate)                                                                                    \
    X(mutex_cond)

struct lock_twostate {
    struct twostate_lock lock;
};

static inline void acquire_twostate(struct lock_twostate *lock, enum twostate_state state)
{
    twostate_lock_acquire(&lock->lock, state);
}

static inline void release_twostate(struct lock_twostate *lock, enum twostate_state state)
{
    twostate_lock_release(&lock->lock, state);
}

static inline void drain_twostate(struct lock_twostate *lock)
{
    twostate_lock_drain(&lock->lock);
}

static inline void switch_twostate(struct lock_twostate *lock, enum twostate_state to)
{
    if (twostate_lock_switch(&lock->lock, to) != 0)
        abort();
}

/* What one word shared by all costs at least if it is checked and changed, twice. Not a lock. */
struct lock_floor {
    uint64_t word;
};

static inline void add_floor(struct lock_floor *lock, uint64_t n)
{
    uint64_t word = __atomic_load_n(&lock->word, __ATOMIC_RELAXED);

    while (!__atomic_compare_exchange_n(&lock->word, &word, word + n, true, __ATOMIC_ACQ_REL,
                                        __ATOMIC_RELAXED))
        ;
}

static inline void acquire_floor(struct lock_floor *lock, enum twostate_state state)
{
    (void)state;
    add_floor(lock, 1);
}

static inline void release_floor(struct lock_floor *lock, enum twostate_state state)
{
    (void)state;
    add_floor(lock, UINT64_MAX);
}

/*
 * The algorithm of bcachefs: one number, positive while A is held and negative while B is. Whoever
 * can't get in sleeps on the one wait queue; reaching zero wakes all of it; the woken compete with
 * newcomers. The kernel's wait queue is a count of sleepers and a futex here.
 */
struct lock_bcachefs_alg {
    int64_t holders;
    uint32_t sleepers;
    uint32_t wakes;
};

static inline bool try_bcachefs_alg(struct lock_bcachefs_alg *lock, enum twostate_state state)
{
    const int64_t one = state == TWOSTATE_A ? 1 : -1;
    int64_t holders = __atomic_load_n(&lock->holders, __ATOMIC_SEQ_CST);

    do {
        if (state == TWOSTATE_A ? holders < 0 : holders > 0)
            return false;
    } while (!__atomic_compare_exchange_n(&lock->holders, &holders, holders + one, true,
                                          __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST));
    return true;
}

void wait_bcachefs_alg(struct lock_bcachefs_alg *lock, enum twostate_state state);

static inline void acquire_bcachefs_alg(struct lock_bcachefs_alg *lock, enum twostate_state state)
{
    if (!try_bcachefs_alg(lock, state))
        wait_bcachefs_alg(lock, state);
}

static inline void release_bcachefs_alg(struct lock_bcachefs_alg *lock, enum twostate_state state)
{
    const int64_t one = state == TWOSTATE_A ? 1 : -1;

    if (__atomic_sub_fetch(&lock->holders, one, __ATOMIC_SEQ_CST) == 0 &&
        __atomic_load_n(&lock->sleepers, __ATOMIC_SEQ_CST) > 0) {
        __atomic_add_fetch(&lock->wakes, 1, __ATOMIC_SEQ_CST);
        syscall(SYS_futex, &lock->wakes, FUTEX_WAKE_PRIVATE, INT32_MAX, NULL, NULL, 0);
    }
}

/*
 * What one writes without a library: the state under a mutex, a condition for "it is free now". One
 * who waits to switch says so, and is woken by each that leaves.
 */
struct lock_mutex_cond {
    pthread_mutex_t mutex;
    pthread_cond_t unlocked;
    uint64_t holders;
    enum twostate_state state;
    bool switching;
};

static inline void acquire_mutex_cond(struct lock_mutex_cond *lock, enum twostate_state state)
{
    pthread_mutex_lock(&lock->mutex);
    while (lock->holders > 0 && lock->state != state)
        pthread_cond_wait(&lock->unlocked, &lock->mutex);
    lock->state = state;
    lock->holders++;
    pthread_mutex_unlock(&lock->mutex);
}

static inline void release_mutex_cond(struct lock_mutex_cond *lock, enum twostate_state state)
{
    bool last;

    (void)state;
    pthread_mutex_lock(&lock->mutex);
    last = --lock->holders == 0 || lock->switching;
    pthread_mutex_unlock(&lock->mutex);
    if (last)
        pthread_cond_broadcast(&lock->unlocked);
}

static inline void drain_mutex_cond(struct lock_mutex_cond *lock)
{
    pthread_mutex_lock(&lock->mutex);
    while (lock->holders > 0)
        pthread_cond_wait(&lock->unlocked, &lock->mutex);
    pthread_mutex_unlock(&lock->mutex);
}

static inline void switch_mutex_cond(struct lock_mutex_cond *lock, enum twostate_state to)
{
    pthread_mutex_lock(&lock->mutex);
    lock->switching = true;
    while (lock->holders > 1)
        pthread_cond_wait(&lock->unlocked, &lock->mutex);
    lock->switching = false;
    lock->state = to;
    pthread_mutex_unlock(&lock->mutex);
    pthread_cond_broadcast(&lock->unlocked);
}

struct lock_pthread_rwlock {
    pthread_rwlock_t rwlock;
};

static inline void acquire_pthread_rwlock(struct lock_pthread_rwlock *lock,
                                          enum twostate_state state)
{
    if (state == TWOSTATE_A)
        pthread_rwlock_rdlock(&lock->rwlock);
    else
        pthread_rwlock_wrlock(&lock->rwlock);
}

static inline void release_pthread_rwlock(struct lock_pthread_rwlock *lock,
                                          enum twostate_state state)
{
    (void)state;
    pthread_rwlock_unlock(&lock->rwlock);
}

struct lock_ck_rwlock {
    ck_rwlock_t rwlock;
};

static inline void acquire_ck_rwlock(struct lock_ck_rwlock *lock, enum twostate_state state)
{
    if (state == TWOSTATE_A)
        ck_rwlock_read_lock(&lock->rwlock);
    else
        ck_rwlock_write_lock(&lock->rwlock);
}

static inline void release_ck_rwlock(struct lock_ck_rwlock *lock, enum twostate_state state)
{
    if (state == TWOSTATE_A)
        ck_rwlock_read_unlock(&lock->rwlock);
    else
        ck_rwlock_write_unlock(&lock->rwlock);
}

struct lock_ck_pflock {
    ck_pflock_t pflock;
};

static inline void acquire_ck_pflock(struct lock_ck_pflock *lock, enum twostate_state state)
{
    if (state == TWOSTATE_A)
        ck_pflock_read_lock(&lock->pflock);
    else
        ck_pflock_write_lock(&lock->pflock);
}

static inline void release_ck_pflock(struct lock_ck_pflock *lock, enum twostate_state state)
{
    if (state == TWOSTATE_A)
        ck_pflock_read_unlock(&lock->pflock);
    else
        ck_pflock_write_unlock(&lock->pflock);
}

/* One lock of any kind, alone on its cache lines. */
union any_lock {
#define X(peer, shared, waits) struct lock_##peer peer;
    BENCH_PEERS(X)
#undef X
    struct lock_floor floor;
    unsigned char lines[128];
} __attribute__((aligned(128)));

#endif
