/* SPDX-License-Identifier: MIT */
/*
 * The validator's rules (twostate/validate.h), each checked at the call that could break it.
 *
 * All under the holds' mutex, and only while the validator is on.
 */
#ifndef TS_VALIDATE_RULES_H
#define TS_VALIDATE_RULES_H

#include "holds.h"

/* Before a wait. True: the calling thread would wait for itself. */
bool rules_wait_(const struct watch_call *call);

/* A hold is about to be given back, or to be switched, by the calling thread. */
void rules_give_back_(const struct watch_call *call, const struct hold *hold);

/* The calling thread forks, or ends. */
void rules_fork_(void);
void rules_thread_end_(const struct holder *holder);

/* The lock is destroyed or made anew. */
void rules_lock_end_(const struct twostate_lock *lock, const char *call);

/* Memory is freed. */
void rules_free_(const void *memory, size_t size);

/* Nobody should hold anything. Returns how many do. */
uint32_t rules_leaks_(void);

/* Turns the validator on if the environment says so (validate.c). Without the mutex. */
void validate_start_by_environment_(void);

#endif
