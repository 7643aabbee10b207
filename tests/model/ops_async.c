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
    uint32_t state; /* that it waits for */
} slots[4];

static struct twostate_grants grants;
static uint32_t readable; /* its descriptor */

/* In place of the kernel's, for grants.c: it says that it counts 0 or 1. */
int seam_eventfd_write_(int fd, uint64_t value);
int seam_eventfd_read_(int fd, uint64_t *value);

int seam_eventfd_write_(int fd, uint64_t value)
{
    (void)fd;
    if (sys_flag_exchange_(&readable, 1) || value != 1)
        port_fail_("an eventfd is made readable that is");
    return 0;
}

int seam_eventfd_read_(int fd, uint64_t *value)
{
    (void)fd;
    *value = 1;
    if (!sys_flag_exchange_(&readable, 0))
        port_fail_("an eventfd is read that is not readable");
    return 0;
}

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

static int switch_async(struct slot *slot, const struct op *op, unsigned to)
{
    const enum twostate_state state = (enum twostate_state)to;

    call(CALL_SWITCH, to, 1, FORM_ASYNC);
    return returned(op->state == FREEZE ? twostate_lock_thaw_to_async(LOCK, state, &slot->waiter)
                                        : twostate_lock_switch_async(LOCK, state, &slot->waiter));
}

/* Acquires, and leaves a waiter that switches, or thaws to, the other state; cancels it perhaps. */
void run_async_switch(const struct op *op)
{
    const unsigned other = op->state == TWOSTATE_A ? TWOSTATE_B : TWOSTATE_A;
    struct slot *slot = NULL;
    unsigned state = op->state;
    int result = 0;

    call(CALL_ACQUIRE, state, 1, FORM_WAIT);
    if (state == FREEZE)
        twostate_lock_freeze(LOCK);
    else
        twostate_lock_acquire(LOCK, (enum twostate_state)state);
    returned(0);
    say(REQ_AWAIT, AWAIT_MOMENT, 0, 0);
    slot = new_slot();
    slot->waiter.done = granted;
    slot->waiter.context = slot;
    result = switch_async(slot, op, other);
    if (result == -EINPROGRESS) {
        result = 0;
        if (say(REQ_AWAIT, AWAIT_GRANT, 0, (uintptr_t)&slot->told) == 1) {
            call(CALL_OTHER, 0, 0, FORM_WAIT);
            result = twostate_waiter_cancel(&slot->waiter) ? -ECANCELED : 0;
            returned(0);
            if (result == 0)
                say(REQ_AWAIT, AWAIT_FLAG, 0, (uintptr_t)&slot->told);
        }
    }
    if (result == 0)
        state = other;
    free_slot(slot);
    use_release(state, 1);
}

/* What came out of the queue: whoever takes it uses it. */
static void take_grant(void)
{
    struct twostate_waiter *waiter = NULL;
    struct slot *slot = NULL;

    call(CALL_OTHER, 0, 0, FORM_WAIT);
    waiter = twostate_grants_next(&grants);
    returned(0);
    if (waiter == NULL) /* another thread was faster */
        return;
    slot = (struct slot *)(void *)((char *)waiter - offsetof(struct slot, waiter));
    if (slot->told || !slot->used || slot->cancelled || twostate_waiter_result(waiter) != 0)
        port_fail_("a waiter is in the queue that should not be");
    slot->told = 1;
    say(REQ_POOL, POOL_ADOPT, slot->state, 1);
    use_release(slot->state, 1);
}

/* An event loop in each thread, for one queue: any of them may take what comes; or a cancel. */
void run_grants(const struct op *op)
{
    struct slot *slot = new_slot();
    bool may_cancel = true;
    int result = 0;

    slot->waiter.done = twostate_grants_done;
    slot->waiter.context = &grants;
    slot->state = op->state;
    result = leave_waiter(slot, op);
    if (result == 0) {
        free_slot(slot);
        use_release(op->state, 1);
        return;
    }
    while (!slot->told && !slot->cancelled) {
        const struct request request = {.kind = REQ_AWAIT,
                                        .x = may_cancel ? AWAIT_GRANT : AWAIT_FLAG,
                                        .a = (uintptr_t)&readable,
                                        .b = (uintptr_t)&slot->told};

        if (port_ask_(&request) == 1) {
            may_cancel = false;
            call(CALL_OTHER, 0, 0, FORM_WAIT);
            slot->cancelled = twostate_waiter_cancel(&slot->waiter);
            returned(0);
        } else if (!slot->told) {
            take_grant();
        }
    }
    if (slot->cancelled)
        say(REQ_AWAIT, AWAIT_MOMENT, 0, 0);
    free_slot(slot);
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
