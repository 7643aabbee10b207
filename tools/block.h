/* SPDX-License-Identifier: MIT */
/*
 * Blocks: what a slot of the file, or a record of its tail, holds.
 *
 * A block is a header and a body that follows from the header, under one checksum; so bytes of two
 * writes never pass for one block.
 */
#ifndef TOOL_BLOCK_H
#define TOOL_BLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BLOCK_MAGIC UINT64_C(0x6f692d6574617473)
#define BLOCK_MIN   64

struct block_header {
    uint64_t magic;
    uint64_t slot;
    uint64_t sequence;
    uint32_t writer;
    uint32_t length; /* of header and body */
    uint64_t checksum;
};

enum content {
    CONTENT_BLOCK, /* a whole block */
    CONTENT_ZERO,  /* nothing but zero bytes */
    CONTENT_TORN,  /* anything else */
};

/* Makes the block of (slot, writer, sequence), of length bytes (at least BLOCK_MIN), in buffer. */
void block_fill(void *buffer, uint32_t length, uint64_t slot, uint32_t writer, uint64_t sequence);

/* What length bytes are, where a block of slot is expected. The header is copied to *header. */
enum content block_check(const void *buffer, uint32_t length, uint64_t slot,
                         struct block_header *header);

#endif
