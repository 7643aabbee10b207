/* SPDX-License-Identifier: MIT */
/* The memory of a transfer: pieces, aligned or not, and what a write of certain data has in it. */
#ifndef FUZZ_MEMORY_H
#define FUZZ_MEMORY_H

#include "script.h"

#include <sys/uio.h>

#define PIECES_MOST 1024

struct memory {
    void *allocated;
    char *bytes; /* one piece after the other */
    int64_t length;
    struct iovec *iov;
    int count;
};

/* Memory as the operation describes it. */
void memory_init(struct memory *memory, const struct op *op);
void memory_destroy(struct memory *memory);

/* LENGTH_MOST bytes that a write of this data writes. */
const char *memory_data(int64_t data);

#endif
