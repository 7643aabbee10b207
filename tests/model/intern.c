/* SPDX-License-Identifier: MIT */
/* The hash table behind intern.h. */
#include "intern.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

static void *grown(void *memory, size_t size)
{
    void *larger = realloc(memory, size);

    if (larger == NULL) {
        fputs("model: out of memory\n", stderr);
        exit(2);
    }
    return larger;
}

void intern_init(struct intern *table)
{
    *table = (struct intern){.slots_mask = 1023, .offsets_room = 512, .room = 1 << 16};
    table->slots = grown(NULL, (table->slots_mask + 1) * sizeof(*table->slots));
    memset(table->slots, 0, (table->slots_mask + 1) * sizeof(*table->slots));
    table->offsets = grown(NULL, table->offsets_room * sizeof(*table->offsets));
    table->offsets[0] = 0;
    table->bytes = grown(NULL, table->room);
}

void intern_free(struct intern *table)
{
    free(table->slots);
    free(table->offsets);
    free(table->bytes);
    *table = (struct intern){0};
}

/* The hash is kept with the number: a look for what is not there touches the slots alone. */
static uint32_t hash_of(const void *bytes, size_t size)
{
    return (uint32_t)XXH3_64bits(bytes, size);
}

static void rehash(struct intern *table)
{
    uint64_t *old = table->slots;
    const uint32_t old_mask = table->slots_mask;
    const size_t slots = ((size_t)old_mask + 1) * 2;

    table->slots_mask = (uint32_t)(slots - 1);
    table->slots = grown(NULL, slots * sizeof(*table->slots));
    memset(table->slots, 0, slots * sizeof(*table->slots));
    for (size_t i = 0; i <= old_mask; i++) {
        uint32_t slot = (uint32_t)(old[i] >> 32) & table->slots_mask;

        if (old[i] == 0)
            continue;
        while (table->slots[slot])
            slot = (slot + 1) & table->slots_mask;
        table->slots[slot] = old[i];
    }
    free(old);
}

static uint32_t append(struct intern *table, const void *bytes, size_t size)
{
    while (table->used + size > table->room) {
        table->room += table->room / 2;
        table->bytes = grown(table->bytes, table->room);
    }
    if (table->count + 2 > table->offsets_room) {
        table->offsets_room += table->offsets_room / 2;
        table->offsets = grown(table->offsets, table->offsets_room * sizeof(*table->offsets));
    }
    memcpy(table->bytes + table->used, bytes, size);
    table->used += size;
    table->offsets[++table->count] = table->used;
    return table->count;
}

/* Where the string is, or where it would be. */
static uint32_t slot_with(const struct intern *table, const void *bytes, size_t size, uint32_t hash)
{
    uint32_t slot = hash & table->slots_mask;

    for (; table->slots[slot]; slot = (slot + 1) & table->slots_mask) {
        const uint32_t number = (uint32_t)table->slots[slot] - 1;
        size_t at = 0;

        if (table->slots[slot] >> 32 != hash)
            continue;
        at = table->offsets[number];
        if (table->offsets[number + 1] - at == size && memcmp(table->bytes + at, bytes, size) == 0)
            break;
    }
    return slot;
}

uint32_t intern_find(const struct intern *table, const void *bytes, size_t size)
{
    return (uint32_t)table->slots[slot_with(table, bytes, size, hash_of(bytes, size))] - 1;
}

uint32_t intern_put(struct intern *table, const void *bytes, size_t size, bool *fresh)
{
    const uint32_t hash = hash_of(bytes, size);
    const uint32_t slot = slot_with(table, bytes, size, hash);

    *fresh = table->slots[slot] == 0;
    if (!*fresh)
        return (uint32_t)table->slots[slot] - 1;
    table->slots[slot] = (uint64_t)hash << 32 | append(table, bytes, size);
    if (table->count > table->slots_mask / 4 * 3)
        rehash(table);
    return table->count - 1;
}

const void *intern_get(const struct intern *table, uint32_t number, size_t *size)
{
    *size = table->offsets[number + 1] - table->offsets[number];
    return table->bytes + table->offsets[number];
}

size_t intern_memory(const struct intern *table)
{
    return table->room + table->offsets_room * sizeof(*table->offsets) +
           ((size_t)table->slots_mask + 1) * sizeof(*table->slots);
}
