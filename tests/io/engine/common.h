/* SPDX-License-Identifier: MIT */
/* What the engine's tests share: an engine with a file that has no name, run with both backends. */
#ifndef TESTS_ENGINE_COMMON_H
#define TESTS_ENGINE_COMMON_H

/* cmocka.h needs the first three. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <twostate/io.h>

#include "io/engine.h"
#include "threads.h"

#define KIB ((size_t)1024)
#define MIB (1024 * KIB)

/* A file of the test's directory that has no name: path leads to it all the same. */
struct scratch {
    int fd;
    char path[32];
};

void scratch_open(struct scratch *scratch);
void scratch_close(struct scratch *scratch);

/* The directory of the test's files: $TWOSTATE_TEST_DIR, or the current one. */
const char *test_directory(void);

struct fixture {
    struct twostate_engine *engine;
    struct twostate_file *file;
    struct scratch scratch;
};

/* An engine of the backend whose turn it is. */
struct twostate_engine *engine_new(unsigned depth, unsigned workers);
struct twostate_file *file_new(struct twostate_engine *engine, const struct scratch *scratch,
                               int flags);

/* cmocka's: *state is a struct fixture. Leaving checks that no lock was left held. */
int fixture_enter(void **state);
int fixture_leave(void **state);

/* Nobody holds a lock of the file, or waits for one; the lease aside, which this ends. */
bool file_is_free(struct twostate_file *file);

/* Runs the tests, or the one that $TEST names, with each backend that the machine has. For main. */
#define RUN_WITH_BACKENDS(tests)                                                                   \
    ((backend_next() ? cmocka_run_group_tests_name("io_uring", tests, NULL, NULL) : 0) +           \
     (backend_next() ? cmocka_run_group_tests_name("threads", tests, NULL, NULL) : 0))
bool backend_next(void);

#define ENGINE_TEST(name) cmocka_unit_test_setup_teardown(name, fixture_enter, fixture_leave)

/* Random numbers: the same seed gives the same ones. */
struct random {
    uint64_t state;
};

/* From the environment's SEED, else from the clock; printed. */
uint64_t seed_choose(void);
uint64_t random_next(struct random *random);
/* 0 <= result < end */
size_t random_below(struct random *random, size_t end);

/* Memory aligned to 4096 bytes, never NULL; to be freed. */
void *memory_new(size_t size);

/* Counts callbacks. done is for requests whose result is looked at alone. */
struct pending {
    uint32_t done;
    int64_t result;
    int64_t waited;
};

twostate_done pending_done;
/* Waits for a request, which was accepted, and answers its result. */
int64_t pending_wait(struct pending *pending);

/* What is on the disk, past every cache. The file was synced before. */
void disk_read(const struct scratch *scratch, void *to, size_t length, int64_t offset);

#endif
