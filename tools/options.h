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

/* Reads `run FILE ...`. Ends the program, with a message, for --help (0) and mistakes (2). */
void options_parse(struct options *options, int argc, char **argv);

#endif
