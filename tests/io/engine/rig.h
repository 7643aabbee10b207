/* SPDX-License-Identifier: MIT */
/*
 * What tests of requests on their way share: an engine of the options that a test wants, records of
 * callbacks, a backend that keeps what it is given until the test lets it go, and what keeps requests
 * from going on in the real backend and in the workers.
 */
#ifndef TESTS_ENGINE_RIG_H
#define TESTS_ENGINE_RIG_H

#include "common.h"

#define BLOCK 4096
#define MOST  64

struct rig {
    struct fixture *f; /* an engine with the defaults, and the scratch */
    struct twostate_engine *engine;
    struct twostate_file *file;
    char *buffer; /* MOST blocks of 'n' for new; the file has as many of 'o' */
};

/* cmocka's: *state is a struct rig, with no engine open. Leaving closes what is. */
int rig_enter(void **state);
int rig_leave(void **state);

#define RIG_TEST(name) cmocka_unit_test_setup_teardown(name, rig_enter, rig_leave)

/* An engine of the backend whose turn it is. */
void rig_open(struct rig *rig, struct twostate_engine_options options);
/* Waits for the callbacks, unless polled. No lock is held then, and no request left. */
void rig_close(struct rig *rig);

uint32_t requests_of(const struct rig *rig);

/* What is known of the requests that have it as their arg. */
struct record {
    uint32_t calls; /* the last to be set */
    uint32_t cancelled;
    uint32_t turn; /* of all callbacks since the rig was opened */
    ssize_t result;
    int64_t waited;
    pthread_t thread;
};

twostate_done note;
uint32_t turns(void);

/* The block of the file, from or to the same place of the buffer. */
int read_block(struct rig *rig, int block, unsigned flags, struct record *record);
int write_block(struct rig *rig, int block, unsigned flags, struct record *record);
/* A request of one of the kinds there are, in turn; the answer is BLOCK, or 0 of every fifth. */
int start_some(struct rig *rig, int i, struct record *record);

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
    struct backend_op *op;
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
