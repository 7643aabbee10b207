/* SPDX-License-Identifier: MIT */
/*
 * What a file may hold after requests that worked, failed, or did a part.
 *
 * Each write has a number, and what it writes differs at each offset from what every other one
 * writes. For each cell, a byte or some, the model keeps the set of writes that it may show. One that
 * worked is alone in it; one that failed joins it; a read, or a look at the disk, leaves what it saw.
 */
#ifndef TESTS_FAULTS_MODEL_H
#define TESTS_FAULTS_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MODEL_WRITES 32 /* numbers: 0 is zeroes, never written */

struct model {
    size_t unit; /* bytes in a cell; every write is made of whole cells */
    size_t cells;
    uint32_t *may;   /* for each cell: a bit for each write that it may show now, */
    uint32_t *older; /* and what it may show if all that was not synced is lost */
    int64_t size;
    int64_t least; /* if all that was not synced is lost */
    int64_t most;
};

void model_init(struct model *model, size_t bytes, size_t unit);
void model_destroy(struct model *model);
/* An empty file. */
void model_reset(struct model *model);

/* What write number `number` writes at offset. */
void model_fill(char *data, size_t length, int64_t offset, unsigned number);

/* [offset, offset + length) is now that of the write; maybe: it may be. Beyond the size too. */
void model_write(struct model *model, int64_t offset, size_t length, unsigned number, bool maybe);
/* The size is that. What is cut off will be zeroes. */
void model_resize(struct model *model, int64_t size);

/*
 * Whether the data read at offset is allowed; then the model knows which it was. -1: yes; otherwise
 * the first offset that is wrong.
 */
int64_t model_see(struct model *model, const char *data, size_t length, int64_t offset);

/* A range, or all and the size, is on disk. */
void model_synced(struct model *model);
void model_synced_range(struct model *model, int64_t offset, size_t length);
/* All that was not synced may be lost, by now. The size will be told. */
void model_lose(struct model *model);

#endif
