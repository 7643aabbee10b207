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

static uint32_t slot_of(const struct intern *table, const void *bytes, size_t size)
{
    return (uint32_t)XXH3_64bits(bytes, size) & table->slots_mask;
}

static void rehash(struct intern *table)
{
    const size_t slots = ((size_t)table->slots_mask + 1) * 2;

    table->slots = grown(table->slots, slots * sizeof(*table->slots));
    memset(table->slots, 0, slots * sizeof(*table->slots));
    table->slots_mask = (uint32_t)(slots - 1);
    for (uint32_t i = 0; i < table->count; i++) {
        size_t size = 0;
        const void *bytes = intern_get(table, i, &size);
        uint32_t slot = slot_of(table, bytes, size);

        while (table->slots[slot])
            slot = (slot + 1) & table->slots_mask;
        table->slots[slot] = i + 1;
    }
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

uint32_t intern_put(struct intern *table, const void *bytes, size_t size, bool *fresh)
{
    uint32_t slot = slot_of(table, bytes, size);

    *fresh = false;
    for (; table->slots[slot]; slot = (slot + 1) & table->slots_mask) {
        const uint32_t number = table->slots[slot] - 1;
        const size_t at = table->offsets[number];

        if (table->offsets[number + 1] - at == size && memcmp(table->bytes + at, bytes, size) == 0)
            return number;
    }
    *fresh = true;
    table->slots[slot] = append(table, bytes, size);
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
