/* SPDX-License-Identifier: MIT */
/* The load: threads that write a file through the engine and keep the ledger of it. */
#ifndef TESTS_CRASH_LOAD_H
#define TESTS_CRASH_LOAD_H

#include <stdbool.h>
#include <stdint.h>

#include <twostate/io.h>

#include "ledger.h"

struct load {
    struct ledger *ledger;
    const uint64_t *position; /* in the log of the disk's writes, or NULL */
    const char *path;
    enum twostate_backend backend;
    enum twostate_cache cache;
    uint64_t seed;
    uint32_t quota;    /* events, then it closes the file */
    uint32_t openings; /* and opens it again, this often in all */
    bool skip_sync;    /* calls no fsync, and says it did: to be found out */
};

/*
 * Runs it. 0, or why the engine or the file could not be had: -errno. Other failures are in the
 * ledger.
 */
int load_run(const struct load *load);

#endif
