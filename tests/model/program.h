/* SPDX-License-Identifier: MIT */
/*
 * Programs as text: one word a thread. A word is what the thread does in each round, with commas
 * between; in a round it does one of the operations with a bar between, or, for "all", any of the
 * subject's that does not free. A star after the last round: again and again.
 *
 *     aA tB          one thread acquires A, another tries B
 *     aA|aB,d all*   one takes either state and then drains, another does anything for ever
 */
#ifndef MODEL_PROGRAM_H
#define MODEL_PROGRAM_H

#include "world.h"

#include <stddef.h>

/* Adds a thread. False, and a message on stderr, if the word makes no sense. */
bool program_add(struct program *program, const char *word, size_t length);

/*
 * After the last: finds out which threads are alike, and whether there are waiters without thread.
 */
void program_finish(struct program *program);

/* Where the subject's operations begin in ops, and an operation's bit in a menu. */
unsigned program_first_op(enum subject subject);
uint64_t program_bit(unsigned op);

/* The operations of the subject that free nothing, or those with waiters without thread too. */
uint64_t program_all(enum subject subject, bool async);

#endif
