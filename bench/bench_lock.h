/* SPDX-License-Identifier: MIT */
/* What the parts of bench_lock share: the options, and one function for each command. */
#ifndef BENCH_LOCK_H
#define BENCH_LOCK_H

#include <stdbool.h>
#include <stdio.h>

struct options {
    bool quick;
    unsigned runs;    /* each figure is the median of so many */
    FILE *json;       /* NULL: none */
    const char *plot; /* a file name, NULL: none */
};

/* Each runs, prints its table, writes its files; returns the exit status. */
int pair_main(const struct options *options);
int mixed_main(const struct options *options);
int direct_main(const struct options *options);
int latency_main(const struct options *options);
int syscalls_main(const struct options *options);
int starve_main(const struct options *options); /* has no plot */

#endif
