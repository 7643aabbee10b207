/* SPDX-License-Identifier: MIT */
/*
 * The tail: records of one size, appended behind everything else, cut back now and then.
 *
 * Each appender has one append in flight, so its records stand in the file in its order. A record
 * that was acknowledged before a truncate began must be gone after it, one that was begun after the
 * truncate ended must be there, and of those between, any number of the last may be there. A scan
 * of the tail, which may go on beside appends but not beside a truncate, checks that.
 *
 * After an append failed, records may be cut short or missing: the tail is in doubt until a
 * truncate that began later has succeeded, and scans find nothing.
 */
#ifndef TOOL_TAIL_H
#define TOOL_TAIL_H

#include "block.h"

#include <pthread.h>

#define TAIL_WRITERS 64
#define TAIL_SLOT    UINT64_MAX /* the slot that the records' headers name */

struct tail_writer {
    uint64_t begun, acked; /* its newest record */
    int64_t acked_offset;  /* where that is, or -1 */
    uint64_t gone;         /* up to here acknowledged when the last truncate began */
    uint64_t optional;     /* up to here begun when it ended */
};

struct tail {
    pthread_mutex_t mutex;
    int64_t base;
    uint32_t record;
    uint64_t failures, failures_seen, failures_cleared;
    struct tail_writer writers[TAIL_WRITERS];
};

void tail_init(struct tail *tail, int64_t base, uint32_t record);
void tail_destroy(struct tail *tail);

/* The sequence of the record to append, by writer. */
uint64_t tail_append_begin(struct tail *tail, uint32_t writer);
/* offset: where it was told to be, or -1 if that is not known. */
void tail_append_end(struct tail *tail, uint32_t writer, bool ok, int64_t offset);

/* One truncate at a time. */
void tail_truncate_begin(struct tail *tail);
void tail_truncate_end(struct tail *tail, bool ok);

struct tail_scan {
    struct tail_writer writers[TAIL_WRITERS]; /* as they were when the scan began */
    uint64_t last[TAIL_WRITERS];              /* the newest record found; 0: none */
    bool in_doubt;
    uint64_t torn, stale, lost;
};

/* Begin before the size is sampled; a record for each one below the size; then end. */
void tail_scan_begin(struct tail *tail, struct tail_scan *scan);
/* bytes are those at offset; length is short where the file ends within a record. */
void tail_scan_record(const struct tail *tail, struct tail_scan *scan, const void *bytes,
                      uint32_t length, int64_t offset);
void tail_scan_end(struct tail *tail, struct tail_scan *scan);

#endif
