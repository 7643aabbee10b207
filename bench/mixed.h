/* SPDX-License-Identifier: MIT */
/* What bench_lock mixed and direct measure, and how their parts hand it on. */
#ifndef BENCH_MIXED_H
#define BENCH_MIXED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <jansson.h>

#include "peers.h"

#define MIXED_MAX_THREADS 16

enum mixed_lock {
#define X(peer, shared, waits) MIXED_##peer,
    BENCH_PEERS(X)
#undef X
        MIXED_LOCKS,
};

extern const char *const mixed_names[MIXED_LOCKS];

#define MIXED_IN_FLIGHT_NS 100000

/* One point of a matrix. */
struct cell {
    unsigned threads;
    uint64_t hold_ns;
    bool asleep;       /* holders sleep for hold_ns, else they compute */
    bool in_flight;    /* those of B sleep for MIXED_IN_FLIGHT_NS, whatever those of A do */
    unsigned minority; /* percent of the operations that take state B */
};

/* What one lock did there. Times in microseconds, [0] of state A; 0 where a state had no turn. */
struct outcome {
    bool played;
    double mops;
    double p50[2];
    double p99[2];
    double max[2];
};

struct row {
    struct cell cell;
    struct outcome of[MIXED_LOCKS];
};

/* The matrix, and what can be said of all of it: each cell against the best peer, the goals. */
void mixed_table(const struct row *rows, size_t n);
json_t *mixed_json(const struct row *rows, size_t n);
bool mixed_draw(const char *path, const struct row *rows, size_t n);

#endif
