/* SPDX-License-Identifier: MIT */
/*
 * The lease. Two races matter, and each is settled by both sides writing first and looking then, in
 * one order for all (seq_cst):
 *
 *   a request enters:  writes its slot, reads state  | ending:  writes state, reads the slots
 *   the lease starts:  writes state, reads others    | call in: writes others, reads state
 *
 * So a request either sees that it is too late, or is seen; and so a lease that starts too late is
 * called in by the one who started it.
 *
 * A request must not touch the lease once its slot is empty: the lease may end then, the file be
 * closed, and its memory be freed. So the one who ends the lease does not leave the others to look
 * at it: he marks the slots of those who are in, and counts them. Who finds his slot as he wrote it
 * empties it and has nothing to do with the lease any more. Who finds it marked is counted, and the
 * lease, which keeps the file open, lasts until he has counted himself out.
 */
#include "lease.h"

#include <errno.h>
#include <stdlib.h>

#define SLOTS            128
#define LINE             64
#define MARK             UINT64_C(1)
#define PATIENT_REQUESTS 64 /* that long nobody else wanted anything: a lease pays */

struct lease_slots {
    struct {
        uint64_t lease; /* of the request that is in, its address, perhaps with MARK; atomic */
        char rest[LINE - sizeof(uint64_t)];
    } slots[SLOTS];
};

static uint32_t last_number;
static _Thread_local uint32_t number; /* of this thread, 0: none yet */

int lease_slots_create_(struct lease_slots **slots)
{
    void *memory = NULL;

    if (posix_memalign(&memory, LINE, sizeof(**slots)))
        return -ENOMEM;
    *slots = memory;
    **slots = (struct lease_slots){0};
    return 0;
}

void lease_slots_destroy_(struct lease_slots *slots)
{
    free(slots);
}

void lease_init_(struct lease *lease, struct lease_slots *slots, struct twostate_iopair *pair,
                 struct twostate_iolock *users)
{
    *lease = (struct lease){.slots = slots, .pair = pair, .users = users};
}

static uint32_t state_of(const struct lease *lease)
{
    return __atomic_load_n(&lease->state, __ATOMIC_SEQ_CST);
}

static bool change(struct lease *lease, uint32_t from, uint32_t to)
{
    return __atomic_compare_exchange_n(&lease->state, &from, to, false, __ATOMIC_SEQ_CST,
                                       __ATOMIC_SEQ_CST);
}

/* What a slot has while a request is in. */
static uint64_t name_of(const struct lease *lease)
{
    return (uint64_t)(uintptr_t)lease;
}

static void new_number(void)
{
    number = __atomic_add_fetch(&last_number, 1, __ATOMIC_RELAXED);
}

static uint64_t *own_slot(const struct lease *lease)
{
    if (number == 0)
        new_number();
    return &lease->slots->slots[number % SLOTS].lease;
}

