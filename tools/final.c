/* SPDX-License-Identifier: MIT */
/*
 * The final check: what the file holds when all is over, as the page cache has it, and as the disk
 * has it. Here nothing is in flight, so whatever is wrong, a mixture included, is lost for good.
 */
#include "load.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WINDOW ((size_t)4 * BLOCK_SIZE_MAX)

/*
 * Reads through a window, aligned as O_DIRECT wants it, and no further than the end of file: a direct
 * read beyond it fails with EIO where XFS has set blocks aside that it has not allocated.
 */
struct reader {
    int fd;
    char *window;
    int64_t start, length;
    int64_t end; /* of file, rounded up */
};

static size_t window_at(const struct reader *reader)
{
    const int64_t there = reader->end - reader->start;

    return there < (int64_t)WINDOW ? (size_t)there : WINDOW;
}

/* The bytes at offset, fewer than asked at the end of file; NULL and -errno if they can't be read.
 */
static const char *reader_get(struct reader *reader, int64_t offset, uint32_t *length, int *error)
{
    if (offset < reader->start || offset + *length > reader->start + reader->length) {
        reader->start = offset / PAGE * PAGE;
        reader->length = reader->start < reader->end
                             ? pread(reader->fd, reader->window, window_at(reader), reader->start)
                             : 0;
        if (reader->length < 0) {
            *error = -errno;
            reader->length = 0;
            return NULL;
        }
    }
    int64_t there = reader->start + reader->length - offset;

    if (there < *length)
        *length = there > 0 ? (uint32_t)there : 0;
    return reader->window + (offset - reader->start);
}

static int check_zone(struct zone *zone, struct reader *reader, struct load_result *result)
{
    int error = 0;

    for (uint32_t slot = 0; slot < zone->slots; slot++) {
        struct order_slot *order = &zone->order[slot];
        uint32_t length = zone->length;
        enum content content = CONTENT_TORN;
        struct block_header header = {0};
        struct order_op op;

        order_read_begin(order, &op);
        const char *bytes = reader_get(reader, slot_offset(zone, slot), &length, &error);

        if (bytes == NULL) {
            order_read_cancel(order, &op);
            return error;
        }
        if (length == zone->length)
            content = block_check(bytes, length, slot_name(zone, slot), &header);
        if (order_read_end(order, &op, content, header.sequence) != VERDICT_OK)
            result->kinds[order_last_kind(order)].found[FOUND_LOST]++;
    }
    return 0;
}

static int check_tail(struct tail *tail, struct reader *reader, struct load_result *result)
{
    struct tail_scan scan;
    int64_t end = lseek(reader->fd, 0, SEEK_END);
    int error = end < 0 ? -errno : 0;

    tail_scan_begin(tail, &scan);
    for (int64_t at = tail->base; at < end; at += tail->record) {
        uint32_t length = tail->record;
        const char *bytes = reader_get(reader, at, &length, &error);

        if (bytes == NULL)
            return error;
        tail_scan_record(tail, &scan, bytes, length, at);
    }
    tail_scan_end(tail, &scan);
    result->kinds[KIND_APPEND].found[FOUND_STALE] += scan.stale;
    result->kinds[KIND_APPEND].found[FOUND_LOST] += scan.lost + scan.torn;
    return error;
}

static int check_all(struct load *load, int fd, struct load_result *result)
{
    struct layout *layout = &load->layout;
    struct reader reader = {.fd = fd, .window = aligned_zalloc(WINDOW)};
    const int64_t end = lseek(fd, 0, SEEK_END);
    int error = end < 0 ? -errno : 0;

    reader.end = (end + PAGE - 1) / PAGE * PAGE;
    for (unsigned i = 0; i < layout->aligned_zones + layout->has_unaligned && error == 0; i++)
        error = check_zone(&layout->zones[i], &reader, result);
    if (error == 0)
        error = check_tail(&layout->tail, &reader, result);
    free(reader.window);
    return error;
}

int load_final_check(struct load *load, const char *path, struct load_result *result)
{
    struct load_result *in_cache = zalloc(2, sizeof(*in_cache)), *on_disk = in_cache + 1;
    int cached = open(path, O_RDONLY | O_CLOEXEC);
    int direct = open(path, O_RDONLY | O_CLOEXEC | O_DIRECT);
    int error = cached < 0 ? -errno : 0;

    if (error == 0)
        error = check_all(load, cached, in_cache);
    if (error == 0) {
        if (fsync(cached))
            result->fsync_eio += errno == EIO;
        posix_fadvise(cached, 0, 0, POSIX_FADV_DONTNEED);
        error = check_all(load, direct >= 0 ? direct : cached, on_disk);
    }
    /* What the cache and the disk have both lost is one loss. */
    for (unsigned i = 0; i < KIND_COUNT; i++) {
        for (unsigned f = 0; f < FOUND_COUNT; f++) {
            uint64_t a = in_cache->kinds[i].found[f], b = on_disk->kinds[i].found[f];

            result->kinds[i].found[f] += a > b ? a : b;
        }
    }
    if (cached >= 0)
        close(cached);
    if (direct >= 0)
        close(direct);
    free(in_cache);
    return error;
}
