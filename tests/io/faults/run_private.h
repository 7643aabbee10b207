/* SPDX-License-Identifier: MIT */
/* One run: what its two halves, run.c and step.c, share. */
#ifndef TESTS_FAULTS_RUN_PRIVATE_H
#define TESTS_FAULTS_RUN_PRIVATE_H

#include "run.h"

#include "engine/common.h"

/* A step's request, its memory, and what became of it. */
struct slot {
    const struct step *step;
    unsigned number; /* of what it writes: model.h */
    char *memory;
    struct iovec iov[16];
    int64_t offset; /* of an append too */
    int64_t size;   /* of the file when it was made */
    int64_t result;
    uint32_t done; /* callbacks */
    uint32_t hits; /* before it was made */
    bool accepted;
    bool settled; /* it has been compared */
    bool cancelled;
};

struct run {
    const struct scenario *scenario;
    struct setting setting;
    struct trouble trouble;
    struct twostate_engine *engine;
    struct twostate_file *file;
    struct scratch scratch;
    int disk_fd; /* O_DIRECT */
    uint32_t sector;
    struct model model;
    struct slot *slots; /* for each step */
    char *seen;
    char *initial;
    const struct step *step; /* that is being done; NULL: past the last */
    unsigned in_flight;
    unsigned reports; /* of errors, and of transfers that were cut short */
    uint32_t hits;    /* before it was healed */
    uint32_t hits_at_open;
    uint32_t writes_hit; /* before it began */
    bool failed;
};

/* run.c */
void run_failed_(struct run *r, const char *what, int64_t value);
void run_open_(struct run *r);

/* step.c */
void run_step_(struct run *r, struct slot *slot);
uint32_t run_hits_(const struct run *r);
/* Nothing goes wrong any more. */
void run_heal_(struct run *r);
/* For all that is in flight. */
void run_wait_(struct run *r);
/* An error was told: notes that, or fails, if it is not the one that was made. */
void run_report_(struct run *r, int64_t error);
/* Data was seen: fails if it can't be. */
void run_see_(struct run *r, const char *data, size_t length, int64_t offset, const char *who);
/* The same with what is on the disk. */
void run_look_at_disk_(struct run *r, int64_t offset, size_t length);
/* A sync that began after so many hits, answered result. Nothing is in flight. */
void run_synced_(struct run *r, int result, uint32_t hits);
/* Nobody holds or wants a lock of the file. */
bool run_idle_(struct twostate_file *file);

#endif
