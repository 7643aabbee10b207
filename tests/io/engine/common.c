/* SPDX-License-Identifier: MIT */
/* What the engine's tests share: an engine with a file that has no name, run with both backends. */
#include "common.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static enum twostate_backend backend = TWOSTATE_BACKEND_AUTO;

bool backend_next(void)
{
    const struct twostate_engine_options options = {.backend = TWOSTATE_BACKEND_URING};
    struct twostate_engine *engine = NULL;
    int result = 0;

    cmocka_set_test_filter(getenv("TEST"));
    if (backend != TWOSTATE_BACKEND_AUTO) {
        backend = TWOSTATE_BACKEND_THREADS;
        return true;
    }
    backend = TWOSTATE_BACKEND_URING;
    result = twostate_engine_create(&options, &engine);
    if (result) {
        printf("NOT TESTED: io_uring is not to be had here: %s\n", strerror(-result));
        return false;
    }
    CHECK(twostate_engine_destroy(engine) == 0);
    return true;
}

const char *test_directory(void)
{
    const char *directory = getenv("TWOSTATE_TEST_DIR");

    return directory ? directory : ".";
}

void scratch_open(struct scratch *scratch)
{
    char name[4096];

    (void)snprintf(name, sizeof(name), "%s/engine-XXXXXX", test_directory());
    scratch->fd = mkostemp(name, O_CLOEXEC);
    CHECK(scratch->fd >= 0);
    CHECK(unlink(name) == 0);
    (void)snprintf(scratch->path, sizeof(scratch->path), "/proc/self/fd/%d", scratch->fd);
}

void scratch_close(struct scratch *scratch)
{
    CHECK(close(scratch->fd) == 0);
}

struct twostate_engine *engine_new(unsigned depth, unsigned workers)
{
    const struct twostate_engine_options options = {
        .backend = backend,
        .queue_depth = depth,
        .workers = workers,
    };
    struct twostate_engine *engine = NULL;

    CHECK(twostate_engine_create(&options, &engine) == 0);
    CHECK(twostate_engine_backend(engine) == (int)backend);
    return engine;
}

struct twostate_file *file_new(struct twostate_engine *engine, const struct scratch *scratch,
                               int flags)
{
    const char *cache = getenv("TWOSTATE_TEST_CACHE");
    const bool user = cache && strcmp(cache, "user") == 0 && (flags & O_ACCMODE) == O_RDWR;
    const struct twostate_file_options options = {.cache = user ? TWOSTATE_CACHE_USER
                                                                : TWOSTATE_CACHE_KERNEL};
    struct twostate_file *file = NULL;

    CHECK(twostate_file_open_with(engine, scratch->path, flags, 0, &options, &file) == 0);
    return file;
}

int fixture_enter(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    CHECK(f);
    scratch_open(&f->scratch);
    f->engine = engine_new(0, 0);
    f->file = file_new(f->engine, &f->scratch, O_RDWR);
    *state = f;
    return 0;
}

/* pitfall E16: whatever a test did, each lock was given back exactly once. */
int fixture_leave(void **state)
{
    struct fixture *f = *state;

    if (f->file) {
        AWAIT(file_is_free(f->file)); /* who submitted last may be about to leave */
        CHECK(twostate_file_close(f->file) == 0);
    }
    CHECK(twostate_engine_destroy(f->engine) == 0);
    scratch_close(&f->scratch);
    free(f);
    return 0;
}

bool file_is_free(struct twostate_file *file)
{
    struct twostate_iopair_info info = {0};

    AWAIT(!load(&file->ahead.busy)); /* it goes on after the read, with a hold of its own */
    lease_call_in_(&file->lease);
    info = twostate_iopair_query(&file->pair);
    lease_allow_(&file->lease);
    return info.iolock.holders == 0 && info.iolock.waiting_shared == 0 &&
           info.iolock.waiting_exclusive == 0 && info.iotype.holders == 0 &&
           info.iotype.waiting_a == 0 && info.iotype.waiting_b == 0 && !info.remapping;
}

uint64_t seed_choose(void)
{
    const char *given = getenv("SEED");
    struct timespec now;
    uint64_t seed = 0;

    clock_gettime(CLOCK_REALTIME, &now);
    seed = given ? strtoull(given, NULL, 0)
                 : (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
    printf("SEED=%llu\n", (unsigned long long)seed);
    (void)fflush(stdout);
    return seed;
}

/* splitmix64, by Sebastiano Vigna (public domain). */
uint64_t random_next(struct random *random)
{
    uint64_t z = random->state += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

size_t random_below(struct random *random, size_t end)
{
    return (size_t)(random_next(random) % end);
}

void *memory_new(size_t size)
{
    void *memory = NULL;

    CHECK(posix_memalign(&memory, 4096, size) == 0);
    memset(memory, 0, size);
    return memory;
}

void pending_done(void *arg, ssize_t result)
{
    struct pending *pending = arg;

    pending->result = result;
    pending->waited = twostate_waited_ns();
    CHECK(add(&pending->done, 1) == 1);
}

int64_t pending_wait(struct pending *pending)
{
    AWAIT(load(&pending->done));
    return pending->result;
}

void disk_read(const struct scratch *scratch, void *to, size_t length, int64_t offset)
{
    const int fd = open(scratch->path, O_RDONLY | O_DIRECT | O_CLOEXEC);

    CHECK(fd >= 0);
    CHECK(pread(fd, to, length, offset) == (ssize_t)length);
    CHECK(close(fd) == 0);
}
