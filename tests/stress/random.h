/* SPDX-License-Identifier: MIT */
/*
 * Random streams (splitmix64). Each operation of each thread has a stream of its own, so that a seed
 * means the same programs whatever the threads' order was, or what the operations before came to.
 */
#ifndef TESTS_RANDOM_H
#define TESTS_RANDOM_H

#include <stdint.h>

static inline uint64_t random_next(uint64_t *stream)
{
    uint64_t z = *stream += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static inline uint32_t random_below(uint64_t *stream, uint32_t limit)
{
    return (uint32_t)((random_next(stream) >> 32) * limit >> 32);
}

static inline uint64_t random_stream(uint64_t seed, uint32_t thread, uint64_t operation)
{
    uint64_t stream = seed + thread * UINT64_C(0xd1342543de82ef95);

    stream = random_next(&stream) + operation;
    return random_next(&stream);
}

#endif
