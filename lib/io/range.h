/* SPDX-License-Identifier: MIT */
/* Range locks: shared or exclusive over a range of a file, up to RANGE_MOST long. */
#ifndef TS_IO_RANGE_H
#define TS_IO_RANGE_H

#include <stdbool.h>
#include <stdint.h>

#include <twostate/iolock.h>

/* The longest range covers 17 stripes at most, so it never meets one of its own. */
#define RANGE_STRIPE INT64_C(131072)
#define RANGE_SLOTS  1024 /* so many that who has nothing to do with a range seldom meets it */
#define RANGE_MOST   (16 * RANGE_STRIPE) /* 2 MiB: what clients of block devices send at most */

struct range_locks {
    struct twostate_iolock slots[RANGE_SLOTS];
};

/* Of zeroed memory. */
void range_init_(struct range_locks *locks);

/* Locks every stripe of [offset, offset + length), length > 0. False if it would wait: nothing
 * held. */
bool range_lock_(struct range_locks *locks, int64_t offset, int64_t length,
                 enum twostate_iomode mode, bool nowait);
void range_unlock_(struct range_locks *locks, int64_t offset, int64_t length,
                   enum twostate_iomode mode);

#endif
