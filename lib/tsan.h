/* SPDX-License-Identifier: MIT */
/*
 * What ThreadSanitizer is told, in a program that is built with it, by a library that is not.
 *
 * Then nobody sees the library's atomics. So every lock is watched (watch.h): no call is done by the
 * inline fast paths, and each tells here, in the terms of ThreadSanitizer's runtime,
 *
 *   - what happens before what: exactly what lock.h promises (G11), not what the machine happens to
 *     order besides. Two holders of one state are not ordered, so a race between them is reported
 *     though it did not happen this time;
 *   - which thread holds which lock, as a read lock, whatever the state (the runtime has no better
 *     word for it): enough for it to find lock order inversions, with the program's other locks too.
 *     What was handed over (disown, submitting, async) is no thread's.
 *
 * A library that is built with ThreadSanitizer says none of this: its atomics speak for themselves.
 */
#ifndef TS_TSAN_H
#define TS_TSAN_H

#include "watch.h"

static inline bool tsan_sees_(void)
{
    return __builtin_expect((__atomic_load_n(&watch_mask_, __ATOMIC_RELAXED) & WATCH_TSAN) != 0, 0);
}

/*
 * Before a call on the lock, and after one that got what it wanted. from: what a switch turns into
 * call->group. waits: for as long as it takes, so that the wait has a place in the lock order.
 */
void tsan_before_(const struct watch_call *call, enum group from, bool waits);
void tsan_taken_(const struct watch_call *call, bool waits);

/* Before holds are given back. */
void tsan_release_(const struct watch_call *call);

/* A release of what is not held, before the program stops for it. */
void tsan_misuse_(const struct twostate_lock *lock);

/* The lock was seen unlocked. */
void tsan_unlocked_(const struct twostate_lock *lock);

/* One hold of the calling thread's becomes nobody's; one of nobody's becomes the thread's. */
void tsan_disown_(const struct twostate_lock *lock);
void tsan_adopt_(const struct twostate_lock *lock);

/* The lock begins or ends: what is at its address is not the lock that was there. */
void tsan_forget_(const struct twostate_lock *lock);

/* All that this thread did before a pass happens before what another does after it receives. */
void tsan_pass_(const void *what);
void tsan_receive_(const void *what);

#endif
