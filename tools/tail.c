/* SPDX-License-Identifier: MIT */
/* The tail. What a scan must find is fixed when it begins; what it may find is more. */
#include "tail.h"

#include <string.h>

void tail_init(struct tail *tail, int64_t base, uint32_t record)
{
    memset(tail, 0, sizeof(*tail));
    pthread_mutex_init(&tail->mutex, NULL);
    tail->base = base;
    tail->record = record;
}

void tail_destroy(struct tail *tail)
{
    pthread_mutex_destroy(&tail->mutex);
}

uint64_t tail_append_begin(struct tail *tail, uint32_t writer)
{
    pthread_mutex_lock(&tail->mutex);
    uint64_t sequence = ++tail->writers[writer].begun;

    pthread_mutex_unlock(&tail->mutex);
    return sequence;
}

void tail_append_end(struct tail *tail, uint32_t writer, bool ok, int64_t offset)
{
    pthread_mutex_lock(&tail->mutex);
    struct tail_writer *w = &tail->writers[writer];

    if (ok) {
        w->acked = w->begun;
        w->acked_offset = offset;
    } else {
        tail->failures++;
    }
    pthread_mutex_unlock(&tail->mutex);
}

void tail_truncate_begin(struct tail *tail)
{
    pthread_mutex_lock(&tail->mutex);
    tail->failures_seen = tail->failures;
    for (unsigned i = 0; i < TAIL_WRITERS; i++)
        tail->writers[i].gone = tail->writers[i].acked;
    pthread_mutex_unlock(&tail->mutex);
}

void tail_truncate_end(struct tail *tail, bool ok)
{
    pthread_mutex_lock(&tail->mutex);
    if (ok)
        tail->failures_cleared = tail->failures_seen;
    else
        tail->failures++;
    for (unsigned i = 0; i < TAIL_WRITERS; i++)
        tail->writers[i].optional = tail->writers[i].begun;
    pthread_mutex_unlock(&tail->mutex);
}

void tail_scan_begin(struct tail *tail, struct tail_scan *scan)
{
    memset(scan, 0, sizeof(*scan));
    pthread_mutex_lock(&tail->mutex);
    memcpy(scan->writers, tail->writers, sizeof(scan->writers));
    pthread_mutex_unlock(&tail->mutex);
}

void tail_scan_record(const struct tail *tail, struct tail_scan *scan, const void *bytes,
                      uint32_t length, int64_t offset)
{
    struct block_header header;

    if (length != tail->record || block_check(bytes, length, TAIL_SLOT, &header) != CONTENT_BLOCK ||
        header.writer >= TAIL_WRITERS) {
        scan->torn++;
        return;
    }
    const struct tail_writer *w = &scan->writers[header.writer];
    uint64_t *last = &scan->last[header.writer];
    uint64_t expected = *last + 1;

    if (*last == 0) /* the first may be any of the optional ones, or the one after them */
        expected = header.sequence <= w->optional ? header.sequence : w->optional + 1;
    if (header.sequence <= w->gone || header.sequence < expected) {
        scan->stale++;
        return;
    }
    scan->lost += header.sequence - expected;
    if (header.sequence == w->acked && w->acked_offset >= 0 && w->acked_offset != offset)
        scan->lost++;
    *last = header.sequence;
}

void tail_scan_end(struct tail *tail, struct tail_scan *scan)
{
    for (unsigned i = 0; i < TAIL_WRITERS; i++) {
        const struct tail_writer *w = &scan->writers[i];
        uint64_t found = scan->last[i] ? scan->last[i] : w->optional;

        if (w->acked > found)
            scan->lost += w->acked - found;
    }
    /* A torn record leaves a gap in its writer's, which is not a second finding. */
    scan->lost -= scan->lost < scan->torn ? scan->lost : scan->torn;

    pthread_mutex_lock(&tail->mutex);
    scan->in_doubt = tail->failures != tail->failures_cleared;
    pthread_mutex_unlock(&tail->mutex);
    if (scan->in_doubt)
        scan->torn = scan->stale = scan->lost = 0;
}
