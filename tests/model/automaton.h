/* SPDX-License-Identifier: MIT */
/*
 * The code under test as an automaton, found out step by step.
 *
 * What a fiber does after a request depends on its memory, the shared memory and the answer alone.
 * So each such step is run once, and remembered: the real code is its own transition table, and an
 * exploration of a hundred million steps executes perhaps a hundred thousand.
 */
#ifndef MODEL_AUTOMATON_H
#define MODEL_AUTOMATON_H

#include "port.h"

/* Where a thread is (its stack, and what it asks), and what all share. */
struct place {
    uint32_t node;
    uint32_t shared;
};

/* The node of a thread between operations, and the shared memory of the beginning. */
#define NODE_IDLE    0U
#define SHARED_FIRST 0U

/* merge: places that differ in dead memory only are one (automaton.c). */
void automaton_init(bool merge);

/* The beginning of an operation: no request yet, NODE_IDLE with the number as its answer. */
struct place automaton_next(struct place from, bool done, uint64_t answer);

/* The node that stands for all where a thread stops, or sleeps, and that go on alike. */
uint32_t automaton_merged(uint32_t node);
uint32_t automaton_asleep(uint32_t node);

/* Before a load that finds the value: that the nodes for which this one stands go on alike. */
bool automaton_verify(uint32_t node, uint64_t value);

const struct request *automaton_request(uint32_t node);

/* Of a REQ_FAIL. */
const char *automaton_message(uint32_t node);

/* A 32-bit word of shared memory. */
uint32_t automaton_shared(uint32_t shared, uint64_t address);

struct automaton_size {
    uint32_t nodes, shared, steps;
};

struct automaton_size automaton_size(void);

#endif
