/* SPDX-License-Identifier: MIT */
/* Results as a table for people and as JSON for scripts. */
#ifndef TOOL_REPORT_H
#define TOOL_REPORT_H

#include "load.h"

#include <jansson.h>

/* The table of one run, on stdout, and a sentence of what it means. */
void report_print(const struct load_result *result);

/* Whether nothing was found and nothing failed, under whatever lock. */
bool report_clean(const struct load_result *result);

/* The sentence alone. */
void report_verdict(const struct load_result *result);

/* One entry of "runs". */
json_t *report_json(const struct load_result *result, const struct load_options *options);

/* What is written, of the runs: takes them over. */
json_t *report_root(json_t *runs);

/*
 * From now on what is printed goes to the standard error, and only JSON to the standard output, so
 * that a pipe gets nothing else. 0 or -errno.
 */
int report_json_only(void);

/* Writes root to path ("-": the standard output) and releases it. 0 or -errno. */
int report_write(json_t *root, const char *path);

/* 0 if the run is clean; 1 if not; 2 if that is not known. `none` is not held to anything but a lack of errors. */
int report_status(const struct load_result *result);

#endif
