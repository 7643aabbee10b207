/* SPDX-License-Identifier: MIT */
/* Running a script: each operation on the engine and on the model, and whether both agree. */
#ifndef FUZZ_RUN_H
#define FUZZ_RUN_H

#include "world.h"

/* Ends the process if they don't. */
void script_run(const struct script *script, const struct place *place, struct report *report);

/*
 * A transfer has ended with this result: compares it, or what it read, with the model, which then
 * has what was written. alone: nothing else was in flight. Not for appends in flight.
 */
void run_judge(struct world *world, const struct op *op, const struct memory *memory,
               int64_t result, bool alone);

/* The same for its result only: whether it may be this, where all would be `full`. */
void run_judge_result(const struct world *world, const struct op *op, int64_t result, int64_t full);

static inline bool op_appends(const struct op *op)
{
    return op->kind == OP_append || (op->kind == OP_write && (op->flags & TWOSTATE_IO_APPEND));
}

static inline struct file *op_file(struct world *world, const struct op *op)
{
    return &world->files[op->file];
}

#endif
