/* SPDX-License-Identifier: MIT */
/*
 * One fiber's stack, on which every thread of a program runs in turn.
 *
 * Because all share the addresses, what one of them has on the stack between two requests is a
 * string of bytes that means the same for all: threads in the same place are equal, byte for byte.
 * Beside the stack there is the memory that threads share with each other (the library's and the
 * operations' static data), which goes with the state of the whole program.
 */
#ifndef MODEL_FIBER_H
#define MODEL_FIBER_H

#include "port.h"

#include <stddef.h>

#define FIBER_STACK ((size_t)64 << 10)

/* A fiber that stopped: what it asked, and its memory. */
struct fiber_stop {
    struct request request;
    const char *message; /* of REQ_FAIL */
    size_t size;         /* bytes of its memory, as fiber_save writes them */
};

/* Finds the shared memory; once, before all else. */
void fiber_init(void);

/* Runs from the beginning of operation `number`, until it asks. */
void fiber_start(unsigned number, struct fiber_stop *stop);

/* Goes on from the memory, with the answer to what it asked. */
void fiber_go(const void *memory, size_t size, uint64_t answer, uint64_t seen,
              struct fiber_stop *stop);

/* The memory of the fiber that stopped last. */
void fiber_save(void *memory);

/* Shared memory, as differences to what it was at first: at most `room` bytes; returns the size. */
size_t fiber_shared_save(void *differences, size_t room);
void fiber_shared_load(const void *differences, size_t size);
uint32_t fiber_shared_read(const void *differences, size_t size, uint64_t address);

#endif
