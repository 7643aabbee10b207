/* SPDX-License-Identifier: MIT */
/* Processes for tests: start one, see that it ended well, or kill it. None outlives the test. */
#ifndef TESTS_CHILDREN_H
#define TESTS_CHILDREN_H

#include <sys/types.h>

/* A process that calls run(argument), and ends with 0 when that returns. It has 120 s. */
pid_t child_start(void (*run)(void *), void *argument);

/* Waits for its end, which must have been a good one. */
void child_join(pid_t child);

/* Ends it, wherever it is. */
void child_kill(pid_t child);

/* Memory, zeroed, that this process and its children share. */
void *shared_memory(size_t size);
void shared_memory_free(void *memory, size_t size);

#endif
