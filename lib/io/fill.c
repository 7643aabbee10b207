/* SPDX-License-Identifier: MIT */
/*
 * Reading a file's blocks into folios, past the kernel's cache.
 *
 * What lies behind the end of the file on disk is zero: a hole that a write beyond the end has left,
 * or the rest of the last block. (What was written there and is not on disk yet is valid, and not
 * read.) Nothing is read beyond that end: XFS may answer -EIO where it has allocated space ahead.
 */
#include "span.h"

#include <errno.h>
#include <string.h>
#include <sys/uio.h>

#define PIECES 64

/* Memory that is contiguous in the file. */
struct run {
    struct iovec pieces[PIECES];
    int count;
    int64_t offset;
    int64_t length;
};

static void zero_from(const struct run *run, int64_t done)
{
    for (int i = 0; i < run->count; i++) {
        const int64_t length = (int64_t)run->pieces[i].iov_len;

        if (done < length)
            memset((char *)run->pieces[i].iov_base + done, 0, (size_t)(length - done));
        done = done < length ? 0 : done - length;
    }
}

/* Bytes until the end of what there is to read, or an error. */
static int64_t read_pieces(const struct user_cache *cache, const struct run *run, int64_t length)
{
    struct cursor cursor;
    struct backend_op op = {.fd = cache->direct_fd, .offset = run->offset};
    const int result = cursor_init_(&cursor, run->pieces, run->count);
    int64_t moved = result;

    if (result)
        return result;
    cursor_show_(&cursor, (size_t)length);
    moved = backend_move_(&op, &cursor, FOLIO_BLOCK);
    cursor_destroy_(&cursor);
    return moved;
}

static int read_run(const struct user_cache *cache, const struct run *run)
{
    const int64_t size = user_disk_size_(cache);
    const int64_t end = user_round_up_(size);
    int64_t length = run->length;
    int64_t moved = 0;

    if (size < 0)
        return (int)size;
    if (length > end - run->offset)
        length = end > run->offset ? end - run->offset : 0;
    if (length > 0)
        moved = read_pieces(cache, run, length);
    if (moved < 0)
        return (int)moved;
    if (moved < length &&
        run->offset + moved < size) /* short, but not at the end: it failed there */
        return -EIO;
    zero_from(run, moved);
    return 0;
}

static bool add(struct run *run, int64_t offset, char *data)
{
    struct iovec *last = run->count ? &run->pieces[run->count - 1] : NULL;

    if (last && (char *)last->iov_base + last->iov_len == data) {
        last->iov_len += FOLIO_BLOCK;
    } else {
        if (run->count == PIECES)
            return false;
        if (run->count == 0)
            run->offset = offset;
        run->pieces[run->count++] = (struct iovec){.iov_base = data, .iov_len = FOLIO_BLOCK};
    }
    run->length += FOLIO_BLOCK;
    return true;
}

static void made_valid(struct span *span, const struct run *run)
{
    for (int64_t at = run->offset; at < run->offset + run->length; at += FOLIO_BLOCK) {
        const uint32_t within = span_within(span, at);

        span_folio(span, at)->valid |= folio_blocks(within, within + 1);
    }
}

static int finish_run(struct span *span, struct run *run)
{
    const int result = run->count ? read_run(span->cache, run) : 0;

    if (result == 0) {
        made_valid(span, run);
        if (run->count)
            __atomic_add_fetch(&span->cache->user->misses, (uint64_t)run->count, __ATOMIC_RELAXED);
    }
    *run = (struct run){.count = 0};
    return result;
}

int span_fill_(struct span *span, int64_t from, int64_t to, int64_t *end)
{
    struct run run = {.count = 0};
    int64_t at = from - from % FOLIO_BLOCK;
    int result = 0;

    *end = from;
    while (at < to && result == 0) {
        struct folio *folio = span_folio(span, at);
        const uint32_t within = span_within(span, at);
        const bool valid = (folio->valid & folio_blocks(within, within + 1)) != 0;

        if (valid || !add(&run, at, folio->data + within)) {
            result = finish_run(span, &run);
            if (result == 0 && !valid)
                continue;
        }
        if (result == 0)
            *end = run.count ? run.offset : at + FOLIO_BLOCK;
        at += FOLIO_BLOCK;
    }
    if (result == 0)
        result = finish_run(span, &run);
    if (result == 0)
        *end = to;
    if (*end < from)
        *end = from;
    return result;
}
