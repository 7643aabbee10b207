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
    struct timespec used;

    pthread_barrier_wait(&crew->start);
    for (;;) {
        crew->step(crew, thread);
        if (__atomic_load_n(&crew->stop, __ATOMIC_RELAXED))
            break;
        thread->done++;
    }
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
    thread->cpu_ns = (uint64_t)used.tv_sec * 1000000000U + (uint64_t)used.tv_nsec;
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

double io_crew_run(struct io_crew *crew, uint64_t slice_ns, void (*while_running)(void *context))
{
    static struct io_thread threads[IO_MOST_THREADS];
    uint64_t began, ns, done = 0, cpu_ns = 0;

    hire(crew, threads);
    pthread_barrier_wait(&crew->start);
    began = clock_ns();
    if (while_running == NULL)
        clock_sleep(slice_ns);
    else
        while (clock_ns() - began < slice_ns) {
            clock_sleep(LOOK_EVERY_NS);
            while_running(crew->context);
        }
    __atomic_store_n(&crew->stop, true, __ATOMIC_RELAXED);
    ns = clock_ns() - began;
    for (unsigned i = 0; i < crew->threads; i++) {
        pthread_join(threads[i].thread, NULL);
        done += threads[i].done;
        cpu_ns += threads[i].cpu_ns;
        free(threads[i].buffer);
    }
    pthread_barrier_destroy(&crew->start);
    crew->cpu_ns = (double)cpu_ns / (double)(done + crew->threads);
    return (double)done * 1e9 / (double)ns;
}
