/* SPDX-License-Identifier: MIT */
/* Operations of the lock and of the IOLOCK, and those after which the lock is freed. */
#include "uses.h"

/* The lock. */

static int acquire(unsigned state, enum form form)
{
    const enum twostate_state s = (enum twostate_state)state;
    int result = 0;

    call(form == FORM_TRY ? CALL_TRY : CALL_ACQUIRE, state, 1, form);
    if (state == FREEZE && form == FORM_TRY)
        result = refused(twostate_lock_try_freeze(LOCK));
    else if (state == FREEZE && form == FORM_WAIT)
        twostate_lock_freeze(LOCK);
    else if (state == FREEZE)
        result = twostate_lock_freeze_timed(LOCK, deadline(form));
    else if (form == FORM_TRY)
        result = refused(twostate_lock_try_acquire(LOCK, s));
    else if (form == FORM_WAIT)
        twostate_lock_acquire(LOCK, s);
    else
        result = twostate_lock_acquire_timed(LOCK, s, deadline(form));
    return returned(result);
}

void use_release(unsigned state, unsigned holds)
{
    say(REQ_LEAVE, 0, state, holds);
    if (state == FREEZE)
        twostate_lock_thaw(LOCK);
    else if (holds > 1)
        twostate_lock_release_n(LOCK, (enum twostate_state)state, holds);
    else
        twostate_lock_release(LOCK, (enum twostate_state)state);
    returned(0);
}

/*
 * From the state (or the freeze) that is held to `to`; if that can't be had, it is held as before.
 */
static unsigned switched(unsigned from, unsigned to, enum form form)
{
    const enum twostate_state s = (enum twostate_state)to;
    int result = 0;

    call(CALL_SWITCH, to, 1, form);
    if (from == FREEZE)
        result = form == FORM_TRY ? refused(twostate_lock_try_thaw_to(LOCK, s))
                                  : twostate_lock_thaw_to_timed(LOCK, s, deadline(form));
    else
        result = form == FORM_TRY ? refused(twostate_lock_try_switch(LOCK, s))
                                  : twostate_lock_switch_timed(LOCK, s, deadline(form));
    return returned(result) == 0 ? to : from;
}

static void join(unsigned state)
{
    call(CALL_JOIN, state, 1, FORM_WAIT);
    returned(twostate_lock_join(LOCK, (enum twostate_state)state));
}

static void use(unsigned state, enum then then)
{
    const unsigned other = state == FREEZE || state == TWOSTATE_B ? TWOSTATE_A : TWOSTATE_B;

    stage(STAGE_USE(state, then));
    switch (then) {
    case THEN_JOIN:
        join(state);
        stage(STAGE_USE(state, THEN_RELEASE_TWO));
        use_release(state, 1);
        break;
    case THEN_RELEASE_TWO:
        use_release(state, 1);
        break;
    case THEN_RELEASE_BOTH:
        stage(STAGE_RELEASE(state, 2));
        use_release(state, 2);
        return;
    case THEN_POOL:
        say(REQ_POOL, POOL_PUT, state, 1);
        return;
    case THEN_SWITCH:
    case THEN_TRY_SWITCH:
    case THEN_SWITCH_SHORT:
    case THEN_SWITCH_LONG:
        state = switched(state, other, (enum form)(FORM_WAIT + (then - THEN_SWITCH)));
        break;
    default:
        break;
    }
    stage(STAGE_RELEASE(state, 1));
    use_release(state, 1);
}

void run_pooled(const struct op *op)
{
    say(REQ_POOL, POOL_TAKE, op->state, 1);
    use_release(op->state, 1);
}

void run_acquire(const struct op *op)
{
    if (acquire(op->state, (enum form)op->form) == 0)
        use(op->state, choose_use(op->state, 1));
}

void run_acquire_two(const struct op *op)
{
    const enum twostate_state state = (enum twostate_state)op->state;
    int result = 0;

    call(op->form == FORM_TRY ? CALL_TRY : CALL_ACQUIRE, state, 2, (enum form)op->form);
    if (op->form == FORM_TRY)
        result = refused(twostate_lock_try_acquire_n(LOCK, state, 2));
    else
        result = twostate_lock_acquire_n_timed(LOCK, state, 2, deadline((enum form)op->form));
    if (returned(result) == 0)
        use(state, choose_use(state, 2));
}

static void drain(enum form form)
{
    int result = 0;

    call(CALL_DRAIN, FREEZE, 0, form);
    if (form == FORM_WAIT)
        twostate_lock_drain(LOCK);
    else
        result = twostate_lock_drain_timed(LOCK, deadline(form));
    returned(result);
}

void run_drain(const struct op *op)
{
    drain((enum form)op->form);
}

/*
 * Freeing (G7). Nobody may begin to use the lock any more, and those who do are on their way out;
 * of several drains, one may free the lock once the others have returned.
 */

void run_drain_free(const struct op *op)
{
    say(REQ_AWAIT, AWAIT_CLOSING, 0, 0);
    drain(FORM_WAIT);
    if (op->then == THEN_FREE)
        say(REQ_AWAIT, AWAIT_DRAINED, 0, 0);
    say(REQ_FREE, 0, 0, 0);
}

void run_acquire_free(const struct op *op)
{
    say(REQ_AWAIT, AWAIT_CLOSING, 0, 0);
    acquire(op->state, FORM_WAIT);
    stage(STAGE_USE(op->state, THEN_FREE));
    use_release(op->state, 1);
    say(REQ_AWAIT, AWAIT_DRAINED, 0, 0);
    drain(FORM_WAIT); /* others of the state may be in it still */
    say(REQ_FREE, 0, 0, 0);
}

void run_query_free(const struct op *op)
{
    (void)op;
    say(REQ_AWAIT, AWAIT_CLOSING, 0, 0);
    if (twostate_lock_query(LOCK).holders == 0) {
        say(REQ_AWAIT, AWAIT_DRAINED, 0, 0);
        twostate_lock_destroy(LOCK);
        say(REQ_FREE, 0, 0, 0);
    }
}

/* The IOLOCK. */

void use_iolock_release(unsigned mode)
{
    say(REQ_LEAVE, 0, mode, 1);
    twostate_iolock_release(IOLOCK, (enum twostate_iomode)mode);
    returned(0);
}

void run_iolock(const struct op *op)
{
    const enum twostate_iomode mode = (enum twostate_iomode)op->state;
    enum then then = THEN_RELEASE;
    int result = 0;

    call(op->form == FORM_TRY ? CALL_TRY : CALL_ACQUIRE, mode, 1, (enum form)op->form);
    if (op->form == FORM_TRY)
        result = refused(twostate_iolock_try_acquire(IOLOCK, mode));
    else if (op->form == FORM_WAIT)
        twostate_iolock_acquire(IOLOCK, mode);
    else
        result = twostate_iolock_acquire_timed(IOLOCK, mode, deadline((enum form)op->form));
    if (returned(result) != 0)
        return;
    then = choose_use(mode, 1);
    stage(STAGE_USE(mode, then));
    if (then == THEN_POOL) {
        say(REQ_POOL, POOL_PUT, mode, 1);
        return;
    }
    if (then == THEN_DEMOTE) {
        call(CALL_SWITCH, TWOSTATE_SHARED, 1, FORM_WAIT);
        twostate_iolock_demote(IOLOCK);
        returned(0);
        stage(STAGE_USE(TWOSTATE_SHARED, THEN_RELEASE));
        use_iolock_release(TWOSTATE_SHARED);
        return;
    }
    use_iolock_release(mode);
}
