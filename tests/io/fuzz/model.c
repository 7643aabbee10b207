/* SPDX-License-Identifier: MIT */
/* The model: as plain as can be, for it has to be right. */
#include "model.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdlib.h>
#include <string.h>

void model_init(struct model *model, int64_t most, int64_t block)
{
    *model = (struct model){.bytes = zalloc(1, (size_t)most), .most = most, .block = block};
}

void model_destroy(struct model *model)
{
    free(model->bytes);
}

static void grow(struct model *model, int64_t size)
{
    if (model->size < size)
        model->size = size;
}

static void zero(struct model *model, int64_t from, int64_t to)
{
    if (from < to)
        memset(model->bytes + from, 0, (size_t)(to - from));
}

int64_t model_readable(const struct model *model, int64_t offset, int64_t length)
{
    if (offset >= model->size)
        return 0;
    return length < model->size - offset ? length : model->size - offset;
}

void model_write(struct model *model, int64_t offset, const void *from, int64_t length)
{
    if (length <= 0)
        return;
    memmove(model->bytes + offset, from, (size_t)length);
    grow(model, offset + length);
}

void model_truncate(struct model *model, int64_t size)
{
    zero(model, size, model->size);
    model->size = size;
}

static int collapse(struct model *model, int64_t offset, int64_t length)
{
    const int64_t end = offset + length;

    if (offset % model->block || length % model->block || end >= model->size)
        return -EINVAL;
    memmove(model->bytes + offset, model->bytes + end, (size_t)(model->size - end));
    model_truncate(model, model->size - length);
    return 0;
}

static int insert(struct model *model, int64_t offset, int64_t length)
{
    if (offset % model->block || length % model->block || offset >= model->size)
        return -EINVAL;
    memmove(model->bytes + offset + length, model->bytes + offset, (size_t)(model->size - offset));
    zero(model, offset, offset + length);
    model->size += length;
    return 0;
}

bool model_too_large(const struct model *model, int mode, int64_t offset, int64_t length)
{
    return mode == FALLOC_FL_INSERT_RANGE ? model->size + length > model->most
                                          : offset + length > model->most;
}

int model_fallocate(struct model *model, int mode, int64_t offset, int64_t length)
{
    const int64_t end = offset + length;

    if (length <= 0)
        return -EINVAL;
    if (mode == FALLOC_FL_COLLAPSE_RANGE)
        return collapse(model, offset, length);
    if (mode == FALLOC_FL_INSERT_RANGE)
        return insert(model, offset, length);
    if (mode & (FALLOC_FL_ZERO_RANGE | FALLOC_FL_PUNCH_HOLE))
        zero(model, offset, end < model->size ? end : model->size);
    if (!(mode & FALLOC_FL_KEEP_SIZE))
        grow(model, end);
    return 0;
}

int64_t model_remap(const struct model *from, int64_t offset, struct model *to, int64_t at,
                    int64_t length)
{
    const int64_t apart = offset < at ? at - offset : offset - at;

    if (from == to && apart < length)
        return -EINVAL;
    length = model_readable(from, offset, length);
    model_write(to, at, from->bytes + offset, length);
    return length;
}

bool model_is_zero(const struct model *model, int64_t from, int64_t to)
{
    return from >= to ||
           (model->bytes[from] == 0 &&
            memcmp(model->bytes + from, model->bytes + from + 1, (size_t)(to - from - 1)) == 0);
}
