/* SPDX-License-Identifier: MIT */
/* A way through a program's states, for people, and as an argument that repeats it. */
#ifndef MODEL_TRACE_H
#define MODEL_TRACE_H

#include "world.h"

#include <stdio.h>

/* Every step of the way: which thread does what, and what the words are then. */
void trace_print(FILE *out, const struct program *program, const struct choice *way,
                 unsigned length);

/* The argument of --replay. */
void trace_print_way(FILE *out, const struct choice *way, unsigned length);

/* The way that the text names; its length, or 0 if it names none. */
unsigned trace_parse(const char *text, struct choice *way, unsigned room);

/* The program, as on the command line. */
void trace_print_program(FILE *out, const struct program *program);

#endif
