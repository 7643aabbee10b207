/* SPDX-License-Identifier: MIT */
/* Layout: computed once from the options, then constant but for the order of each slot. */
#include "layout.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define UNALIGNED_LENGTH 3001
#define UNALIGNED_SHIFT  517
#define HOT_SLOTS        8
#define PAGE_RECORD      4096
#define ODD_RECORD       1500

static int64_t slots_of(int64_t bytes, uint32_t length)
{
    int64_t slots = bytes / length;

    return slots < 2 ? 2 : slots;
}

static unsigned zones_of(const struct layout_options *options)
{
    return options->block_size_count + (options->unaligned_pct > 0);
}

int64_t layout_slots(const struct layout_options *options)
{
    int64_t share = options->size / zones_of(options);
    int64_t slots = options->unaligned_pct > 0 ? slots_of(share, UNALIGNED_LENGTH) : 0;

    for (unsigned i = 0; i < options->block_size_count; i++)
        slots += slots_of(share, options->block_sizes[i]);
    return slots;
}

static int64_t zone_init(struct zone *zone, uint32_t number, int64_t base, uint32_t length,
                         int64_t bytes)
{
    zone->number = number;
    zone->base = base;
    zone->length = length;
    zone->slots = (uint32_t)slots_of(bytes, length);
    zone->order = zalloc(zone->slots, sizeof(*zone->order));
    for (uint32_t i = 0; i < zone->slots; i++)
        order_init(&zone->order[i], KIND_BUFFERED_WRITE);
    return slot_offset(zone, zone->slots);
}

static int64_t round_up(int64_t offset)
{
    return (offset + BLOCK_SIZE_MAX - 1) / BLOCK_SIZE_MAX * BLOCK_SIZE_MAX;
}

void layout_init(struct layout *layout, const struct layout_options *options)
{
    unsigned zones = zones_of(options);
    int64_t share = options->size / zones, at = 0;

    memset(layout, 0, sizeof(*layout));
    layout->aligned_zones = options->block_size_count;
    layout->has_unaligned = options->unaligned_pct > 0;
    layout->unaligned_pct = options->unaligned_pct;
    for (unsigned i = 0; i < options->block_size_count; i++) {
        uint32_t length = options->block_sizes[i];

        at = zone_init(&layout->zones[i], i, at, length, share);
        at = round_up(at + (int64_t)options->private_slots * length);
        layout->longest = length > layout->longest ? length : layout->longest;
    }
    if (layout->has_unaligned) {
        at = zone_init(&layout->zones[zones - 1], zones - 1, at + UNALIGNED_SHIFT, UNALIGNED_LENGTH,
                       share);
        layout->longest = layout->longest > UNALIGNED_LENGTH ? layout->longest : UNALIGNED_LENGTH;
    }
    layout->longest = (layout->longest + PAGE - 1) / PAGE * PAGE;
    tail_init(&layout->tail, round_up(at), layout->has_unaligned ? ODD_RECORD : PAGE_RECORD);
}

static unsigned zone_count(const struct layout *layout)
{
    return layout->aligned_zones + layout->has_unaligned;
}

void layout_destroy(struct layout *layout)
{
    for (unsigned i = 0; i < zone_count(layout); i++) {
        for (uint32_t j = 0; j < layout->zones[i].slots; j++)
            order_destroy(&layout->zones[i].order[j]);
        free(layout->zones[i].order);
    }
    tail_destroy(&layout->tail);
}

static int write_zone(const struct zone *zone, int fd, char *buffer)
{
    for (uint32_t slot = 0; slot < zone->slots; slot++) {
        if (load_interrupted)
            return -EINTR;
        block_fill(buffer, zone->length, slot_name(zone, slot), 0, 0);
        ssize_t n = pwrite(fd, buffer, zone->length, slot_offset(zone, slot));

        if (n != (ssize_t)zone->length)
            return n < 0 ? -errno : -ENOSPC;
    }
    return 0;
}

int layout_write(const struct layout *layout, const char *path)
{
    int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);

    if (fd < 0)
        return -errno;
    char *buffer = aligned_zalloc(layout->longest);
    int error = 0;

    for (unsigned i = 0; i < zone_count(layout) && error == 0; i++)
        error = write_zone(&layout->zones[i], fd, buffer);
    if (error == 0 && (ftruncate(fd, layout->tail.base) || fsync(fd)))
        error = -errno;
    free(buffer);
    close(fd);
    return error;
}

static bool whole_pages(const struct zone *zone)
{
    return zone->length % PAGE == 0;
}

bool layout_pick(struct layout *layout, uint64_t *random, bool pages, struct zone **zone,
                 uint32_t *slot)
{
    unsigned choice = random_below(random, layout->aligned_zones);

    if (pages) {
        for (unsigned i = 0; i < layout->aligned_zones && !whole_pages(&layout->zones[choice]); i++)
            choice = (choice + 1) % layout->aligned_zones;
        if (!whole_pages(&layout->zones[choice]))
            return false;
    } else if (random_below(random, 100) < layout->unaligned_pct) {
        choice = layout->aligned_zones;
    }
    *zone = &layout->zones[choice];
    uint32_t hot = (*zone)->slots < HOT_SLOTS ? (*zone)->slots : HOT_SLOTS;

    *slot = random_below(random, random_below(random, 2) ? hot : (*zone)->slots);
    return true;
}
