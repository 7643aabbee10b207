/* SPDX-License-Identifier: MIT */
/*
 * RCU for the engine: liburcu's bp flavour, in which threads needn't register. A section is a few
 * loads long, so the calls are inlined; liburcu allows that for functions of this size.
 *
 * ThreadSanitizer sees neither liburcu's barriers nor its grace periods, so it is told of them, and
 * calls the library's functions.
 *
 * A thread that is in a section of its own program's (this flavour is one for the whole process)
 * must not wait for the engine: the engine may be waiting for the section to end.
 */
#ifndef TS_IO_RCU_H
#define TS_IO_RCU_H

#if defined(__SANITIZE_THREAD__)
#define RCU_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define RCU_TSAN 1
#endif
#endif

#ifdef RCU_TSAN
#include <urcu/urcu-bp.h>

void __tsan_acquire(void *address);
void __tsan_release(void *address);
extern char rcu_sections_; /* its address stands for all sections */

static inline void rcu_enter_(void)
{
    urcu_bp_read_lock();
}

static inline void rcu_leave_(void)
{
    __tsan_release(&rcu_sections_);
    urcu_bp_read_unlock();
}

static inline void rcu_wait_(void)
{
    urcu_bp_synchronize_rcu();
    __tsan_acquire(&rcu_sections_);
}

#else
#define _LGPL_SOURCE
#include <urcu/urcu-bp.h>

static inline void rcu_enter_(void)
{
    urcu_bp_read_lock();
}

static inline void rcu_leave_(void)
{
    urcu_bp_read_unlock();
}

/* Until every section that has begun is over. */
static inline void rcu_wait_(void)
{
    urcu_bp_synchronize_rcu();
}
#endif

#endif
