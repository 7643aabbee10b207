/* SPDX-License-Identifier: MIT */
/* Blocks. The body is a random sequence seeded by the header, the checksum is XXH3 over both. */
#include "block.h"
#include "util.h"

#define XXH_INLINE_ALL
#include <string.h>
#include <xxhash.h>

/* The checksum is taken with its own field zero. */
static uint64_t checksum_of(const void *buffer, const struct block_header *header)
{
    struct block_header clean = *header;

    clean.checksum = 0;
    return XXH3_64bits_withSeed((const char *)buffer + sizeof(clean),
                                header->length - sizeof(clean), XXH3_64bits(&clean, sizeof(clean)));
}

void block_fill(void *buffer, uint32_t length, uint64_t slot, uint32_t writer, uint64_t sequence)
{
    struct block_header header = {
        .magic = BLOCK_MAGIC,
        .slot = slot,
        .sequence = sequence,
        .writer = writer,
        .length = length,
    };
    uint64_t state = slot * 31 + sequence * 7 + writer;
    char *at = (char *)buffer + sizeof(header);
    size_t left = length - sizeof(header);

    while (left > 0) {
        uint64_t word = random_next(&state);
        size_t step = left < sizeof(word) ? left : sizeof(word);

        memcpy(at, &word, step);
        at += step;
        left -= step;
    }
    header.checksum = checksum_of(buffer, &header);
    memcpy(buffer, &header, sizeof(header));
}

static bool all_zero(const char *bytes, size_t length)
{
    return length == 0 || (bytes[0] == 0 && memcmp(bytes, bytes + 1, length - 1) == 0);
}

enum content block_check(const void *buffer, uint32_t length, uint64_t slot,
                         struct block_header *header)
{
    memcpy(header, buffer, sizeof(*header));
    if (header->magic == BLOCK_MAGIC && header->length == length && header->slot == slot &&
        header->checksum == checksum_of(buffer, header))
        return CONTENT_BLOCK;
    return all_zero(buffer, length) ? CONTENT_ZERO : CONTENT_TORN;
}
