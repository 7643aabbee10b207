/* SPDX-License-Identifier: MIT */
/*
 * The fault matrix: everything that can go wrong below the engine, in every place where it can, at
 * the first call, the second, and so on to the last, once and until it is repaired.
 *
 *     test_faults kernel|user GROUP [SCENARIO]
 *
 * After each, every request has ended once and told of its error once, the locks are free, and what
 * was acknowledged is there; what fsync said to be on disk is on disk (pitfalls E04, E13, E16).
 */
#include "inject_backend.h"
#include "run.h"

#include "engine/common.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <twostate/validate.h>

#if defined(__has_feature)
#if __has_feature(thread_sanitizer) || __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#endif
#ifdef SANITIZED /* slow: a line with one of the backends, the next line with the other */
#define MOST_TRIES    2
#define LINE_BACKENDS 2
#else
#define MOST_TRIES    64
#define LINE_BACKENDS 1
#endif

/* One line of the matrix. */
struct line {
    const char *group;
    enum call_kind kind;
    enum fault fault;
    int error;
    bool once;   /* the nth call, */
    bool onward; /* or all from the nth on */
};

static const struct line lines[] = {
    {"read", CALL_READ, FAULT_ERROR, EIO, true, true},
    {"read", CALL_READ, FAULT_LATE_ERROR, EIO, true, false},
    {"read", CALL_READ, FAULT_ERROR, ENOMEM, true, false},
    {"read", CALL_READ, FAULT_ERROR, EAGAIN, true, false},
    {"read", CALL_READ, FAULT_ERROR, EINTR, true, false},
    {"read", CALL_READ, FAULT_SHORT, 0, true, true},
    {"write", CALL_WRITE, FAULT_ERROR, EIO, true, true},
    {"write", CALL_WRITE, FAULT_LATE_ERROR, EIO, true, false},
    {"write", CALL_WRITE, FAULT_TORN, EIO, true, true},
    {"write_answers", CALL_WRITE, FAULT_ERROR, ENOSPC, true, true},
    {"write_answers", CALL_WRITE, FAULT_ERROR, EFBIG, true, false},
    {"write_answers", CALL_WRITE, FAULT_ERROR, EAGAIN, true, false},
    {"write_answers", CALL_WRITE, FAULT_ERROR, EINTR, true, false},
    {"write", CALL_WRITE, FAULT_SHORT, 0, true, true},
    {"op", CALL_OP, FAULT_ERROR, EIO, true, true},
    {"op", CALL_OP, FAULT_LATE_ERROR, EIO, true, false},
    {"op", CALL_OP, FAULT_TORN, EIO, true, true},
    {"op_answers", CALL_OP, FAULT_ERROR, ENOSPC, true, true},
    {"op_answers", CALL_OP, FAULT_ERROR, EFBIG, true, false},
    {"op_answers", CALL_OP, FAULT_ERROR, EAGAIN, true, false},
    {"op_answers", CALL_OP, FAULT_ERROR, EINTR, true, false},
    {"op_answers", CALL_OP, FAULT_ERROR, ECANCELED, true, false},
    {"held", CALL_OP, FAULT_SHORT, 0, true, true},
    {"held", CALL_OP, FAULT_HELD, 0, true, true},
    {"held", CALL_OP, FAULT_HELD_DONE, 0, true, true},
    {"sync", CALL_SYNC, FAULT_ERROR, EIO, true, true},
    {"sync", CALL_SYNC, FAULT_LATE_ERROR, ENOSPC, true, false},
    {"sync", CALL_SYNC, FAULT_ERROR, EINTR, true, false},
    {"size", CALL_TRUNCATE, FAULT_ERROR, EIO, true, true},
    {"size", CALL_TRUNCATE, FAULT_LATE_ERROR, EIO, true, false},
    {"size", CALL_TRUNCATE, FAULT_ERROR, EFBIG, true, false},
    {"size", CALL_TRUNCATE, FAULT_ERROR, EINTR, true, false},
    {"size", CALL_FALLOCATE, FAULT_ERROR, ENOSPC, true, true},
    {"size", CALL_FALLOCATE, FAULT_LATE_ERROR, EIO, true, false},
    {"size", CALL_FALLOCATE, FAULT_ERROR, EINTR, true, false},
    {"size", CALL_FSTAT, FAULT_ERROR, EIO, true, false},
    {"size", CALL_OPEN, FAULT_ERROR, EMFILE, true, false},
    {"size", CALL_OPEN_DIRECT, FAULT_ERROR, ENFILE, true, false},
    {"memory", CALL_ALLOCATE, FAULT_ERROR, ENOMEM, true, true},
    {"memory", CALL_THREAD, FAULT_ERROR, EAGAIN, true, true},
    {"ring", CALL_RING, FAULT_ERROR, ENOMEM, true, false},
    {"ring", CALL_SUBMIT, FAULT_ERROR, EAGAIN, true, false},
    {"ring", CALL_SUBMIT, FAULT_ERROR, EBUSY, true, false},
    {"ring", CALL_SUBMIT, FAULT_ERROR, EINTR, true, false},
    {"ring", CALL_SUBMIT, FAULT_ERROR, 0, true, false},
    {"ring", CALL_REAP, FAULT_ERROR, EINTR, true, false},
    {"ring", CALL_REAP, FAULT_ERROR, EAGAIN, true, false},
};

