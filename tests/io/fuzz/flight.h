/* SPDX-License-Identifier: MIT */
/*
 * Flights: asynchronous requests of a script that were not waited for yet.
 *
 * Only such are in flight together whose order can't be told from their results: ranges that don't
 * overlap where one is written, and nothing that depends on where the file ends while another moves
 * the end. Appends are the exception: whatever the order is, the file must show one.
 */
#ifndef FUZZ_FLIGHT_H
#define FUZZ_FLIGHT_H

#include "memory.h"
#include "script.h"

#include <pthread.h>
#include <stdbool.h>

#define FLIGHTS_MOST 12

struct world;
struct flights;

struct flight {
    struct flights *flights;
    const struct op *op;
    struct memory memory;
    bool cancelled; /* twostate_cancel said so */
    bool done;
    int64_t result;
};

struct flights {
    struct flight *flights[FLIGHTS_MOST]; /* oldest first */
    unsigned count;
    pthread_mutex_t mutex; /* done and result */
    pthread_cond_t landed;
};

void flights_init(struct flights *flights);
void flights_destroy(struct flights *flights);

/* Those that the operation must not run beside have to be settled before. */
bool flights_conflict(const struct world *world, const struct op *op);

/* Starts a read, write or fsync. The world settles when there is no room. */
void flight_start(struct world *world, const struct op *op);

void flight_cancel(struct world *world, int64_t number);

/* Waits for all, and compares each with the models, which then have what was written. */
void flights_settle(struct world *world);

/* Those of the file have all ended, without anybody waiting: the file was closed. */
void flights_ended(struct world *world, int64_t file);

#endif
