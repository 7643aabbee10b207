/* SPDX-License-Identifier: MIT */
/*
 * Probe points (USDT) of the slow paths, for bpftrace, perf and their like.
 *
 * A probe is a note in the object file and a nop in the code: it costs nothing until a tracer puts
 * a breakpoint in the nop's place. They need sys/sdt.h to build (Debian: systemtap-sdt-dev), and
 * nothing to run; without the header there are none. Scripts that use them are in scripts/trace.
 *
 * Every probe's first three arguments are the lock's address, a group (0: A or shared, 1: B or
 * exclusive, 2: drain and freeze) and whether it is an IOLOCK:
 *
 *   twostate:contention_begin (lock, group, iolock)          this thread begins to wait
 *   twostate:contention_end   (lock, group, iolock, result)  it waits no more: 0, or -errno
 *   twostate:mode_switch      (lock, from, iolock)           this thread ends a phase of `from`, and
 *                                                            wakes another group
 *   twostate:drain            (lock, 2, iolock, result)      a drain or freeze passed, or gave up
 *   twostate:grant            (lock, group, iolock, waiter)  this thread lets an async waiter in
 *   twostate:patience         (lock, group, iolock)          a waiter claims the turn for its group
 *
 * `lock` is an address only, and may be gone by then.
 */
#ifndef TS_PROBE_H
#define TS_PROBE_H

#include "word.h"

#ifdef TWOSTATE_HAVE_SDT
#include <sys/sdt.h>
#else
#define DTRACE_PROBE3(provider, name, a, b, c)    ((void)(a), (void)(b), (void)(c))
#define DTRACE_PROBE4(provider, name, a, b, c, d) ((void)(a), (void)(b), (void)(c), (void)(d))
#endif

#ifdef __clang__
#pragma clang diagnostic push /* the macros of sys/sdt.h */
#pragma clang diagnostic ignored "-Wgnu-zero-variadic-macro-arguments"
#if __clang_major__ >= 19
#pragma clang diagnostic ignored "-Wc23-extensions"
#endif
#endif

static inline void probe_contention_begin_(const struct twostate_lock *lock, enum group group,
                                           bool exclusive)
{
    DTRACE_PROBE3(twostate, contention_begin, lock, (int)group, (int)exclusive);
}

static inline void probe_contention_end_(const struct twostate_lock *lock, enum group group,
                                         bool exclusive, int result)
{
    DTRACE_PROBE4(twostate, contention_end, lock, (int)group, (int)exclusive, result);
}

static inline void probe_mode_switch_(const struct twostate_lock *lock, enum group from,
                                      bool exclusive)
{
    DTRACE_PROBE3(twostate, mode_switch, lock, (int)from, (int)exclusive);
}

static inline void probe_drain_(const struct twostate_lock *lock, bool exclusive, int result)
{
    DTRACE_PROBE4(twostate, drain, lock, GROUP_DRAIN, (int)exclusive, result);
}

static inline void probe_grant_(const struct twostate_lock *lock, enum group group, bool exclusive,
                                const void *waiter)
{
    DTRACE_PROBE4(twostate, grant, lock, (int)group, (int)exclusive, waiter);
}

static inline void probe_patience_(const struct twostate_lock *lock, enum group group,
                                   bool exclusive)
{
    DTRACE_PROBE3(twostate, patience, lock, (int)group, (int)exclusive);
}

#ifdef __clang__
#pragma clang diagnostic pop
#endif

#endif