/* One less that the end waits for. The last gives the holds back. */
static void settle(struct lease *lease)
{
    struct twostate_iolock *users = lease->users;

    if (__atomic_sub_fetch(&lease->owing, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    twostate_iopair_end(&lease->hold);
    __atomic_store_n(&lease->state, LEASE_OFF, __ATOMIC_SEQ_CST);
    twostate_iolock_release(users, TWOSTATE_SHARED); /* the file may be gone after this */
}

/* The caller has made the state ENDING: it counts those who are in. */
static void end(struct lease *lease)
{
    struct lease_slots *slots = lease->slots;

    __atomic_store_n(&lease->owing, 1, __ATOMIC_RELAXED);
    for (unsigned i = 0; i < SLOTS; i++) {
        uint64_t *slot = &slots->slots[i].lease;
        uint64_t in = name_of(lease);

        if (__atomic_load_n(slot, __ATOMIC_SEQ_CST) != in)
            continue;
        /* Counted before it can know. It may be gone by now, and someone else be in. */
        __atomic_add_fetch(&lease->owing, 1, __ATOMIC_RELAXED);
        if (!__atomic_compare_exchange_n(slot, &in, in | MARK, false, __ATOMIC_SEQ_CST,
                                         __ATOMIC_SEQ_CST))
            __atomic_sub_fetch(&lease->owing, 1, __ATOMIC_RELAXED);
    }
    settle(lease);
}

static void leave(struct lease *lease, uint64_t *slot)
{
    uint64_t in = name_of(lease);

    if (__atomic_compare_exchange_n(slot, &in, 0, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
        return;
    __atomic_store_n(slot, 0, __ATOMIC_RELEASE);
    settle(lease);
}

bool lease_enter_(struct lease *lease)
{
    uint64_t *slot = NULL;
    uint64_t none = 0;

    if (__atomic_load_n(&lease->state, __ATOMIC_RELAXED) != LEASE_ON)
        return false;
    slot = own_slot(lease);
    if (!__atomic_compare_exchange_n(slot, &none, name_of(lease), false, __ATOMIC_SEQ_CST,
                                     __ATOMIC_RELAXED)) {
        new_number(); /* threads that live long and share a slot part */
        return false;
    }
    if (state_of(lease) == LEASE_ON)
        return true;
    leave(lease, slot);
    return false;
}

void lease_exit_(struct lease *lease)
{
    leave(lease, own_slot(lease));
}

static void end_if_on(struct lease *lease)
{
    if (state_of(lease) == LEASE_ON && change(lease, LEASE_ON, LEASE_ENDING))
        end(lease);
}

void lease_call_in_(struct lease *lease)
{
    __atomic_add_fetch(&lease->others, 1, __ATOMIC_SEQ_CST);
    __atomic_store_n(&lease->quiet, 0, __ATOMIC_RELAXED);
    end_if_on(lease);
}

void lease_allow_(struct lease *lease)
{
    __atomic_sub_fetch(&lease->others, 1, __ATOMIC_SEQ_CST);
}

/* A lock that was first used while nobody watched has its fast paths open, now and ever. */
static bool watched(const struct lease *lease)
{
    const uint64_t all = __atomic_load_n(&lease->users->lock_.word_, __ATOMIC_RELAXED) &
                         __atomic_load_n(&lease->pair->iolock_.lock_.word_, __ATOMIC_RELAXED) &
                         __atomic_load_n(&lease->pair->iotype_.word_, __ATOMIC_RELAXED);

    return (all & TWOSTATE_FAST_) == 0;
}

/*
 * The caller's own hold keeps the IOLOCK shared or exclusive: no remap can begin, and if one is under
 * way, it goes on, and shuts buffered writers out, which a lease would let in.
 */
static bool take_holds(struct lease *lease)
{
    if (watched(lease) || twostate_iopair_query(lease->pair).remapping ||
        !twostate_iolock_try_acquire(lease->users, TWOSTATE_SHARED))
        return false;
    if (twostate_iopair_try_begin(lease->pair, TWOSTATE_BUFFERED_READ, &lease->hold))
        return true;
    twostate_iolock_release(lease->users, TWOSTATE_SHARED);
    return false;
}

static void start(struct lease *lease)
{
    if (!change(lease, LEASE_OFF, LEASE_STARTING))
        return;
    if (!take_holds(lease)) {
        __atomic_store_n(&lease->quiet, 0, __ATOMIC_RELAXED); /* no hurry to try again */
        __atomic_store_n(&lease->state, LEASE_OFF, __ATOMIC_SEQ_CST);
        return;
    }
    __atomic_store_n(&lease->state, LEASE_ON, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&lease->others, __ATOMIC_SEQ_CST) > 0)
        end_if_on(lease);
}

void lease_offer_(struct lease *lease)
{
    const uint32_t quiet = __atomic_load_n(&lease->quiet, __ATOMIC_RELAXED);

    if (quiet < PATIENT_REQUESTS) /* some of those who count at once may be lost */
        __atomic_store_n(&lease->quiet, quiet + 1, __ATOMIC_RELAXED);
    else if (__atomic_load_n(&lease->others, __ATOMIC_RELAXED) == 0 && state_of(lease) == LEASE_OFF)
        start(lease);
}
