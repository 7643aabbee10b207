/* SPDX-License-Identifier: MIT */
/*
 * Operations that leave a waiter without a thread. The waiters, and a pair's holds with them, lie in
 * shared memory: other threads get at them.
 */
#include "uses.h"

static struct slot {
    struct twostate_waiter waiter;
    struct twostate_hold hold;
    uint32_t used;
    uint32_t told; /* by the callback */
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
        use_release(op->state, 1);
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
void run_async(const struct op *op)
{
    struct slot *slot = new_slot();
    int result = 0;

    slot->waiter.done = granted;
    slot->waiter.context = slot;
    result = leave_waiter(slot, op);
    if (result == 0) {
        free_slot(slot);
        if (op->state != NOTHING)
            use_release(op->state, 1);
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
void run_waiter_wait(const struct op *op)
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
        use_release(op->state, 1);
}

void run_iolock_async(const struct op *op)
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
    use_iolock_release(mode);
}

void run_pair_async(const struct op *op)
{
    struct slot *slot = new_slot();
    const enum twostate_iopath path = (enum twostate_iopath)op->state;
    int result = 0;

    slot->waiter.done = granted;
    slot->waiter.context = slot;
    call(CALL_OTHER, 0, 0, FORM_ASYNC);
    result = returned(twostate_iopair_begin_async(PAIR, path, &slot->hold, &slot->waiter));
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
    }
    say(REQ_ENTER, (unsigned)AREA_READ + path, 1, 0);
    say(REQ_ENTER, 0, 0, 0);
    call(CALL_OTHER, 0, 0, FORM_WAIT);
    twostate_iopair_end(&slot->hold);
    returned(0);
    free_slot(slot);
}
