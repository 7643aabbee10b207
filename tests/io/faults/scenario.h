/* SPDX-License-Identifier: MIT */
/* Short programs of engine calls, to be run again and again with one thing going wrong each time. */
#ifndef TESTS_FAULTS_SCENARIO_H
#define TESTS_FAULTS_SCENARIO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <twostate/io.h>

enum act {
    ACT_READ,
    ACT_WRITE, /* an append too */
    ACT_SYNC,
    ACT_DATASYNC,
    ACT_TRUNCATE, /* to offset */
    ACT_ALLOCATE, /* with mode */
    ACT_CANCEL,   /* the async request that was made `offset` steps before */
    ACT_WAIT,     /* for all async requests */
    ACT_REOPEN,   /* close, and open again */
};

/* Async requests that are not waited for yet don't overlap anything, nor move the end of file. */
struct step {
    enum act act;
    int64_t offset;
    size_t length;
    unsigned flags;  /* TWOSTATE_IO_... */
    unsigned pieces; /* of memory; 0: 1 */
    int mode;
    bool async;
    bool odd; /* memory that is not aligned */
};

struct scenario {
    const char *name;
    const struct step *steps;
    unsigned step_count;
    size_t bytes; /* the file is never larger */
    size_t unit;  /* every offset and length is a multiple */
    size_t initial;
    struct twostate_engine_options options; /* but the backend */
    unsigned folio;
    unsigned stride; /* not 0: it is long; only every so many calls are tried */
};

extern const struct scenario scenarios[];
extern const unsigned scenario_count;

#endif
