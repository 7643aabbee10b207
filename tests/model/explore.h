/* SPDX-License-Identifier: MIT */
/*
 * All states of a program, each kept once and in full: so that nothing is missed by a collision. The
 * first failure found has the fewest operations, and of these a short way to it.
 *
 * Reduced: states that others cover are left out (store.h), and looks at the clock come first.
 */
#ifndef MODEL_EXPLORE_H
#define MODEL_EXPLORE_H

#include "world.h"

#include <stddef.h>

enum verdict {
    VERDICT_EXHAUSTED, /* every state was seen, and is right */
    VERDICT_CUT,       /* more states than were allowed; those seen are right */
    VERDICT_FAILED,
};

struct exploration {
    enum verdict verdict;
    uint32_t states; /* or schedules, of a walk */
    uint64_t steps;
    unsigned depth; /* of the state that was found last */
    double seconds;
    const char *wrong; /* of a failure */
    struct choice *way;
    unsigned length; /* of the way to it */
};

/* The result's way is to be freed. */
struct exploration explore(const struct program *program, uint32_t most_states, bool reduced,
                           bool progress);

#endif
