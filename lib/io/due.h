/* SPDX-License-Identifier: MIT */
/* Callbacks that are due in a polled engine: they wait for whoever polls, in the order they came. */
#ifndef TS_IO_DUE_H
#define TS_IO_DUE_H

#include <stdint.h>

#include "workers.h"

struct due;

/* 0, -ENOMEM, or what eventfd answers. */
int due_create_(struct due **due);

/* None may be due. */
void due_destroy_(struct due *due);

/*
 * Readable while something is due. With `completions`, which the first call decides on, it is readable
 * too while that is; -1: the backend has none.
 */
int due_fd_(struct due *due, int completions);

/* Whether that says nothing of completions: then a thread of the backend has to bring what is due. */
bool due_by_threads_(struct due *due);

void due_add_(struct due *due, struct job *job);

/* In between, a poller adds what it is about to take out, but for all beyond the first. */
void due_bring_(struct due *due, bool begin);

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

/*
 * For a poller that waits elsewhere. True: none is due, and when one is wake is called, till
 * due_rise_ is. False: there is one.
 */
bool due_doze_(struct due *due, void (*wake)(void *arg), void *arg);
void due_rise_(struct due *due);

/*
 * For one that waits here, for so many ns (INT64_MAX: without a limit): returns when one is due, or
 * due_poke_ has been called since it had been called `pokes` times, or for no reason.
 */
void due_await_(struct due *due, uint32_t pokes, int64_t ns);
void due_poke_(struct due *due);
uint32_t due_pokes_(const struct due *due);

#endif
