/* SPDX-License-Identifier: MIT */
/*
 * Locking a folio: its lock, and the gate beside it, by which writes that are hits (user_hit.c) come
 * and go.
 *
 * To give a lock back is a read-modify-write, for which the processor waits until all that was stored
 * under the lock has left it. A gate is left by a plain store, because nobody is ever asleep for it:
 * it is for one short copy at a time, of somebody who waits for nothing. So whoever takes the lock looks
 * whether the gate is closed, and waits until it isn't; and who wants through the gate closes it, and
 * then looks whether the lock is held:
 *
 *   a hit:      closes the gate (a swap), looks at the lock: held, it opens the gate again, and gives up
 *   a locker:   takes the lock (a swap), looks at the gate: closed, it waits
 *
 * One of the two sees the other. On x86 because each swap is a full barrier. Elsewhere the locker looks
 * by a read-modify-write, too: that comes before the hit's swap, which then sees what the locker did
 * before, or after it, and sees the gate closed. Who has the lock keeps hits out, so it waits for one of
 * them at most.
 */
#ifndef TS_IO_FOLIO_LOCK_H
#define TS_IO_FOLIO_LOCK_H

#include "folio.h"

/* Once the lock is held. */
static inline bool folio_gate_closed_(struct folio *folio)
{
#if defined(__x86_64__) || defined(__i386__)
    return __atomic_load_n(&folio->gate, __ATOMIC_ACQUIRE) != 0;
#else
    return __atomic_fetch_add(&folio->gate, 0, __ATOMIC_ACQ_REL) != 0;
#endif
}

void folio_await_gate_(struct folio *folio);
void folio_lock_(struct folio *folio, enum twostate_iomode mode);
/* 0, or as twostate_iolock_acquire_timed. For the gate it waits as long as it takes. */
int folio_lock_timed_(struct folio *folio, enum twostate_iomode mode,
                      const struct timespec *deadline);

static inline void folio_unlock_(struct folio *folio, enum twostate_iomode mode)
{
    twostate_iolock_release(&folio->lock, mode);
}

static inline bool folio_try_lock_(struct folio *folio, enum twostate_iomode mode)
{
    if (!twostate_iolock_try_acquire(&folio->lock, mode))
        return false;
    if (__builtin_expect(!folio_gate_closed_(folio), 1))
        return true;
    folio_unlock_(folio, mode);
    return false;
}

static inline void folio_leave_(struct folio *folio)
{
    __atomic_store_n(&folio->gate, 0, __ATOMIC_RELEASE);
}

/*
 * True: as if the lock were held exclusive, until folio_leave_; the caller waits for no lock of a folio meanwhile.
 * Not where somebody watches the locks: he would not see it.
 */
static inline bool folio_enter_(struct folio *folio)
{
    uint32_t open = 0;

    if (!__atomic_compare_exchange_n(&folio->gate, &open, 1, false, __ATOMIC_ACQ_REL,
                                     __ATOMIC_RELAXED))
        return false;
    if ((__atomic_load_n(&folio->lock.lock_.word_, __ATOMIC_ACQUIRE) &
         (TWOSTATE_HELD_A_ | TWOSTATE_HELD_B_)) == 0)
        return true;
    folio_leave_(folio);
    return false;
}

#endif
