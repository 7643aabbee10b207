/* SPDX-License-Identifier: MIT */
/*
 * 64 bits that are accessed atomically. The ABI of 32-bit x86 has them at any multiple of 4 in a struct,
 * where they may lie in two cache lines, and then no access is atomic.
 */
#ifndef TS_ALIGNED_H
#define TS_ALIGNED_H

#include <stdint.h>

typedef uint64_t aligned_u64 __attribute__((aligned(8)));
typedef int64_t aligned_s64 __attribute__((aligned(8)));

#endif
