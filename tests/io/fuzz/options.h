/* SPDX-License-Identifier: MIT */
/* The fuzzer's command line. */
#ifndef FUZZ_OPTIONS_H
#define FUZZ_OPTIONS_H

#include "script.h"
#include "world.h"

struct options {
    uint64_t ops;   /* 0: no limit */
    double minutes; /* 0: no limit, if there is one of ops */
    uint64_t seed;
    struct choice choice;
    struct place place;
    unsigned threads; /* above 1: the concurrent form */
    int shrink;       /* seconds */
    bool print;       /* the scripts */
    bool progress;
    char **replay; /* files, up to NULL; or NULL */
};

/* False: the program is to end with this status. */
bool options_parse(struct options *options, int argc, char **argv, int *status);

#endif
