/* SPDX-License-Identifier: MIT */
/* The memory of a transfer. All data are places in one long run of random bytes. */
#include "memory.h"
#include "util.h"

#include <stdlib.h>
#include <string.h>

#define PLACES 65521 /* a prime: no two data are blocks apart */

const char *memory_data(int64_t data)
{
    static char *bytes;
    const size_t words = (size_t)(LENGTH_MOST + PLACES) / sizeof(uint64_t) + 1;
    uint64_t random = 1;

    if (bytes == NULL) {
        uint64_t *run = zalloc(words, sizeof(*run));

        for (size_t i = 0; i < words; i++)
            run[i] = random_next(&random);
        bytes = (char *)run;
    }
    return bytes + data * 997 % PLACES;
}

/* Uneven pieces, some of them empty; the last one takes what is left. */
static void cut(struct memory *memory, const struct op *op)
{
    uint64_t random = (uint64_t)op->data;
    const int64_t grain = op->grain ? op->grain : 1;
    int64_t at = 0;

    for (int i = 0; i < memory->count; i++) {
        const int64_t left = memory->length - at;
        int64_t n = left;

        if (i + 1 < memory->count) {
            n = 2 * left / (memory->count - i) * random_below(&random, 256) / 256;
            n = n / grain * grain;
        }
        memory->iov[i] = (struct iovec){n ? memory->bytes + at : NULL, (size_t)n};
        at += n;
    }
}

void memory_init(struct memory *memory, const struct op *op)
{
    memory->length = op->length;
    memory->count = 1 + (int)op->pieces;
    if (posix_memalign(&memory->allocated, 4096, (size_t)(op->shift + op->length + 1)))
        die("out of memory");
    memory->iov = zalloc((size_t)memory->count, sizeof(*memory->iov));
    memory->bytes = (char *)memory->allocated + op->shift;
    cut(memory, op);
    if (op->kind == OP_read)
        memset(memory->bytes, 0x55, (size_t)op->length);
    else
        memcpy(memory->bytes, memory_data(op->data), (size_t)op->length);
}

void memory_destroy(struct memory *memory)
{
    free(memory->allocated);
    free(memory->iov);
}
