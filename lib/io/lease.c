/* SPDX-License-Identifier: MIT */
/*
 * The lease. A request that enters or leaves writes to a cache line of its own, and executes neither
 * an atomic read-modify-write nor a fence: whoever ends the lease does that for all of them, by
 * membarrier(2), after which each thread's writes before are seen, and each thread's reads after see
 * what was written before. Three races matter, and each is settled by both sides writing first and
 * looking then:
 *
 *   a request enters:  writes its slot, reads state     | ending:  writes state, barrier, reads slots
 *   a request leaves:  empties its slot, reads its mark | ending:  writes marks, barrier, reads slots
 *   the lease starts:  writes state, reads others       | call in: writes others, reads state
 *
 * So a request either sees that it is too late, or is seen; and so a lease that starts too late is
 * called in by the one who started it.
 *
 * A request must not touch the lease once its slot is empty: the lease may end then, the file be
 * closed, and its memory be freed. So the one who ends the lease marks the slots of those who are
 * in, and counts them; who finds his mark takes it away, and then he is counted, so that the lease,
 * which keeps the file open, lasts until he has counted himself out. Marks of those who left without
 * finding them are taken back: of the two, who takes the mark away has it.
 */
#include "lease.h"

#include "../aligned.h"

#include <errno.h>
#include <linux/membarrier.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SLOTS            128
#define LINE             64
#define PATIENT_REQUESTS 64 /* that long nobody else wanted anything: a lease pays */

struct slot {
    aligned_u64 lease; /* that the thread is in, its address; only the thread writes it; atomic */
    aligned_u64 mark;  /* that the thread is to count itself out of; atomic */
    char rest[LINE - 2 * sizeof(uint64_t)];
};

/*
 * A thread has one slot, in all engines, as long as it lives. The slots are nobody's to free: a
 * request looks at its own once more when the file, and the engine, may be gone already. If there
 * are two copies of this code in the process, each has its threads' numbers for its own slots: a
 * file that the other copy has opened has no lease here (pitfall L19).
 */
struct lease_slots {
    struct slot slots[SLOTS];
    pthread_mutex_t ending; /* one at a time marks */
};

static struct lease_slots own
    __attribute__((aligned(LINE))) = {.ending = PTHREAD_MUTEX_INITIALIZER};
static aligned_u64 taken[SLOTS / 64]; /* atomic */
static pthread_key_t end_of_thread;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static bool prepared;
static bool usable;                   /* the kernel has the barrier */
static _Thread_local uint32_t number; /* from 1 on; 0: none yet, or none left */

static int membarrier(int command)
{
    const int saved = errno;
    const int result = (int)syscall(SYS_membarrier, command, 0, 0);

    errno = saved;
    return result;
}

/* Of all threads. It was there when the first engine was made; a sandbox may have forbidden it since. */
static void barrier(void)
{
    if (membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED) != 0) {
        (void)fputs("twostate-io: membarrier(2) has ceased to work\n", stderr);
        abort();
    }
}

static void give_number_back(void *unused)
{
    const uint32_t n = number - 1;

    (void)unused;
    number = 0;
    __atomic_and_fetch(&taken[n / 64], ~(UINT64_C(1) << n % 64), __ATOMIC_RELEASE);
}

static void prepare(void)
{
    prepared = pthread_key_create(&end_of_thread, give_number_back) == 0;
    usable = prepared && membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED) == 0;
}

/* The code goes, with the program or before it: no thread calls it any more when it ends. */
__attribute__((destructor)) static void forget_threads(void)
{
    if (prepared)
        pthread_key_delete(end_of_thread);
}

/* More than so many threads: the others go to the pair. */
static bool take_number(void)
{
    for (uint32_t i = 0; i < SLOTS / 64; i++) {
        uint64_t seen = __atomic_load_n(&taken[i], __ATOMIC_RELAXED);

        while (~seen) {
            const uint32_t bit = (uint32_t)__builtin_ctzll(~seen);

            if (!__atomic_compare_exchange_n(&taken[i], &seen, seen | UINT64_C(1) << bit, false,
                                             __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
                continue;
            number = i * 64 + bit + 1;
            if (pthread_setspecific(end_of_thread, &taken) == 0)
                return true;
            give_number_back(NULL);
            return false;
        }
    }
    return false;
}

void lease_init_(struct lease *lease, struct twostate_iopair *pair, struct twostate_iolock *users)
{
    pthread_once(&once, prepare);
    *lease = (struct lease){.slots = &own, .pair = pair, .users = users};
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

static struct slot *own_slot(void)
{
    return &own.slots[number - 1];
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

static bool is_in(const struct slot *slot, const struct lease *lease)
{
    return __atomic_load_n(&slot->lease, __ATOMIC_ACQUIRE) == name_of(lease);
}

uint32_t lease_count_(const struct lease *lease)
{
    uint32_t count = 0;

    for (const struct slot *slot = own.slots; slot < own.slots + SLOTS; slot++)
        count += is_in(slot, lease);
    return count;
}

/* Whoever takes the mark away has it. */
static bool take_mark(struct slot *slot, const struct lease *lease)
{
    uint64_t mark = name_of(lease);

    return __atomic_compare_exchange_n(&slot->mark, &mark, 0, false, __ATOMIC_ACQ_REL,
                                       __ATOMIC_RELAXED);
}

/* The caller has made the state ENDING: it counts those who are in. */
static void end(struct lease *lease)
{
    struct lease_slots *slots = lease->slots;
    bool any = false;

    __atomic_store_n(&lease->owing, 1, __ATOMIC_RELAXED);
    pthread_mutex_lock(&slots->ending);
    barrier();
    for (struct slot *slot = slots->slots; slot < slots->slots + SLOTS; slot++)
        if (is_in(slot, lease)) {
            __atomic_add_fetch(&lease->owing, 1, __ATOMIC_RELAXED); /* before it can know */
            __atomic_store_n(&slot->mark, name_of(lease), __ATOMIC_RELEASE);
            any = true;
        }
    if (any)
        barrier();
    for (struct slot *slot = slots->slots; any && slot < slots->slots + SLOTS; slot++)
        if (!is_in(slot, lease) && take_mark(slot, lease))
            __atomic_sub_fetch(&lease->owing, 1, __ATOMIC_RELAXED);
    pthread_mutex_unlock(&slots->ending);
    settle(lease);
}

/* For the compiler. The processor's order is the affair of who ends the lease. */
static void in_order(void)
{
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
}

static void leave(struct lease *lease, struct slot *slot)
{
    __atomic_store_n(&slot->lease, 0, __ATOMIC_RELEASE);
    in_order();
    if (__atomic_load_n(&slot->mark, __ATOMIC_RELAXED) == name_of(lease) && take_mark(slot, lease))
        settle(lease);
}

bool lease_enter_(struct lease *lease)
{
    struct slot *slot = NULL;

    if (__atomic_load_n(&lease->state, __ATOMIC_RELAXED) != LEASE_ON || lease->slots != &own ||
        (number == 0 && !take_number()))
        return false;
    slot = own_slot();
    if (__atomic_load_n(&slot->lease, __ATOMIC_RELAXED) != 0)
        return false;
    __atomic_store_n(&slot->lease, name_of(lease), __ATOMIC_RELEASE);
    in_order();
    if (__atomic_load_n(&lease->state, __ATOMIC_ACQUIRE) == LEASE_ON)
        return true;
    leave(lease, slot);
    return false;
}

void lease_exit_(struct lease *lease)
{
    leave(lease, own_slot());
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
    if (!usable || watched(lease) || twostate_iopair_query(lease->pair).remapping ||
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
