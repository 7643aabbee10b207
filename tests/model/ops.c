/* SPDX-License-Identifier: MIT */
/*
 * The operations: each is one thread's use of the locks, from its first call to its last, through
 * the public headers. Compiled with the seam, like the library, so that the inline paths are seen.
 */
#include "ops.h"

#include "port.h"

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
static void stage(unsigned number)
{
    sys_thread_()->left.stage = number;
}

#define STAGE_USE(state, then)      (100 + (state) + 4 * (unsigned)(then))
#define STAGE_RELEASE(state, holds) (200 + (state) + 4 * (holds))

static uint64_t say(enum request_kind kind, unsigned x, unsigned y, uint64_t a)
{
    const struct request request = {
        .kind = (uint8_t)kind, .x = (uint8_t)x, .y = (uint8_t)y, .a = a};

    return port_ask_(&request);
}

static void call(enum call what, unsigned group, unsigned holds, enum form form)
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

static int returned(int result)
{
    say(REQ_RETURN, 0, 0, (uint64_t)(int64_t)result);
    return result;
}

static const struct timespec *deadline(enum form form)
{
    static const struct timespec soon = {.tv_nsec = 100}, late = {.tv_sec = 1000};

    return form == FORM_SHORT ? &soon : form == FORM_LONG ? &late : NULL;
}

static int refused(bool taken)
{
    return taken ? 0 : -EAGAIN;
}

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

static void release(unsigned state, unsigned holds)
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

/* From the state (or the freeze) that is held to `to`; if that can't be had, it is held as before. */
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
        say(REQ_AWAIT, AWAIT_MOMENT, 0, 0);
        join(state);
        stage(STAGE_USE(state, THEN_RELEASE_TWO));
        release(state, 1);
        break;
    case THEN_RELEASE_TWO:
        release(state, 1);
        break;
    case THEN_RELEASE_BOTH:
        stage(STAGE_RELEASE(state, 2));
        release(state, 2);
        return;
    case THEN_POOL:
        say(REQ_POOL, POOL_PUT, state, 1);
        return;
    case THEN_SWITCH:
    case THEN_TRY_SWITCH:
    case THEN_SWITCH_SHORT:
    case THEN_SWITCH_LONG:
        say(REQ_AWAIT, AWAIT_MOMENT, 0, 0);
        state = switched(state, other, (enum form)(FORM_WAIT + (then - THEN_SWITCH)));
        break;
    default:
        break;
    }
    stage(STAGE_RELEASE(state, 1));
    release(state, 1);
}

static void run_pooled(const struct op *op)
{
    say(REQ_POOL, POOL_TAKE, op->state, 1);
    release(op->state, 1);
}

static void run_acquire(const struct op *op)
{
    if (acquire(op->state, (enum form)op->form) == 0)
        use(op->state, (enum then)op->then);
}

