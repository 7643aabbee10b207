/* SPDX-License-Identifier: MIT */
/*
 * The lease: buffered requests without a shared cache line.
 *
 * While nobody wants another mode of a file, the engine itself holds the file's BUFFERED mode, on
 * behalf of all buffered requests: they only write their presence to a slot, a cache line that is
 * their thread's own. Whoever wants another path calls the lease in before he waits for the pair;
 * from then on newcomers go to the pair, and the last one of those who are in gives the engine's
 * hold back, by which the pair lets the next mode in, under its own rules.
 *
 * Where the locks are watched (validator, statistics) there is no lease: those who watch see every
 * request.
 */
#ifndef TS_IO_LEASE_H
#define TS_IO_LEASE_H

#include <stdbool.h>
#include <stdint.h>

#include <twostate/iopair.h>

struct lease_slots;

enum lease_state {
    LEASE_OFF,      /* nothing is held */
    LEASE_STARTING, /* one request is taking the holds */
    LEASE_ON,
    LEASE_ENDING, /* called in; the holds last until those who are in have left */
};

/* Zeroed: off, and nobody may offer. While it is on, its cache line is only read. */
struct lease {
    struct lease_slots *slots; /* where those who are in say so */
    struct twostate_iopair *pair;
    struct twostate_iolock *users; /* held shared while the lease is: the file stays open */
    struct twostate_hold hold;     /* while it is not off */
    uint32_t state;                /* enum lease_state; atomic */
    uint32_t others;               /* who wants, and does not have yet, another path; atomic */
    uint32_t quiet;                /* buffered requests through the pair since one did; atomic */
    uint32_t owing; /* ending: requests that are in, and the one who counts them; atomic */
};

void lease_init_(struct lease *lease, struct twostate_iopair *pair, struct twostate_iolock *users);

/*
 * True: the caller is in, as by a BUFFERED_WRITE hold and a hold of users, and owes lease_exit_ in
 * the same thread. False for more than 128 threads, or in a lease already.
 */
bool lease_enter_(struct lease *lease);
void lease_exit_(struct lease *lease);

/* How many requests are in, at some moment of the call. */
uint32_t lease_count_(const struct lease *lease);

/*
 * Before the caller tries or waits for a path that is not buffered, or to close the file; never
 * waits. After it has got that path, or given up: lease_allow_. Who lets go of a path to take
 * another one does the same; and a buffered writer that has to wait, for it may be a remap that
 * keeps him out, after which he takes the IOLOCK exclusive.
 */
void lease_call_in_(struct lease *lease);
void lease_allow_(struct lease *lease);

/* The caller holds a buffered path of the pair: takes the lease, if that seems worth while. */
void lease_offer_(struct lease *lease);

#endif
