/* SPDX-License-Identifier: MIT */
/* What an engine and its files are doing, as JSON. */
#ifndef TS_IO_STATE_H
#define TS_IO_STATE_H

#include <stddef.h>

struct twostate_engine;

/* One line, newline included, to be freed; NULL: out of memory. */
char *state_line_(struct twostate_engine *engine, size_t *length);

#endif