static void run_acquire_two(const struct op *op)
{
    const enum twostate_state state = (enum twostate_state)op->state;
    int result = 0;

    call(op->form == FORM_TRY ? CALL_TRY : CALL_ACQUIRE, state, 2, (enum form)op->form);
    if (op->form == FORM_TRY)
        result = refused(twostate_lock_try_acquire_n(LOCK, state, 2));
    else
        result = twostate_lock_acquire_n_timed(LOCK, state, 2, deadline((enum form)op->form));
    if (returned(result) == 0)
        use(state, (enum then)op->then);
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

static void run_drain(const struct op *op)
{
    drain((enum form)op->form);
}

/*
 * Freeing (G7). Nobody may begin to use the lock any more, and those who do are on their way out;
 * of several drains, one may free the lock once the others have returned.
 */

static void run_drain_free(const struct op *op)
{
    say(REQ_AWAIT, AWAIT_CLOSING, 0, 0);
    drain(FORM_WAIT);
    if (op->then == THEN_FREE)
        say(REQ_AWAIT, AWAIT_DRAINED, 0, 0);
    say(REQ_FREE, 0, 0, 0);
}

static void run_acquire_free(const struct op *op)
{
    say(REQ_AWAIT, AWAIT_CLOSING, 0, 0);
    acquire(op->state, FORM_WAIT);
    stage(STAGE_USE(op->state, THEN_FREE));
    release(op->state, 1);
    say(REQ_AWAIT, AWAIT_DRAINED, 0, 0);
    drain(FORM_WAIT); /* others of the state may be in it still */
    say(REQ_FREE, 0, 0, 0);
}

static void run_query_free(const struct op *op)
{
    (void)op;
    say(REQ_AWAIT, AWAIT_CLOSING, 0, 0);
    if (twostate_lock_query(LOCK).holders == 0) {
        say(REQ_AWAIT, AWAIT_DRAINED, 0, 0);
        twostate_lock_destroy(LOCK);
        say(REQ_FREE, 0, 0, 0);
    }
}

/* Waiters without a thread. They lie in shared memory: other threads get at them. */

static struct slot {
    struct twostate_waiter waiter;
    uint32_t used;
    uint32_t told; /* by the callback: 1 + what became of it */
    uint32_t calls;
    uint32_t cancelled;
} slots[4];

static struct slot *new_slot(void)
{
    for (unsigned i = 0; i < sizeof(slots) / sizeof(slots[0]); i++) {
        if (!slots[i].used) {
            slots[i] = (struct slot){.used = 1};
            return &slots[i];
        }
    }
    port_fail_("too many waiters at a time");
}

static void free_slot(struct slot *slot)
{
    *slot = (struct slot){0};
}

static void granted(struct twostate_waiter *waiter, int result)
{
    struct slot *slot = waiter->context;

    if (sys_thread_()->mutexes)
        port_fail_("a callback is called with a mutex of the library locked (L15)");
    if (sys_thread_()->callbacks++)
        port_fail_("callbacks are nested");
    if (slot->calls++ || !slot->used || slot->cancelled)
        port_fail_("a callback is called twice, or after a cancel");
    if (result != 0)
        port_fail_("a waiter was refused: %d", result);
    slot->told = 1;
    sys_thread_()->callbacks--;
}

static void settle(struct slot *slot, const struct op *op)
{
    if (op->state != NOTHING) /* a drain holds nothing */
        say(REQ_POOL, POOL_ADOPT, op->state, 1);
    free_slot(slot);
    if (op->state != NOTHING)
        release(op->state, 1);
}

static int leave_waiter(struct slot *slot, const struct op *op)
{
    const enum twostate_state state = (enum twostate_state)op->state;
    const bool drains = op->state == NOTHING;
    int result = 0;

    call(drains ? CALL_DRAIN : CALL_ACQUIRE, drains ? FREEZE : op->state, !drains, FORM_ASYNC);
    if (drains)
        result = twostate_lock_drain_async(LOCK, &slot->waiter);
    else if (op->state == FREEZE)
        result = twostate_lock_freeze_async(LOCK, &slot->waiter);
    else
        result = twostate_lock_acquire_async(LOCK, state, &slot->waiter);
    return returned(result);
}

/* With a callback; where the script says so, it is cancelled at any time before that. */
static void run_async(const struct op *op)
{
    struct slot *slot = new_slot();
    int result = 0;

    slot->waiter.done = granted;
    slot->waiter.context = slot;
    result = leave_waiter(slot, op);
    if (result == 0) {
        free_slot(slot);
        if (op->state != NOTHING)
            release(op->state, 1);
        return;
    }
    if (say(REQ_AWAIT, op->then == THEN_CANCEL ? AWAIT_GRANT : AWAIT_FLAG, 0,
            (uintptr_t)&slot->told) == 1) {
        call(CALL_OTHER, 0, 0, FORM_WAIT);
        result = twostate_waiter_cancel(&slot->waiter);
        returned(0);
        if (result) {
            if (slot->told)
                port_fail_("a waiter was cancelled and called back");
            slot->cancelled = 1; /* a callback now would be noticed */
            say(REQ_AWAIT, AWAIT_MOMENT, 0, 0);
            free_slot(slot);
            return;
        }
        say(REQ_AWAIT, AWAIT_FLAG, 0, (uintptr_t)&slot->told);
    }
    settle(slot, op);
}

/* Waits for its own waiter, until a deadline. */
static void run_waiter_wait(const struct op *op)
{
    struct slot *slot = new_slot();
    int result = leave_waiter(slot, op);

    if (result == -EINPROGRESS) {
        call(CALL_OTHER, 0, 0, (enum form)op->form);
        result = twostate_waiter_wait(&slot->waiter, deadline((enum form)op->form));
        returned(result);
        if (result == 0)
            say(REQ_POOL, POOL_ADOPT, op->state, 1);
    }
    free_slot(slot);
    if (result == 0)
        release(op->state, 1);
}

/* The IOLOCK. */

static void iolock_release(unsigned mode)
{
    say(REQ_LEAVE, 0, mode, 1);
    twostate_iolock_release(IOLOCK, (enum twostate_iomode)mode);
    returned(0);
}

static void run_iolock(const struct op *op)
{
    const enum twostate_iomode mode = (enum twostate_iomode)op->state;
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
    stage(STAGE_USE(mode, op->then));
    if (op->then == THEN_POOL) {
        say(REQ_POOL, POOL_PUT, mode, 1);
        return;
    }
    if (op->then == THEN_DEMOTE) {
        say(REQ_AWAIT, AWAIT_MOMENT, 0, 0);
        call(CALL_SWITCH, TWOSTATE_SHARED, 1, FORM_WAIT);
        twostate_iolock_demote(IOLOCK);
        returned(0);
        stage(STAGE_USE(TWOSTATE_SHARED, THEN_RELEASE));
        iolock_release(TWOSTATE_SHARED);
        return;
    }
    iolock_release(mode);
}

static void run_iolock_async(const struct op *op)
{
    struct slot *slot = new_slot();
    const enum twostate_iomode mode = (enum twostate_iomode)op->state;
    int result = 0;

    slot->waiter.done = granted;
    slot->waiter.context = slot;
    call(CALL_ACQUIRE, mode, 1, FORM_ASYNC);
    result = returned(twostate_iolock_acquire_async(IOLOCK, mode, &slot->waiter));
    if (result == -EINPROGRESS) {
        if (say(REQ_AWAIT, AWAIT_GRANT, 0, (uintptr_t)&slot->told) == 1) {
            call(CALL_OTHER, 0, 0, FORM_WAIT);
            result = twostate_waiter_cancel(&slot->waiter);
            returned(0);
            if (result) {
                free_slot(slot);
                return;
            }
            say(REQ_AWAIT, AWAIT_FLAG, 0, (uintptr_t)&slot->told);
        }
        say(REQ_POOL, POOL_ADOPT, mode, 1);
    }
    free_slot(slot);
    iolock_release(mode);
}

/* The pair. */

static void inside(enum area area)
{
    say(REQ_ENTER, area, 1, 0);
}

static void outside(void)
{
    say(REQ_ENTER, 0, 0, 0);
    call(CALL_OTHER, 0, 0, FORM_WAIT);
}

static enum area area_of(enum twostate_iopath path)
{
    return (enum area)(AREA_READ + path);
}

static int begin(enum twostate_iopath path, struct twostate_hold *hold, enum form form)
{
    int result = 0;

    call(CALL_OTHER, 0, 0, form);
    if (form == FORM_TRY)
        result = twostate_iopair_try_begin(PAIR, path, hold) ? 0 : -ECANCELED;
    else if (form == FORM_WAIT)
        twostate_iopair_begin(PAIR, path, hold);
    else
        result = twostate_iopair_begin_timed(PAIR, path, hold, deadline(form));
    return returned(result);
}

/* Where the merging sees what they hold. */
static struct twostate_hold *hold_of_thread(void)
{
    return (struct twostate_hold *)sys_thread_()->left.hold;
}

static void submit(struct twostate_hold *hold, enum area completing)
{
    struct twostate_hold *completion = (struct twostate_hold *)sys_thread_()->left.completion;

    say(REQ_ENTER, completing, 0, 0);
    call(CALL_OTHER, 0, 0, FORM_WAIT);
    twostate_iopair_submitting(hold, completion);
    inside(completing);
    twostate_iopair_submitted(hold);
    outside();
    twostate_iopair_complete(completion);
    returned(0);
}

static void end(struct twostate_hold *hold)
{
    outside();
    twostate_iopair_end(hold);
    returned(0);
}

static void run_pair(const struct op *op)
{
    const enum twostate_iopath path = (enum twostate_iopath)op->state;
    struct twostate_hold *hold = hold_of_thread();

    if (begin(path, hold, (enum form)op->form) != 0)
        return;
    stage(STAGE_USE(0, op->then) + 300);
    inside(area_of(path));
    if (op->then == THEN_SUBMIT) {
        submit(hold, path == TWOSTATE_DIRECT ? AREA_DIRECT : AREA_DURABLE);
        return;
    }
    if (op->then == THEN_EXTEND || op->then == THEN_TRY_EXTEND) {
        bool done = true;

        say(REQ_AWAIT, AWAIT_MOMENT, 0, 0);
        inside(AREA_TURNING);
        call(CALL_OTHER, 0, 0, FORM_WAIT);
        if (op->then == THEN_EXTEND)
            twostate_iopair_extend_to_direct(hold);
        else
            done = twostate_iopair_try_extend_to_direct(hold);
        returned(0);
        inside(done ? AREA_DIRECT : AREA_EXTEND);
    }
    if (op->then == THEN_RETRY) {
        outside();
        twostate_iopair_retry_unaligned(hold);
        returned(0);
        inside(AREA_UNALIGNED);
    }
    stage(1000);
    end(hold);
}

#define LOCK_OP(name, what, run, state, form, then)                                                \
    {                                                                                              \
        name, what, run, SUBJECT_LOCK, state, form, then, false, then == THEN_POOL                 \
    }
#define IOLOCK_OP(name, what, run, mode, form, then)                                               \
    {                                                                                              \
        name, what, run, SUBJECT_IOLOCK, mode, form, then, false, (then) == THEN_POOL              \
    }
#define PAIR_OP(name, what, path, form, then)                                                      \
    {                                                                                              \
        name, what, run_pair, SUBJECT_PAIR, path, form, then, false, false                         \
    }
#define ASYNC_OP(name, what, run, subject, state, form, then)                                      \
    {                                                                                              \
        name, what, run, subject, state, form, then, true, false                                   \
    }
#define BOTH(name, what, run, form, then)                                                          \
    LOCK_OP(name "A", what, run, TWOSTATE_A, form, then),                                          \
        LOCK_OP(name "B", what, run, TWOSTATE_B, form, then)

const struct op ops[] = {
    {"+A", "releases an A from the pool", run_pooled, SUBJECT_ANY, TWOSTATE_A, 0, 0, false, false},
    {"+B", "releases a B from the pool", run_pooled, SUBJECT_ANY, TWOSTATE_B, 0, 0, false, false},
    {"+f", "thaws a freeze from the pool", run_pooled, SUBJECT_ANY, FREEZE, 0, 0, false, false},
    BOTH("a", "acquire, release", run_acquire, FORM_WAIT, THEN_RELEASE),
    BOTH("t", "try", run_acquire, FORM_TRY, THEN_RELEASE),
    BOTH("T", "timed, by a deadline before the patience ends", run_acquire, FORM_SHORT,
         THEN_RELEASE),
    BOTH("L", "timed, by a deadline after it", run_acquire, FORM_LONG, THEN_RELEASE),
    BOTH("h", "acquire; another thread releases", run_acquire, FORM_WAIT, THEN_POOL),
    BOTH("j", "acquire, join, release twice", run_acquire, FORM_WAIT, THEN_JOIN),
    BOTH("s", "acquire, switch to the other", run_acquire, FORM_WAIT, THEN_SWITCH),
    BOTH("y", "acquire, try to switch", run_acquire, FORM_WAIT, THEN_TRY_SWITCH),
    BOTH("S", "acquire, switch by a deadline", run_acquire, FORM_WAIT, THEN_SWITCH_SHORT),
    BOTH("2", "acquire two, release them in turn", run_acquire_two, FORM_WAIT, THEN_RELEASE_TWO),
    BOTH("n", "acquire two, release both at once", run_acquire_two, FORM_WAIT, THEN_RELEASE_BOTH),
    BOTH("N", "acquire two, timed", run_acquire_two, FORM_SHORT, THEN_RELEASE_BOTH),
    LOCK_OP("d", "drain", run_drain, 0, FORM_WAIT, 0),
    LOCK_OP("Td", "drain, timed", run_drain, 0, FORM_SHORT, 0),
    LOCK_OP("f", "freeze, thaw", run_acquire, FREEZE, FORM_WAIT, THEN_RELEASE),
    LOCK_OP("tf", "try to freeze", run_acquire, FREEZE, FORM_TRY, THEN_RELEASE),
    LOCK_OP("Tf", "freeze, timed", run_acquire, FREEZE, FORM_SHORT, THEN_RELEASE),
    LOCK_OP("hf", "freeze; another thread thaws", run_acquire, FREEZE, FORM_WAIT, THEN_POOL),
    LOCK_OP("sf", "freeze, thaw to A", run_acquire, FREEZE, FORM_WAIT, THEN_SWITCH),
    LOCK_OP("Fd", "drain and free; other drains first", run_drain_free, 0, FORM_WAIT, THEN_FREE),
    LOCK_OP("Fw", "drain and free, wrongly: under other drains", run_drain_free, 0, FORM_WAIT, 0),
    BOTH("F", "acquire, release, drain, free", run_acquire_free, FORM_WAIT, THEN_FREE),
    LOCK_OP("Fq", "free if a query says unlocked", run_query_free, 0, FORM_WAIT, THEN_FREE),
    ASYNC_OP("kA", "acquire, async", run_async, SUBJECT_LOCK, TWOSTATE_A, 0, 0),
    ASYNC_OP("kB", "acquire, async", run_async, SUBJECT_LOCK, TWOSTATE_B, 0, 0),
    ASYNC_OP("cA", "acquire, async, may be cancelled", run_async, SUBJECT_LOCK, TWOSTATE_A, 0,
             THEN_CANCEL),
    ASYNC_OP("cB", "acquire, async, may be cancelled", run_async, SUBJECT_LOCK, TWOSTATE_B, 0,
             THEN_CANCEL),
    ASYNC_OP("cf", "freeze, async, may be cancelled", run_async, SUBJECT_LOCK, FREEZE, 0,
             THEN_CANCEL),
    ASYNC_OP("cd", "drain, async, may be cancelled", run_async, SUBJECT_LOCK, NOTHING, 0,
             THEN_CANCEL),
    ASYNC_OP("wA", "acquire, async, waited for", run_waiter_wait, SUBJECT_LOCK, TWOSTATE_A,
             FORM_WAIT, 0),
    ASYNC_OP("WB", "acquire, async, waited for until a deadline", run_waiter_wait, SUBJECT_LOCK,
             TWOSTATE_B, FORM_SHORT, 0),
    IOLOCK_OP("as", "shared", run_iolock, TWOSTATE_SHARED, FORM_WAIT, 0),
    IOLOCK_OP("ax", "exclusive", run_iolock, TWOSTATE_EXCLUSIVE, FORM_WAIT, 0),
    IOLOCK_OP("ts", "try shared", run_iolock, TWOSTATE_SHARED, FORM_TRY, 0),
    IOLOCK_OP("tx", "try exclusive", run_iolock, TWOSTATE_EXCLUSIVE, FORM_TRY, 0),
    IOLOCK_OP("Ts", "shared, timed", run_iolock, TWOSTATE_SHARED, FORM_SHORT, 0),
    IOLOCK_OP("Tx", "exclusive, timed", run_iolock, TWOSTATE_EXCLUSIVE, FORM_SHORT, 0),
    IOLOCK_OP("Lx", "exclusive, timed late", run_iolock, TWOSTATE_EXCLUSIVE, FORM_LONG, 0),
    IOLOCK_OP("hs", "shared; another thread releases", run_iolock, TWOSTATE_SHARED, FORM_WAIT,
              THEN_POOL),
    IOLOCK_OP("hx", "exclusive; another thread releases", run_iolock, TWOSTATE_EXCLUSIVE, FORM_WAIT,
              THEN_POOL),
    IOLOCK_OP("dx", "exclusive, demote", run_iolock, TWOSTATE_EXCLUSIVE, FORM_WAIT, THEN_DEMOTE),
    ASYNC_OP("cs", "shared, async, may be cancelled", run_iolock_async, SUBJECT_IOLOCK,
             TWOSTATE_SHARED, 0, 0),
    ASYNC_OP("cx", "exclusive, async, may be cancelled", run_iolock_async, SUBJECT_IOLOCK,
             TWOSTATE_EXCLUSIVE, 0, 0),
    PAIR_OP("r", "buffered read", TWOSTATE_BUFFERED_READ, FORM_WAIT, 0),
    PAIR_OP("w", "buffered write", TWOSTATE_BUFFERED_WRITE, FORM_WAIT, 0),
    PAIR_OP("tw", "try a buffered write", TWOSTATE_BUFFERED_WRITE, FORM_TRY, 0),
    PAIR_OP("Tw", "buffered write, timed", TWOSTATE_BUFFERED_WRITE, FORM_SHORT, 0),
    PAIR_OP("ws", "buffered write, held until durable", TWOSTATE_BUFFERED_WRITE, FORM_WAIT,
            THEN_SUBMIT),
    PAIR_OP("D", "direct IO, submitted", TWOSTATE_DIRECT, FORM_WAIT, THEN_SUBMIT),
    PAIR_OP("tD", "try direct IO", TWOSTATE_DIRECT, FORM_TRY, THEN_SUBMIT),
    PAIR_OP("TD", "direct IO, timed", TWOSTATE_DIRECT, FORM_SHORT, THEN_SUBMIT),
    PAIR_OP("Du", "direct IO that turns out unaligned", TWOSTATE_DIRECT, FORM_WAIT, THEN_RETRY),
    PAIR_OP("e", "direct IO that extends", TWOSTATE_DIRECT_EXTEND, FORM_WAIT, THEN_EXTEND),
    PAIR_OP("te", "the same, tries to turn direct", TWOSTATE_DIRECT_EXTEND, FORM_WAIT,
            THEN_TRY_EXTEND),
    PAIR_OP("u", "unaligned direct IO", TWOSTATE_UNALIGNED, FORM_WAIT, 0),
    PAIR_OP("m", "remap", TWOSTATE_REMAP, FORM_WAIT, 0),
    PAIR_OP("Tm", "remap, timed", TWOSTATE_REMAP, FORM_SHORT, 0),
    PAIR_OP("x", "exclusive: truncate and its like", TWOSTATE_EXCLUSIVE_IO, FORM_WAIT, 0),
    PAIR_OP("tx", "try exclusive", TWOSTATE_EXCLUSIVE_IO, FORM_TRY, 0),
    PAIR_OP("Tx", "exclusive, timed", TWOSTATE_EXCLUSIVE_IO, FORM_SHORT, 0),
};

const unsigned ops_count = sizeof(ops) / sizeof(ops[0]);

void ops_run(unsigned number)
{
    stage(number);
    ops[number].run(&ops[number]);
    for (;;)
        say(REQ_END, 0, 0, 0);
}
