/* SPDX-License-Identifier: MIT */
/* The operations that the threads of a program are made of, by name. */
#ifndef MODEL_OPS_H
#define MODEL_OPS_H

#include <stdbool.h>
#include <stdint.h>

/* What an operation is about; a program's operations are all about the same. */
enum subject {
    SUBJECT_LOCK,
    SUBJECT_IOLOCK,
    SUBJECT_PAIR,
    SUBJECT_FOLIO, /* lib/io's, with the gate */
    SUBJECT_LEASE, /* lib/io's, with the pair and those who use the file */
    SUBJECT_ANY,   /* not for programs: what threads between operations do */
};

/* How it waits. */
enum form {
    FORM_WAIT,
    FORM_TRY,
    FORM_SHORT, /* until a deadline before the end of the patience */
    FORM_LONG,  /* after it */
    FORM_ASYNC, /* leaves a waiter, and may cancel it */
};

struct op {
    const char *name;
    const char *what; /* it does, for the list */
    void (*run)(const struct op *op);
    uint8_t subject;
    uint8_t state; /* or mode, or path */
    uint8_t form;
    uint8_t then;  /* what it does while it holds; see ops.c */
    uint8_t holds; /* that it takes, if what it does then is decided late (world.h); else 0 */
    bool async;    /* it leaves a waiter without a thread */
    bool pools;    /* it leaves a hold to the pool */
};

#define OPS_MAX 64U /* of one subject */

extern const struct op ops[];
extern const unsigned ops_count;

/* Releases a hold from the pool, of state A, of state B, or a freeze. */
#define OP_POOLED 0U

#endif
