/* SPDX-License-Identifier: MIT */
/* Threads that all do the same until the time is up. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bench_io.h"
#include "clock.h"

#define LOOK_EVERY_NS 1000000

static void *work(void *arg)
{
    struct io_thread *thread = arg;
    struct io_crew *crew = thread->crew;

    pthread_barrier_wait(&crew->start);
    do {
        crew->step(crew, thread);
        __atomic_store_n(&thread->done, thread->done + 1, __ATOMIC_RELAXED);
    } while (!__atomic_load_n(&crew->stop, __ATOMIC_RELAXED));
    return NULL;
}

static void hire(struct io_crew *crew, struct io_thread *threads)
{
    memset(threads, 0, IO_MOST_THREADS * sizeof(*threads));
    crew->stop = false;
    pthread_barrier_init(&crew->start, NULL, crew->threads + 1);
    for (unsigned i = 0; i < crew->threads; i++) {
        threads[i].crew = crew;
        threads[i].number = i;
        threads[i].seed = (i + 1) * UINT64_C(0x9e3779b97f4a7c15);
        threads[i].buffer = io_buffer(IO_LARGEST);
        if (pthread_create(&threads[i].thread, NULL, work, &threads[i]) != 0)
            io_die("thread", EAGAIN);
    }
}

/* What the crew has done up to a moment. */
struct account {
    uint64_t at, done, cpu_ns;
};

static struct account account_now(const struct io_crew *crew, const struct io_thread *threads)
{
    struct account now = {.at = clock_ns()};

    for (unsigned i = 0; i < crew->threads; i++) {
        struct timespec used = {0};
        clockid_t clock;

        now.done += __atomic_load_n(&threads[i].done, __ATOMIC_RELAXED);
        if (pthread_getcpuclockid(threads[i].thread, &clock) == 0)
            clock_gettime(clock, &used);
        now.cpu_ns += (uint64_t)used.tv_sec * 1000000000U + (uint64_t)used.tv_nsec;
    }
    return now;
}

double io_crew_run(struct io_crew *crew, uint64_t slice_ns, void (*while_running)(void *context))
{
    static struct io_thread threads[IO_MOST_THREADS];
    struct account begun, ended;

    hire(crew, threads);
    pthread_barrier_wait(&crew->start);
    if (crew->warm_ns > 0)
        clock_sleep(crew->warm_ns);
    begun = account_now(crew, threads);
    if (while_running == NULL)
        clock_sleep(slice_ns);
    else
        while (clock_ns() - begun.at < slice_ns) {
            clock_sleep(LOOK_EVERY_NS);
            while_running(crew->context);
        }
    ended = account_now(crew, threads);
    __atomic_store_n(&crew->stop, true, __ATOMIC_RELAXED);
    for (unsigned i = 0; i < crew->threads; i++) {
        pthread_join(threads[i].thread, NULL);
        free(threads[i].buffer);
    }
    pthread_barrier_destroy(&crew->start);
    ended.done -= begun.done;
    crew->cpu_ns = (double)(ended.cpu_ns - begun.cpu_ns) / (double)(ended.done + crew->threads);
    return (double)ended.done * 1e9 / (double)(ended.at - begun.at);
}

double io_crew_turn(struct io_crew *crew, uint64_t slice_ns)
{
    double ops_per_s = 0;

    for (; ops_per_s == 0; slice_ns *= 2)
        ops_per_s = io_crew_run(crew, slice_ns, NULL);
    return ops_per_s;
}

void io_shuffle(unsigned *turns, unsigned count, uint64_t *seed)
{
    for (unsigned i = 0; i < count; i++) {
        const unsigned other = (unsigned)(io_random(seed) % (i + 1));

        if (other < i)
            turns[i] = turns[other];
        turns[other] = i;
    }
}
