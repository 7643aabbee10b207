/* SPDX-License-Identifier: MIT */
/* Job files: loads that are described in a file, as sections of lines KEY=VALUE. */
#ifndef TOOL_JOBS_H
#define TOOL_JOBS_H

#include "options.h"

#include <jansson.h>

struct job_section {
    const char *name;
    struct options options;
};

struct jobs {
    struct job_section *sections; /* those that are to run */
    unsigned count;
    const char *json; /* NULL: none */
    char *text;       /* of the file: names and values point into it */
};

/* The arguments of `job`, argv[0] being that, and the file. Ends the program, with a message, for
 * mistakes in either, before anything is run. */
void jobs_parse(struct jobs *jobs, int argc, char **argv);

/* Runs them, one after the other. The worst exit status; *root is the results of all. */
int jobs_run(struct jobs *jobs, json_t **root);

void jobs_free(struct jobs *jobs);

#endif
