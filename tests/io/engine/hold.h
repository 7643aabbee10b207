/* SPDX-License-Identifier: MIT */
/*
 * A backend that keeps what it is given until the test lets it go, and what a test puts in the way
 * of requests: in the backend's queue, and in the workers'.
 */
#ifndef TESTS_ENGINE_HOLD_H
#define TESTS_ENGINE_HOLD_H

#include "common.h"

struct holding {
    struct backend backend;
    struct backend *real;
    pthread_mutex_t mutex;
    struct cds_list_head ops; /* by their jobs, oldest first */
    uint32_t count;
    bool at_once; /* keep nothing: carry out before submit returns */
};

/* Takes the place of the engine's backend, which nobody may be using. */
void holding_start(struct holding *holding, struct twostate_engine *engine);
void holding_stop(struct holding *holding, struct twostate_engine *engine);

/*
 * Lets the nth go, the oldest is 0: carried out, in this thread. If error, it fails with that, and
 * nothing is done; if most, it moves at most so many bytes.
 */
void holding_release(struct holding *holding, unsigned nth, int64_t error, size_t most);

/* Keeps one of the backend's places: an op that reads from a pipe. */
struct plug {
    struct backend_op op;
    struct iovec iov;
    char byte;
    int pipe[2];
    uint32_t done;
};

void plug_in(struct plug *plug, struct twostate_engine *engine);
void plug_pull(struct plug *plug);

/* Keeps a worker. */
struct busy {
    struct job job;
    uint32_t begun;
    uint32_t end;
    uint32_t ended;
};

/* Zeroed, but that end may be 1 already. Starting waits until a worker has begun it. */
void busy_queue(struct busy *busy, struct twostate_engine *engine);
void busy_start(struct busy *busy, struct twostate_engine *engine);
void busy_end(struct busy *busy);

#endif
