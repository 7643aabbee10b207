/* SPDX-License-Identifier: MIT */
/* Compares the three locks under a load of the user's. */
#ifndef TOOL_COMPARE_LOAD_H
#define TOOL_COMPARE_LOAD_H

#include "options.h"

#include <jansson.h>

/* Prints the comparison and makes the JSON of it. The exit status: 0 if twostate is clean. */
int compare_load(const struct options *options, json_t **root);

#endif
