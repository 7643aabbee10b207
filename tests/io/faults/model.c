/* SPDX-License-Identifier: MIT */
/* What a file may hold: see model.h. */
#include "model.h"

#include "threads.h"

#include <stdlib.h>
#include <string.h>

void model_init(struct model *model, size_t bytes, size_t unit)
{
    *model = (struct model){.unit = unit, .cells = bytes / unit};
    model->may = calloc(model->cells, sizeof(*model->may));
    model->older = calloc(model->cells, sizeof(*model->older));
    CHECK(model->may && model->older);
    model_reset(model);
}

void model_destroy(struct model *model)
{
    free(model->may);
    free(model->older);
}

void model_reset(struct model *model)
{
    for (size_t i = 0; i < model->cells; i++)
        model->may[i] = model->older[i] = 1;
    model->size = model->least = model->most = 0;
}

/* No byte is 0 but for number 0, and none the same for two of 32 numbers. */
static uint64_t word_of(int64_t at, unsigned number)
{
    uint64_t word = (uint64_t)at / 8 * UINT64_C(0x9e3779b97f4a7c15);

    word = (word ^ word >> 32) | UINT64_C(0x8080808080808080);
    return number == 0 ? 0 : word ^ number * UINT64_C(0x0101010101010101);
}

/* Bytes of what the number writes at `at`, as far as one word goes. */
static size_t piece_of(int64_t at, size_t length, unsigned number, char *bytes)
{
    const uint64_t word = word_of(at, number);
    const size_t skip = (size_t)at % 8;
    const size_t n = length < 8 - skip ? length : 8 - skip;

    memcpy(bytes, (const char *)&word + skip, n);
    return n;
}

void model_fill(char *data, size_t length, int64_t offset, unsigned number)
{
    char bytes[8];
    size_t n = 0;

    for (size_t at = 0; at < length; at += n) {
        n = piece_of(offset + (int64_t)at, length - at, number, bytes);
        memcpy(data + at, bytes, n);
    }
}

static void check_range(const struct model *model, int64_t offset, size_t length)
{
    CHECK(offset >= 0 && (size_t)offset + length <= model->cells * model->unit);
    CHECK((size_t)offset % model->unit == 0 && length % model->unit == 0);
}

void model_write(struct model *model, int64_t offset, size_t length, unsigned number, bool maybe)
{
    const uint32_t bit = UINT32_C(1) << number;
    const size_t first = (size_t)offset / model->unit;

    CHECK(number < MODEL_WRITES);
    check_range(model, offset, length);
    for (size_t i = first; i < first + length / model->unit; i++) {
        model->may[i] = maybe ? model->may[i] | bit : bit;
        model->older[i] |= bit;
    }
}

void model_resize(struct model *model, int64_t size)
{
    check_range(model, size, 0);
    for (size_t i = (size_t)size / model->unit; i < model->cells; i++) {
        model->may[i] = 1;
        model->older[i] |= 1;
    }
    model->size = size;
    if (size < model->least)
        model->least = size;
    if (size > model->most)
        model->most = size;
}

static bool shows(const char *data, size_t length, int64_t offset, unsigned number)
{
    uint64_t word = 0;
    char bytes[8];
    size_t n = 0;

    for (size_t at = 0; at < length; at += n) {
        /* Whole words are most of what is compared. */
        if ((offset + (int64_t)at) % 8 == 0 && length - at >= 8) {
            n = 8;
            memcpy(&word, data + at, 8);
            if (word != word_of(offset + (int64_t)at, number))
                return false;
            continue;
        }
        n = piece_of(offset + (int64_t)at, length - at, number, bytes);
        if (memcmp(data + at, bytes, n) != 0)
            return false;
    }
    return true;
}

/* What the cell shows of what it may, or 0. */
static uint32_t seen(uint32_t may, const char *data, size_t length, int64_t offset)
{
    for (unsigned number = 0; number < MODEL_WRITES && may >> number; number++)
        if ((may >> number & 1) && shows(data, length, offset, number))
            return UINT32_C(1) << number;
    return 0;
}

/* That many cells of one byte may be alike, from this one on. */
static size_t alike(const struct model *model, size_t cell, size_t most)
{
    const uint32_t may = model->may[cell];
    size_t n = 1;

    while (n < most && model->may[cell + n] == may)
        n++;
    return n;
}

/*
 * One cell's worth of bytes; but where cells are bytes, as many whole words as may hold the same if
 * that is what they show of one number: as no byte is the same for two, each of them shows it.
 */
static size_t see_some(struct model *model, const char *data, size_t length, int64_t offset)
{
    const size_t cell = (size_t)offset / model->unit;
    const size_t rest = model->unit - (size_t)offset % model->unit;
    size_t n = length < rest ? length : rest;
    uint32_t bit = 0;

    if (model->unit == 1 && offset % 8 == 0 && length >= 8) {
        const size_t words = alike(model, cell, length < 512 ? length : 512) / 8 * 8;

        bit = words ? seen(model->may[cell], data, words, offset) : 0;
        for (size_t i = 0; bit && i < words; i++)
            model->may[cell + i] = bit;
        if (bit)
            return words;
    }
    bit = seen(model->may[cell], data, n, offset);
    if (bit == 0)
        return 0;
    model->may[cell] = bit;
    return n;
}

int64_t model_see(struct model *model, const char *data, size_t length, int64_t offset)
{
    size_t n = 0;

    for (size_t at = 0; at < length; at += n) {
        n = see_some(model, data + at, length - at, offset + (int64_t)at);
        if (n == 0)
            return offset + (int64_t)at;
    }
    return -1;
}

void model_synced_range(struct model *model, int64_t offset, size_t length)
{
    const int64_t end = offset + (int64_t)length;

    check_range(model, offset, length);
    memcpy(model->older + (size_t)offset / model->unit, model->may + (size_t)offset / model->unit,
           length / model->unit * sizeof(*model->may));
    if (end > model->least)
        model->least = end;
}

void model_synced(struct model *model)
{
    memcpy(model->older, model->may, model->cells * sizeof(*model->may));
    model->least = model->most = model->size;
}

void model_lose(struct model *model)
{
    for (size_t i = 0; i < model->cells; i++)
        model->may[i] |= model->older[i];
}
