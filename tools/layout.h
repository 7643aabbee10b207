/* SPDX-License-Identifier: MIT */
/*
 * Layout: where the blocks lie in the file.
 *
 *     | zone | its private slots | zone | its private slots | ... | unaligned zone | tail ...
 *
 * A zone is an array of slots of one block size. The private slots behind it are where the remap
 * threads put their copies. The slots of the unaligned zone have odd lengths and offsets and no gap
 * between them, so that neighbours share file-system blocks, but no byte. The tail grows.
 */
#ifndef TOOL_LAYOUT_H
#define TOOL_LAYOUT_H

#include "order.h"
#include "tail.h"

#define BLOCK_SIZES_MAX 8
#define BLOCK_SIZE_MAX  1048576 /* larger reads and writes are not promised to be atomic */
#define PAGE            4096
#define SLOTS_MAX       (INT64_C(16) << 20) /* the order of each takes memory */

struct layout_options {
    uint32_t block_sizes[BLOCK_SIZES_MAX];
    unsigned block_size_count;
    int64_t size;           /* of the file without its tail */
    unsigned unaligned_pct; /* of the reads and writes; 0: no unaligned zone */
    unsigned private_slots;
};

struct zone {
    int64_t base;
    uint32_t length; /* of a slot */
    uint32_t number;
    uint32_t slots;
    struct order_slot *order;
};

struct layout {
    struct zone zones[BLOCK_SIZES_MAX + 1];
    unsigned aligned_zones; /* the unaligned one, if any, comes after these */
    bool has_unaligned;
    unsigned unaligned_pct;
    uint32_t longest; /* slot, in whole pages */
    struct tail tail;
};

/* How many slots a layout of these options has. */
int64_t layout_slots(const struct layout_options *options);

/* Of at most SLOTS_MAX slots. */
void layout_init(struct layout *layout, const struct layout_options *options);
void layout_destroy(struct layout *layout);

/* Empties the file and writes the first block of every slot. 0 or -errno; -EINTR after a signal. */
int layout_write(const struct layout *layout, const char *path);

static inline int64_t slot_offset(const struct zone *zone, uint32_t slot)
{
    return zone->base + (int64_t)slot * zone->length;
}

/* What the header of the slot's blocks names. */
static inline uint64_t slot_name(const struct zone *zone, uint32_t slot)
{
    return (uint64_t)zone->number << 32 | slot;
}

/*
 * Picks a slot at random. Half of the picks go to the first few of a zone, so that requests meet.
 * pages: a slot of whole pages; false if there is none.
 */
bool layout_pick(struct layout *layout, uint64_t *random, bool pages, struct zone **zone,
                 uint32_t *slot);

#endif
