/* SPDX-License-Identifier: MIT */
/*
 * The model: what a file is, if nothing is clever. Bytes in plain memory and their number; all beyond
 * them is zero. The engine has to agree with it after every operation.
 */
#ifndef FUZZ_MODEL_H
#define FUZZ_MODEL_H

#include <stdbool.h>
#include <stdint.h>

struct model {
    char *bytes; /* `most` of them, zero from `size` on */
    int64_t size;
    int64_t most;
    int64_t block; /* the file system's: collapse and insert take whole ones */
};

void model_init(struct model *model, int64_t most, int64_t block);
void model_destroy(struct model *model);

/* How many bytes a read finds. */
int64_t model_readable(const struct model *model, int64_t offset, int64_t length);
/* What follows fits into `most`. */
void model_write(struct model *model, int64_t offset, const void *from, int64_t length);
void model_truncate(struct model *model, int64_t size);

/* What fallocate(2) answers, if the file system has the mode, and does; the range fits. */
int model_fallocate(struct model *model, int mode, int64_t offset, int64_t length);
/* Whether it would make the file larger than `most`. */
bool model_too_large(const struct model *model, int mode, int64_t offset, int64_t length);

/* What a remap answers and does. */
int64_t model_remap(const struct model *from, int64_t offset, struct model *to, int64_t at,
                    int64_t length);

/* The bytes of a range, which is below `most`, are zero. */
bool model_is_zero(const struct model *model, int64_t from, int64_t to);

#endif
