/* SPDX-License-Identifier: MIT */
/* The command line. */
#ifndef TOOL_OPTIONS_H
#define TOOL_OPTIONS_H

#include "load.h"

struct options {
    const char *path;
    const char *json; /* NULL: none */
    const struct driver *driver;
    bool compare, keep, overwrite;
    struct load_options load;
};

/* Reads `run FILE ...`. Ends the program, with a message, for --help (0) and mistakes (2). */
void options_parse(struct options *options, int argc, char **argv);

#endif
