/* SPDX-License-Identifier: MIT */
/* How long the requests of a file have waited for its locks. Only those that waited come here. */
#ifndef TS_IO_WAITS_H
#define TS_IO_WAITS_H

#include <stdint.h>

#include <twostate/iopair.h>

#include "../aligned.h"

/* 4 buckets to each power of two, from 1024 ns on: a percentile is right to a quarter. */
#define WAIT_STEPS   4
#define WAIT_BUCKETS (31 * WAIT_STEPS)

/* By what the request wanted. */
enum wait_kind {
    WAIT_BUFFERED,
    WAIT_DIRECT,
    WAIT_EXCLUSIVE, /* the paths that take the IOLOCK alone */
    WAIT_KINDS,
};

/* Zeroed: none. All members are atomic. */
struct waits {
    aligned_u64 count;
    aligned_u64 total_ns;
    aligned_u64 max_ns;
    uint32_t buckets[WAIT_BUCKETS];
};

enum wait_kind wait_kind_(enum twostate_iopath path);

void waits_add_(struct waits *waits, int64_t ns);

/* The time that `part` (0 to 1) of them are not above; 0: there are none. */
uint64_t waits_percentile_(const struct waits *waits, double part);

#endif
