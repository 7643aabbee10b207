/* SPDX-License-Identifier: MIT */
/* What operations are written with: how they tell the scheduler what they do. */
#ifndef MODEL_USES_H
#define MODEL_USES_H

#include "ops.h"
#include "port.h"
#include "seam.h"

#include <twostate/async.h>
#include <twostate/iolock.h>
#include <twostate/iopair.h>
#include <twostate/lock.h>

#include <errno.h>
#include <stddef.h>
#include <time.h>

/* The words are the pair's members, in this order; a program of locks or IOLOCKs uses the first. */
#define PAIR   ((struct twostate_iopair *)ARENA)
#define LOCK   ((struct twostate_lock *)ARENA)
#define IOLOCK ((struct twostate_iolock *)ARENA)

#define FREEZE  2U /* where a state is asked for: neither */
#define NOTHING 3U /* a drain */

/* What an operation does while it holds. */
enum then {
    THEN_RELEASE,
    THEN_RELEASE_TWO,  /* of two holds, one after the other */
    THEN_RELEASE_BOTH, /* of two holds, at once */
    THEN_JOIN,         /* holds once more, and releases twice */
    THEN_POOL,         /* leaves the hold to whoever releases it */
    THEN_SWITCH,
    THEN_TRY_SWITCH,
    THEN_SWITCH_SHORT,
    THEN_SWITCH_LONG,
    THEN_DEMOTE,
    THEN_FREE,     /* as the last one there, releases and frees the lock */
    THEN_CALLBACK, /* the callback releases */
    THEN_CANCEL,   /* may cancel while it waits */
    THEN_WAIT,     /* twostate_waiter_wait, and a cancel from elsewhere */
    THEN_SUBMIT,   /* the request is submitted, and completes */
    THEN_EXTEND,
    THEN_TRY_EXTEND,
    THEN_RETRY,
};

/*
 * Names what is left to do of the operation. Places in the code are taken for one only if the stage
 * is the same (automaton.c), so it must differ where what follows does.
 */
static inline void stage(unsigned number)
{
    sys_thread_()->left.stage = number;
}

#define STAGE_USE(state, then)      (100 + (state) + 4 * (unsigned)(then))
#define STAGE_HOLDS(state, holds)   (300 + (state) + 4 * (holds))
#define STAGE_RELEASE(state, holds) (200 + (state) + 4 * (holds))

static inline uint64_t say(enum request_kind kind, unsigned x, unsigned y, uint64_t a)
{
    const struct request request = {
        .kind = (uint8_t)kind, .x = (uint8_t)x, .y = (uint8_t)y, .a = a};

    return port_ask_(&request);
}

static inline void call(enum call what, unsigned group, unsigned holds, enum form form)
{
    const struct request request = {
        .kind = REQ_CALL,
        .x = (uint8_t)what,
        .y = (uint8_t)group,
        .a = holds,
        .b = form == FORM_SHORT  ? DEADLINE_SHORT
             : form == FORM_LONG ? DEADLINE_LONG
                                 : DEADLINE_NONE,
        .z = form == FORM_ASYNC,
    };

    port_ask_(&request);
}

static inline int returned(int result)
{
    say(REQ_RETURN, 0, 0, (uint64_t)(int64_t)result);
    return result;
}

static inline const struct timespec *deadline(enum form form)
{
    static const struct timespec soon = {.tv_nsec = 100}, late = {.tv_sec = 1000};

    return form == FORM_SHORT ? &soon : form == FORM_LONG ? &late : NULL;
}

/* What the thread does with what it holds now: any of what its menu has for such holds. */
static inline enum then choose_use(unsigned state, unsigned holds)
{
    stage(STAGE_HOLDS(state, holds));
    return (enum then)say(REQ_AWAIT, AWAIT_USE, state, holds);
}

static inline int refused(bool taken)
{
    return taken ? 0 : -EAGAIN;
}

/* One release, told. */
void use_release(unsigned state, unsigned holds);
void use_iolock_release(unsigned mode);

/* The operations' code: each is some operations' `run`. */
void run_pooled(const struct op *op);
void run_acquire(const struct op *op);
void run_acquire_two(const struct op *op);
void run_drain(const struct op *op);
void run_drain_free(const struct op *op);
void run_acquire_free(const struct op *op);
void run_query_free(const struct op *op);
void run_async(const struct op *op);
void run_waiter_wait(const struct op *op);
void run_async_switch(const struct op *op);
void run_grants(const struct op *op);
void run_iolock(const struct op *op);
void run_iolock_async(const struct op *op);
void run_pair(const struct op *op);
void run_pair_async(const struct op *op);
void run_folio(const struct op *op);
void run_folio_hit(const struct op *op);
void run_lease_request(const struct op *op);
void run_lease_requests(const struct op *op);
void run_lease_other(const struct op *op);
void run_lease_give_up(const struct op *op);
void run_lease_close(const struct op *op);

#endif
