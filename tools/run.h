/* SPDX-License-Identifier: MIT */
/* One load, or one comparison, on its file. */
#ifndef TOOL_RUN_H
#define TOOL_RUN_H

#include "options.h"

#include <jansson.h>

/*
 * Makes the file if need be, runs what the options say, prints it, and removes the file again. The
 * exit status; *root is the results, to be released, or as it was if there are none.
 */
int run_file(struct options *options, json_t **root);

#endif
