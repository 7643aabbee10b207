/* SPDX-License-Identifier: MIT */
/* The command line. */
#ifndef TOOL_OPTIONS_H
#define TOOL_OPTIONS_H

#include "load.h"

/* The parts of the comparison that shows what a lock is for: bits. */
enum part { PART_LOST = 1, PART_TORN = 2, PART_SLOW = 4, PARTS_ALL = 7 };

struct options {
    const char *name; /* of the file, as it was given */
    const char *path; /* where it is opened */
    const char *json; /* NULL: none */
    const struct driver *driver;
    bool compare, keep, overwrite;
    bool user_cache, kernel_cache; /* --cache named it */
    unsigned first;                /* of drivers[], of those that are compared */
    bool own_load;                 /* some of it was given */
    unsigned parts;                /* of the comparison; 0: none was named */
    struct load_options load;
};

void options_default(struct options *options);

/* What an option of the table says, or a line of a job file. Ends the program if it is a mistake. */
void options_set(struct options *options, int option, const char *value);

/* Takes back one that has no value, or need not have one. */
void options_unset(struct options *options, int option);

/* What follows from all of them together. Ends the program if they don't go together. */
void options_finish(struct options *options);

/* --help, --version, and what getopt does not know: each ends the program. */
void options_common(unsigned command, int option);

/* The arguments of `run`, argv[0] being that. Ends the program, with a message, for mistakes. */
void options_parse(struct options *options, int argc, char **argv);

#endif
