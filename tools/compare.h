/* SPDX-License-Identifier: MIT */
/* Compares the locks, and the engine's caches: what is lost on disk, what is torn, what is slow. */
#ifndef TOOL_COMPARE_H
#define TOOL_COMPARE_H

#include "options.h"

#include <jansson.h>

/* Prints the comparison and makes the JSON of it. The exit status: 0 if the engine is clean. */
int compare_run(const struct options *options, json_t **root);

#endif
