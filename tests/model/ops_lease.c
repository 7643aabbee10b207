/* SPDX-License-Identifier: MIT */
/*
 * Operations of a file's lease: the library's own lease.c, and who uses it as transfer.c, file.c and
 * open.c do. Where those ask for a lease after so many quiet requests, these do each time.
 */
#include "seam_io.h"

#include "uses.h"

#include <string.h>

/* A thread's own variable is in its fiber: this makes a declaration of it that of a function. */
static uint32_t *own_number(void)
{
    return &sys_thread_()->number;
}
#define _Thread_local
#define number                              (*own_number())
#define pthread_mutex_lock(mutex)           io_lock_(mutex)
#define pthread_mutex_unlock(mutex)         io_unlock_(mutex)
#define pthread_setspecific(key, value)     0
#define syscall(call_number, command, a, b) io_syscall_(call_number, command)

/* So that the calls in it are these. NOLINTNEXTLINE(bugprone-suspicious-include) */
#include "io/lease.c"

#undef _Thread_local
#undef number

#define USERS  ((struct twostate_iolock *)(ARENA + 3 * sizeof(uint64_t)))
#define USED   4 /* slots */
#define POISON 0xa5

static struct {
    struct lease lease;
    uint32_t data;
    uint32_t unused;
} file;
static uint32_t freed;

const uint32_t *const lease_state_ = &file.lease.state;

__attribute__((constructor)) static void open_file(void)
{
    lease_init_(&file.lease, PAIR, USERS);
}

bool lease_unused_(const void *address)
{
    return (uintptr_t)address - (uintptr_t)&own.slots[USED] < sizeof(own.slots[0]) * (SLOTS - USED);
}

static bool marked(void)
{
    for (unsigned i = 0; i < USED; i++)
        if (own.slots[i].mark == name_of(&file.lease))
            return true;
    return false;
}

void lease_check_(const void *touched)
{
    const unsigned char *bytes = (const unsigned char *)&file;

    if (!freed && file.lease.state == LEASE_ENDING)
        return;
    if (!freed && file.lease.owing != 0)
        port_fail_("requests are owing to a lease that is not ending");
    if (marked())
        port_fail_("a mark is left of a lease that is over");
    if (freed && (uintptr_t)touched - (uintptr_t)&file < sizeof(file))
        port_fail_("the file is touched after it was freed");
    for (unsigned i = 0; freed && i < sizeof(file); i++)
        if (bytes[i] != POISON)
            port_fail_("the file is written to after it was freed");
}

/* What the operations do. */

static void inside(enum area area)
{
    say(REQ_ENTER, area, 1, 0);
    io_load32_(&file.data);
}

static void outside(void)
{
    say(REQ_ENTER, 0, 0, 0);
    call(CALL_OTHER, 0, 0, FORM_WAIT);
}

/* From here on it is neither in nor refused, for which the close waits. */
static bool enter(void)
{
    return twostate_iolock_try_acquire(USERS, TWOSTATE_SHARED);
}

static void leave_users(void)
{
    twostate_iolock_release(USERS, TWOSTATE_SHARED);
}

/* As file.c's. */
static void begin(enum twostate_iopath path, struct twostate_hold *hold)
{
    const bool buffered = path <= TWOSTATE_BUFFERED_WRITE;

    if (!buffered)
        lease_call_in_(&file.lease);
    if (!twostate_iopair_try_begin(PAIR, path, hold)) {
        lease_call_in_(&file.lease);
        twostate_iopair_begin(PAIR, path, hold);
        lease_allow_(&file.lease);
    }
    if (!buffered)
        lease_allow_(&file.lease);
}

static void retry_unaligned(struct twostate_hold *hold)
{
    lease_call_in_(&file.lease);
    twostate_iopair_retry_unaligned(hold);
    lease_allow_(&file.lease);
}

static void end_thread(void)
{
    const uint32_t number = *own_number();

    if (number != 0 && !(taken[0] >> (number - 1) & 1))
        port_fail_("a thread has a slot that is not its own");
    if (number != 0)
        give_number_back(NULL);
    io_end_();
}

static void request(enum twostate_iopath path)
{
    const enum area area = path == TWOSTATE_BUFFERED_READ ? AREA_READ : AREA_WRITE;
    struct twostate_hold hold;

    call(CALL_TRY, 0, 0, FORM_WAIT);
    if (lease_enter_(&file.lease)) {
        returned(0);
        inside(area);
        outside();
        lease_exit_(&file.lease);
        returned(0);
        return;
    }
    if (returned(enter() ? 0 : -ECANCELED) != 0)
        return;
    call(CALL_OTHER, 0, 0, FORM_WAIT);
    begin(path, &hold);
    returned(0);
    inside(area);
    outside();
    file.lease.quiet = PATIENT_REQUESTS;
    lease_offer_(&file.lease);
    twostate_iopair_end(&hold);
    leave_users();
    returned(0);
}

void run_lease_request(const struct op *op)
{
    request((enum twostate_iopath)op->state);
    end_thread();
}

/* The same thread again and again, as long as the file is open. */
void run_lease_requests(const struct op *op)
{
    do
        request((enum twostate_iopath)op->state);
    while (say(REQ_AWAIT, AWAIT_MORE, 0, 0));
    end_thread();
}

void run_lease_other(const struct op *op)
{
    const enum twostate_iopath path = (enum twostate_iopath)op->state;
    struct twostate_hold hold;

    call(CALL_TRY, 0, 0, FORM_WAIT);
    if (returned(enter() ? 0 : -ECANCELED) == 0) {
        call(CALL_OTHER, 0, 0, FORM_WAIT);
        begin(path, &hold);
        returned(0);
        inside((enum area)(AREA_READ + path));
        outside();
        if (op->then == THEN_RETRY) {
            retry_unaligned(&hold);
            returned(0);
            inside(AREA_UNALIGNED);
            outside();
        }
        twostate_iopair_end(&hold);
        leave_users();
        returned(0);
    }
    end_thread();
}

/* Wants another path, and gives up. */
void run_lease_give_up(const struct op *op)
{
    (void)op;
    call(CALL_TRY, 0, 0, FORM_WAIT);
    if (returned(enter() ? 0 : -ECANCELED) == 0) {
        call(CALL_OTHER, 0, 0, FORM_WAIT);
        lease_call_in_(&file.lease);
        lease_allow_(&file.lease);
        leave_users();
        returned(0);
    }
    end_thread();
}

void run_lease_close(const struct op *op)
{
    (void)op;
    say(REQ_AWAIT, AWAIT_CLOSING, 0, 0);
    call(CALL_OTHER, 0, 0, FORM_WAIT);
    lease_call_in_(&file.lease);
    twostate_iolock_acquire(USERS, TWOSTATE_EXCLUSIVE);
    say(REQ_AWAIT, AWAIT_ENTERED, 0, 0);
    twostate_iolock_release(USERS, TWOSTATE_EXCLUSIVE);
    returned(0);
    end_thread();
    if (file.lease.state != LEASE_OFF)
        port_fail_("the file is freed, and its lease is not off");
    memset(&file, POISON, sizeof(file));
    freed = 1;
    say(REQ_FREE, 0, 0, 0);
}
