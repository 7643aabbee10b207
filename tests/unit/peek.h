/* SPDX-License-Identifier: MIT */
/* Looks into the lock word, for what query does not tell: whose turn it is, who is asleep. */
#ifndef TESTS_PEEK_H
#define TESTS_PEEK_H

#include "sys.h"
#include "word.h"

#include <twostate/iopair.h>

/* What a lock keeps for life: FAST once it has it, and what init_with gave it. */
#define PEEK_KEPT (WORD_FAST | WORD_SHARED | WORD_PATIENCE)

/* The default patience, written as it is in a lock that somebody watches (lib/class.h). */
#define PEEK_SEEN (UINT64_C(6) << 60)

/* The word without what the first call on a lock sets, whatever comes of the call. */
static inline uint64_t peek(const struct twostate_lock *lock)
{
    const uint64_t w = sys_load_(&lock->word_) & ~WORD_FAST;

    return (w & WORD_PATIENCE) == PEEK_SEEN ? w & ~WORD_PATIENCE : w;
}

/* Neither held, nor frozen, nor waited for; and nothing is left of those who were there. */
static inline bool at_rest(const struct twostate_lock *lock)
{
    return (sys_load_(&lock->word_) & ~PEEK_KEPT) == 0;
}

/* The lock has n holds of the group (GROUP_DRAIN: freezes), and that is all. */
static inline bool holds_only(const struct twostate_lock *lock, enum group g, uint32_t n)
{
    return (sys_load_(&lock->word_) & ~PEEK_KEPT) == (word_held(g) | n);
}

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

static inline bool pair_at_rest(const struct twostate_iopair *pair)
{
    return at_rest(&pair->iolock_.lock_) && at_rest(&pair->iotype_) && !pair->remapping_;
}

/* The pair is, but for FAST, as it was. */
static inline bool pair_is_as(const struct twostate_iopair *pair,
                              const struct twostate_iopair *before)
{
    return peek(&pair->iolock_.lock_) == peek(&before->iolock_.lock_) &&
           peek(&pair->iotype_) == peek(&before->iotype_) && pair->remapping_ == before->remapping_;
}

#endif