static unsigned runs, hits, failed;

static void run_with(struct setting setting, const struct trouble *trouble)
{
    bool hit = false;

    runs++;
    failed += !run_once(setting, trouble, NULL, &hit);
    hits += hit;
}

/* The line at each of so many calls; not at every one, if they are too many. Onward it is the same from
   most places on: so from every fourth. */
static void run_line(struct setting setting, const struct line *line, uint32_t calls,
                     unsigned stride)
{
    const uint32_t step = stride ? stride : 1;
    const uint32_t most = step * MOST_TRIES;
    const uint32_t each = calls > most ? (calls + MOST_TRIES - 1) / MOST_TRIES : step;

    for (uint32_t nth = 1; nth <= calls; nth += each) {
        struct trouble trouble = {line->kind, line->fault, line->error, nth, 1};

        if (line->once)
            run_with(setting, &trouble);
        trouble.times = UNTIL_HEALED;
        if (line->onward && (nth - 1) / each % 4 == 0)
            run_with(setting, &trouble);
    }
}

/* A submission queue of one, a completion queue of two; a kernel that takes nothing for a while. */
static void run_small_rings(struct setting setting, uint32_t submits)
{
    const struct trouble none = {0};

    inject_small_rings(true);
    for (int i = 0; i < 3; i++)
        run_with(setting, &none);
    for (uint32_t nth = 1; nth <= submits && nth <= 12; nth++)
        run_with(setting, &(struct trouble){CALL_SUBMIT, FAULT_ERROR, EAGAIN, nth, 4});
    inject_small_rings(false);
}

/* Where the kernel refuses a ring, threads serve. */
static void run_refused_rings(struct setting setting)
{
    const int errors[] = {ENOSYS, EPERM, ENOMEM};

    setting.backend = TWOSTATE_BACKEND_AUTO;
    for (int i = 0; i < 3; i++)
        run_with(setting, &(struct trouble){CALL_RING, FAULT_ERROR, errors[i], 1, UNTIL_HEALED});
}

static void run_setting(struct setting setting, const char *group, unsigned stride)
{
    const struct trouble none = {0};
    uint32_t calls[CALL_KINDS];
    bool hit = false;

    if (!run_once(setting, &none, calls, &hit)) {
        failed++;
        return;
    }
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
        if (strcmp(lines[i].group, group) == 0 &&
            (i + (unsigned)setting.backend) % LINE_BACKENDS == 0)
            run_line(setting, &lines[i], calls[lines[i].kind], stride);
    if (strcmp(group, "ring") == 0 && setting.backend == TWOSTATE_BACKEND_URING) {
        run_small_rings(setting, calls[CALL_SUBMIT]);
        run_refused_rings(setting);
    }
}

/* Whether files can be opened so; 0 or an error. */
static int can_have(struct setting setting)
{
    const struct twostate_engine_options options = {.backend = setting.backend};
    const struct twostate_file_options file_options = {.cache = setting.cache};
    struct twostate_engine *engine = NULL;
    struct twostate_file *file = NULL;
    struct scratch scratch;
    int result = twostate_engine_create(&options, &engine);

    if (result)
        return result;
    scratch_open(&scratch);
    result = twostate_file_open_with(engine, scratch.path, O_RDWR, 0, &file_options, &file);
    if (result == 0)
        result = twostate_file_close(file);
    scratch_close(&scratch);
    CHECK(twostate_engine_destroy(engine) == 0);
    return result;
}

static void run_scenario(const struct scenario *scenario, enum twostate_cache cache,
                         const char *group)
{
    run_prepare(scenario);
    for (int i = TWOSTATE_BACKEND_URING; i <= TWOSTATE_BACKEND_THREADS; i++) {
        const struct setting setting = {(enum twostate_backend)i, cache};
        const int result = can_have(setting);

        if (result)
            printf("NOT TESTED: %s with backend %d: %s\n", scenario->name, i, strerror(-result));
        else
            run_setting(setting, group, scenario->stride);
    }
    run_clean_up();
}

static bool is_group(const char *name)
{
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
        if (strcmp(lines[i].group, name) == 0)
            return true;
    return false;
}

int main(int argc, char **argv)
{
    const bool user = argc > 1 && strcmp(argv[1], "user") == 0;

    if (argc < 3 || !is_group(argv[2]) || (!user && strcmp(argv[1], "kernel") != 0)) {
        (void)fprintf(stderr, "usage: %s kernel|user GROUP [SCENARIO]\n", argv[0]);
        return 2;
    }
    CHECK(twostate_validate_start(TWOSTATE_VALIDATE_COLLECT, TWOSTATE_RULES_ALL) == 0);
    inject_spare(true);
    for (unsigned i = 0; i < scenario_count; i++)
        if (argc == 3 || strcmp(argv[3], scenarios[i].name) == 0)
            run_scenario(&scenarios[i], user ? TWOSTATE_CACHE_USER : TWOSTATE_CACHE_KERNEL,
                         argv[2]);
    printf("%s cache, %s: %u runs, something went wrong in %u, %u failed\n", argv[1], argv[2], runs,
           hits, failed);
    if (strcmp(argv[2], "ring") == 0)
        printf("completion queues that had overflowed: %u\n", inject_overflows());
    return failed > 0;
}
