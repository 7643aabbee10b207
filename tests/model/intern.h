/* SPDX-License-Identifier: MIT */
/* Byte strings by number: each different one is kept once, and keeps the number it got first. */
#ifndef MODEL_INTERN_H
#define MODEL_INTERN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct intern {
    unsigned char *bytes; /* each string behind the other, from offsets[number] */
    size_t used, room;
    size_t *offsets; /* count + 1 of them */
    uint32_t count, offsets_room;
    uint64_t *slots; /* open addressing; hash and number + 1, or 0 */
    uint32_t slots_mask;
};

void intern_init(struct intern *table);
void intern_free(struct intern *table);

/* The number of the string; *fresh: it had none before. */
uint32_t intern_put(struct intern *table, const void *bytes, size_t size, bool *fresh);

/* The number of a string that has one, or INTERN_NONE. */
#define INTERN_NONE UINT32_MAX
uint32_t intern_find(const struct intern *table, const void *bytes, size_t size);

/* Valid until the next intern_put. */
const void *intern_get(const struct intern *table, uint32_t number, size_t *size);

/* Memory in use, for the limit. */
size_t intern_memory(const struct intern *table);

#endif
