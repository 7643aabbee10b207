/* SPDX-License-Identifier: MIT */
/* twostate-io top: a live view of running engines. */
#ifndef TOOL_TOP_H
#define TOOL_TOP_H

#include "look.h"

#include <stdio.h>

/* The arguments of `top`, argv[0] being that. The exit status. */
int top_main(int argc, char **argv);

/* The tables of all that is looked at. */
void top_draw(const struct looks *looks, FILE *out);

#endif
