/* SPDX-License-Identifier: MIT */
/*
 * Slow: two threads of buffered IO on one file, 4 KiB at random places, as fast as they can and with
 * nothing checked; then beside two of direct IO: what each lock and cache makes of either load.
 */
#ifndef TOOL_SLOW_H
#define TOOL_SLOW_H

#include "driver.h"
#include "hist.h"

/* ALONE: buffered, with no direct IO beside it. */
enum slow_side { SLOW_BUFFERED, SLOW_DIRECT, SLOW_ALONE, SLOW_SIDES };

struct slow_result {
    double ops_per_s[SLOW_SIDES]; /* of the last round */
    struct hist wait[SLOW_SIDES]; /* of all rounds */
    uint64_t errors, fsync_eio;
};

/* Makes the file. 0 or -errno; -EINTR after a signal. */
int slow_prepare(const char *path);

/* One round under one lock, added to *result. 0 or -errno. */
int slow_round(const char *path, const struct driver *driver, const struct driver_options *options,
               double seconds, uint64_t seed, struct slow_result *result);

#endif
