/* SPDX-License-Identifier: MIT */
/* The options of each command, in one table: for getopt, the help, and the keys of job files. */
#ifndef TOOL_OPTION_TABLE_H
#define TOOL_OPTION_TABLE_H

#include "kinds.h"

#include <getopt.h>
#include <stdbool.h>

enum {
    OPTION_KIND = 256, /* and one for each kind */
    OPTION_THREADS = OPTION_KIND + KIND_COUNT,
    OPTION_BLOCK_SIZES,
    OPTION_UNALIGNED,
    OPTION_OPS,
    OPTION_SIZE,
    OPTION_ASYNC,
    OPTION_LOAD_LAST = OPTION_ASYNC, /* up to here they say what the load is */
    OPTION_LOCK,
    OPTION_BACKEND,
    OPTION_CACHE,
    OPTION_CACHE_BYTES,
    OPTION_SECONDS,
    OPTION_SEED,
    OPTION_COMPARE,
    OPTION_SERVE,
    OPTION_JSON,
    OPTION_QUIET,
    OPTION_KEEP,
    OPTION_OVERWRITE,
    OPTION_SECTION,
    OPTION_ONCE,
    OPTION_INTERVAL,
    OPTION_HELP,
    OPTION_VERSION,
};

/* The commands that have an option: bits. */
enum { OF_RUN = 1, OF_JOB = 2, OF_TOP = 4 };

enum option_group { GROUP_LOAD, GROUP_LOCK, GROUP_OTHER, GROUP_COUNT };

struct option_entry {
    const char *name;
    int id;
    int has_argument; /* as in struct option */
    unsigned commands;
    enum option_group group;
    const char *argument; /* its name, for the help; NULL: none, or the entry has no help */
    const char *help;     /* its lines; NULL: one of the kinds, which are told together */
};

extern const struct option_entry option_table[]; /* ends with an empty name */

#define OPTIONS_MAX 40

/* For getopt_long: the options of a command. */
void option_table_getopt(unsigned command, struct option options[OPTIONS_MAX]);

/* By name, of those that a job file may have; NULL: there is none. */
const struct option_entry *option_table_key(const char *name);

#endif
