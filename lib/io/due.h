/* SPDX-License-Identifier: MIT */
/* Callbacks that are due in a polled engine: they wait for whoever polls, in the order they came. */
#ifndef TS_IO_DUE_H
#define TS_IO_DUE_H

#include "workers.h"

struct due;

/* 0, -ENOMEM, or what eventfd answers. */
int due_create_(struct due **due);

/* None may be due. */
void due_destroy_(struct due *due);

/* Readable exactly while something is due. */
int due_fd_(const struct due *due);

void due_add_(struct due *due, struct job *job);

/* How many are due. */
unsigned due_count_(struct due *due);

/* Takes out the first; NULL: none is due. */
struct job *due_next_(struct due *due);

/*
 * For a thread that waits for something else meanwhile: takes out the first that matches, or waits
 * for one. NULL: due_stop_ has been called for *stopped, which was false.
 */
struct job *due_wait_(struct due *due, job_match *match, const void *context, const bool *stopped);
void due_stop_(struct due *due, bool *stopped);

#endif
