/* SPDX-License-Identifier: MIT */
/* Looks into the lock word, for what query does not tell: whose turn it is, who is asleep. */
#ifndef TESTS_PEEK_H
#define TESTS_PEEK_H

#include "sys.h"
#include "word.h"

/* A waiter of the group is past its patience, and the lock is being handed to the group. */
static inline bool has_turn(const struct twostate_lock *lock, enum group g)
{
    return (sys_load_(&lock->word_) & WORD_TURN) == word_turn(g);
}

static inline bool has_reserved(const struct twostate_lock *lock, enum group g)
{
    return (sys_load_(&lock->word_) & word_reserved(g)) != 0;
}

static inline uint32_t waiting(const struct twostate_lock *lock, enum group g)
{
    return word_waiting(sys_load_(&lock->word_), g);
}

#endif
