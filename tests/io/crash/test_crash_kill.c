/* SPDX-License-Identifier: MIT */
/*
 * kill -9: a process works on a file and is killed at a random point, again and again. Whatever it
 * was told to be durable is there.
 *
 * The kernel's page cache outlives the process, so with it nothing at all is lost; what the user
 * cache had not written is.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "ledger.h"
#include "load.h"
#include "options.h"
#include "verify.h"

enum {
    LIMIT = 1 << 18,      /* events of one file */
    FILE_BYTES = 8 << 20, /* that cells take */
    MOST_EVENTS = 1000,   /* before a kill */
    QUOTA = 600,          /* events between two openings */
    WATCHDOG_MS = 100000,
};

struct run {
    struct options options;
    struct ledger *ledger;
    uint64_t random;
    int fd;
    char path[32];
};

static void pause_ms(long ms)
{
    const struct timespec time = {.tv_nsec = ms * 1000000};

    nanosleep(&time, NULL);
}

/* A file without a name: nothing is left of it, whatever happens. */
static void file_new(struct run *run)
{
    const char *directory = getenv("TWOSTATE_TEST_DIR");
    char name[4096];

    if (run->fd >= 0)
        close(run->fd);
    (void)snprintf(name, sizeof(name), "%s/crash-XXXXXX", directory ? directory : ".");
    run->fd = mkostemp(name, O_CLOEXEC);
    if (run->fd < 0 || unlink(name) < 0)
        die(name);
    (void)snprintf(run->path, sizeof(run->path), "/proc/self/fd/%d", run->fd);
}

static void start_over(struct run *run)
{
    const struct shape shape = shape_choose(random_next(&run->random), FILE_BYTES);

    file_new(run);
    if (shape.records && ftruncate(run->fd, shape_end(&shape)) < 0)
        die("ftruncate");
    ledger_clear(run->ledger, &shape);
    (void)printf("cells of %u, runs of %u, %u threads%s\n", shape.cell, shape.run, shape.threads,
                 shape.records ? ", records" : "");
}

/* What the child ends with: 0, or an error number. */
static void work(const struct run *run, uint64_t seed)
{
    const struct load load = {
        .ledger = run->ledger,
        .path = run->path,
        .backend = run->options.backend,
        .cache = run->options.cache,
        .seed = seed,
        .quota = QUOTA,
        .openings = MOST_EVENTS / QUOTA + 1,
        .skip_sync = run->options.lie != NULL,
    };

    _exit(-load_run(&load) & 0xff);
}

/* Until there are so many in all, or the child has ended. False: it hangs. */
static bool await(const struct run *run, pid_t child, uint32_t events)
{
    for (int ms = 0; ms < WATCHDOG_MS; ms++) {
        siginfo_t ended = {.si_pid = 0};

        if (ledger_count(run->ledger) >= events)
            return true;
        if (waitid(P_PID, (id_t)child, &ended, WEXITED | WNOHANG | WNOWAIT) < 0)
            die("waitid");
        if (ended.si_pid == child)
            return true;
        pause_ms(1);
    }
    return false;
}

/* Direct writes that were in flight may end after their process. fallocate waits for them. */
static void await_writes(int fd)
{
    struct stat st;

    if (fstat(fd, &st) == 0 && st.st_size > 0)
        (void)!fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 1);
}

static uint32_t check(const struct run *run, bool hangs, int status)
{
    const struct event *failure = ledger_failure(run->ledger);
    uint32_t wrong = 0;

    if (WIFEXITED(status) && WEXITSTATUS(status) == EOPNOTSUPP)
        skip("no user cache on this file system", 0);
    if (WIFEXITED(status) && WEXITSTATUS(status) == ENOSYS)
        skip("this backend is not to be had", 0);
    if (hangs || (WIFEXITED(status) && WEXITSTATUS(status)) ||
        (WIFSIGNALED(status) && WTERMSIG(status) != SIGKILL)) {
        (void)printf("  WRONG: the child %s, status %x\n", hangs ? "hung" : "failed", status);
        wrong++;
    }
    if (failure) {
        (void)printf("  WRONG: a call answered %" PRId64 "\n", failure->offset);
        wrong++;
    }
    await_writes(run->fd);
    return wrong + verify(run->ledger, 0, run->fd, true, run->options.lie != NULL);
}

static uint32_t round_run(struct run *run)
{
    const uint64_t seed = random_next(&run->random);
    const uint32_t events = ledger_count(run->ledger) + random_below(&run->random, MOST_EVENTS);
    bool hangs = false;
    int status = 0;
    pid_t child = 0;

    ledger_add(run->ledger, (struct event){.kind = EVENT_LIFE});
    child = fork_bound();
    if (child == 0)
        work(run, seed);
    hangs = !await(run, child, events);
    kill(child, SIGKILL);
    if (waitpid(child, &status, 0) != child)
        die("waitpid");
    return check(run, hangs, status);
}

/* Mostly a process goes on with the file of the one before it; not after something was wrong. */
static uint32_t rounds(struct run *run)
{
    bool fresh = true;
    uint32_t wrong = 0;

    for (uint32_t i = 0; i < run->options.rounds && !(run->options.lie && wrong); i++) {
        uint32_t found = 0;

        if (fresh || random_below(&run->random, 3) == 0 ||
            ledger_count(run->ledger) > LIMIT - 2 * MOST_EVENTS)
            start_over(run);
        found = round_run(run);
        fresh = found > 0;
        wrong += found;
        if (found && !run->options.lie)
            (void)printf("round %u: %u wrong\n", i, found);
    }
    return wrong;
}

int main(int argc, char **argv)
{
    struct run run = {.options = options_parse(argc, argv, 30), .fd = -1};
    uint32_t wrong = 0;

    run.random = run.options.seed;
    run.ledger = ledger_new(LIMIT);
    wrong = rounds(&run);
    close(run.fd);
    ledger_free(run.ledger);
    return options_judge(&run.options, wrong);
}
