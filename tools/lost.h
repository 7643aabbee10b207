/* SPDX-License-Identifier: MIT */
/*
 * Lost on disk: direct writes, many in flight, beside small buffered writes to other bytes of the
 * same file-system blocks. The two never touch the same byte, and all are acknowledged; yet without
 * a lock the cache keeps a block as it was before the direct write, and writes it back over it.
 */
#ifndef TOOL_LOST_H
#define TOOL_LOST_H

#include "driver.h"

struct lost_result {
    uint64_t rounds;
    uint64_t direct_writes, direct_lost;     /* acknowledged; of these, not on disk as written */
    uint64_t buffered_writes, buffered_lost; /* the losses in cells of 64 bytes */
    uint64_t fsync_eio, errors;
};

/* Makes the file: as large as the rounds need, and all of it written. 0 or -errno; -EINTR after a
 * signal. */
int lost_prepare(const char *path);

/* One round under one lock, added to *result. Rounds of equal number are alike. 0 or -errno. */
int lost_round(const char *path, const struct driver *driver, const struct driver_options *options,
               unsigned round, uint64_t seed, struct lost_result *result);

#endif
