/* SPDX-License-Identifier: MIT */
/*
 * A daemon's event loop: one thread keeps 1000 requests of all paths going on a few files, and waits
 * nowhere but in epoll. Two more threads are the disk, which completes what was submitted; so grants
 * come from all three. The futex waits of the locks are counted: there are none.
 */
#include "peek.h"
#include "spy.h"
#include "threads.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cmocka.h>
#include <twostate/async.h>

#define FILES    4
#define AT_ONCE  1000
#define REQUESTS 6000

/* Who is in, as the exclusion table sees it. */
struct file {
    struct twostate_iopair pair;
    uint32_t in_state[2];
    uint32_t alone; /* one that has the file for itself */
};

struct request {
    struct twostate_waiter waiter;
    struct twostate_hold hold;
    struct twostate_hold completion;
    struct file *file;
    struct file *destination; /* of a remap of two files */
    enum twostate_iopath path;
    bool retries; /* an extension: is still to turn direct; else: turns out to be unaligned */
    bool queued;
    struct request *link;
};

/* Requests on their way from one thread to another. */
struct queue {
    pthread_mutex_t mutex;
    struct request *first;
    struct request **end;
};

static struct loop {
    struct file files[FILES];
    struct request requests[AT_ONCE];
    struct twostate_grants grants;
    struct queue submitted;
    struct queue completed;
    struct queue idle;
    int completions; /* an eventfd */
    uint32_t stop;
    uint64_t seed;
    unsigned begun;
    unsigned ended;
    unsigned queued;
    unsigned cancelled;
} loop;

static uint32_t chance(void)
{
    loop.seed = loop.seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(loop.seed >> 33);
}

static void put(struct queue *queue, struct request *request)
{
    pthread_mutex_lock(&queue->mutex);
    request->link = NULL;
    if (queue->first == NULL)
        queue->end = &queue->first;
    *queue->end = request;
    queue->end = &request->link;
    pthread_mutex_unlock(&queue->mutex);
}

static struct request *get(struct queue *queue)
{
    struct request *request = NULL;

    pthread_mutex_lock(&queue->mutex);
    request = queue->first;
    if (request)
        queue->first = request->link;
    pthread_mutex_unlock(&queue->mutex);
    return request;
}

static enum twostate_state state_of(const struct request *request)
{
    return request->path == TWOSTATE_DIRECT || request->path == TWOSTATE_DIRECT_EXTEND
               ? TWOSTATE_DIRECT_STATE
               : TWOSTATE_BUFFERED_STATE;
}

static void check_in(struct file *file, enum twostate_state s)
{
    add(&file->in_state[s], 1);
    CHECK(load(&file->in_state[s == TWOSTATE_A ? TWOSTATE_B : TWOSTATE_A]) == 0);
    CHECK(load(&file->alone) == 0);
}

static void check_out(struct file *file, enum twostate_state s)
{
    CHECK(load(&file->alone) == 0);
    add(&file->in_state[s], UINT32_MAX);
}

static void check_alone(struct file *file)
{
    CHECK(add(&file->alone, 1) == 1);
    for (int s = 0; s < 2; s++)
        CHECK(load(&file->in_state[s]) == 0);
    add(&file->alone, UINT32_MAX);
}

static void be_the_disk(void *unused)
{
    (void)unused;
    while (!load(&loop.stop)) {
        struct request *request = get(&loop.submitted);

        if (request == NULL) {
            const struct timespec moment = {.tv_nsec = 50000};

            nanosleep(&moment, NULL);
            continue;
        }
        check_out(request->file, state_of(request));
        twostate_iopair_complete(&request->completion);
        put(&loop.completed, request);
        CHECK(eventfd_write(loop.completions, 1) == 0);
    }
}

/* The loop's side of a request; each of these returns when the next step can't be made at once. */

static void submit(struct request *request)
{
    check_in(request->file, state_of(request));
    twostate_iopair_submitting(&request->hold, &request->completion);
    put(&loop.submitted, request);
    twostate_iopair_submitted(&request->hold); /* the disk may have completed it already */
}

static void is_over(struct request *request)
{
    loop.ended++;
    put(&loop.idle, request);
}

static void end(struct request *request)
{
    twostate_iopair_end(&request->hold);
    is_over(request);
}

/* The request holds what its path says. */
static void work(struct request *request)
{
    if (request->path == TWOSTATE_BUFFERED_WRITE || state_of(request) == TWOSTATE_DIRECT_STATE) {
        submit(request);
        return;
    }
    if (request->destination)
        check_alone(request->destination);
    if (request->path == TWOSTATE_EXCLUSIVE_IO) {
        check_alone(request->file);
    } else if (request->file != request->destination) {
        check_in(request->file, TWOSTATE_BUFFERED_STATE);
        check_out(request->file, TWOSTATE_BUFFERED_STATE);
    }
    end(request);
}

/* One step was made, or was queued. */
static void go_on(struct request *request, int result)
{
    struct twostate_waiter *waiter = &request->waiter;

    if (result == 0 && request->path == TWOSTATE_DIRECT && request->retries) {
        request->path = TWOSTATE_UNALIGNED;
        result = twostate_iopair_retry_unaligned_async(&request->hold, waiter);
    } else if (result == 0 && request->path == TWOSTATE_DIRECT_EXTEND && request->retries) {
        request->retries = false;
        result = twostate_iopair_extend_to_direct_async(&request->hold, waiter);
    }
    if (result == 0) {
        work(request);
        return;
    }
    CHECK(result == -EINPROGRESS);
    request->queued = true;
    loop.queued++;
}

static void begin(struct request *request)
{
    struct file *file = &loop.files[chance() % FILES];
    struct file *other = &loop.files[chance() % FILES];
    int result = 0;

    loop.begun++;
    request->waiter.done = twostate_grants_done;
    request->waiter.context = &loop.grants;
    request->file = file;
    request->path = (enum twostate_iopath)(chance() % (TWOSTATE_EXCLUSIVE_IO + 1));
    request->retries = request->path == TWOSTATE_DIRECT_EXTEND || chance() % 4 == 0;
    request->destination = request->path == TWOSTATE_REMAP && chance() % 2 ? other : NULL;
    if (request->destination)
        result = twostate_iopair_begin_remap_two_async(&file->pair, &other->pair, &request->hold,
                                                       &request->waiter);
    else
        result = twostate_iopair_begin_async(&file->pair, request->path, &request->hold,
                                             &request->waiter);
    go_on(request, result);
}

/* Somebody loses interest. (In an extension that is to turn direct, only in that.) */
static void cancel_one(void)
{
    struct request *request = &loop.requests[chance() % AT_ONCE];
    const bool extending = request->path == TWOSTATE_DIRECT_EXTEND && !request->retries;

    if (!request->queued || !twostate_waiter_cancel(&request->waiter))
        return;
    request->queued = false;
    loop.cancelled++;
    if (extending)
        end(request);
    else
        is_over(request);
}

static void take_events(void)
{
    struct twostate_waiter *waiter = NULL;
    struct request *request = NULL;
    eventfd_t value = 0;

    (void)eventfd_read(loop.completions, &value);
    while ((request = get(&loop.completed)) != NULL)
        is_over(request);
    while ((waiter = twostate_grants_next(&loop.grants)) != NULL) {
        request = (struct request *)(void *)waiter;
        request->queued = false;
        go_on(request, twostate_waiter_result(waiter));
    }
}

static void run_loop(int epoll)
{
    for (int n = 0; n < AT_ONCE; n++)
        put(&loop.idle, &loop.requests[n]);
    while (loop.ended < REQUESTS) {
        struct epoll_event event;
        struct request *request = NULL;

        while (loop.begun < REQUESTS && (request = get(&loop.idle)) != NULL)
            begin(request);
        if (chance() % 4 == 0)
            cancel_one();
        if (loop.ended < REQUESTS && (loop.begun == REQUESTS || loop.idle.first == NULL))
            CHECK(epoll_wait(epoll, &event, 1, 100000) == 1); /* the watchdog */
        take_events();
    }
}

static void add_to(int epoll, int fd)
{
    struct epoll_event event = {.events = EPOLLIN};

    assert_int_equal(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event), 0);
}

static void test_a_loop_that_never_blocks(void **state) /* G1, G3, G6, G9, pitfall L09 */
{
    const uint32_t waits = spy_waits();
    const int epoll = epoll_create1(EPOLL_CLOEXEC);
    const char *seed = getenv("SEED");
    struct task disks[2];

    (void)state;
    loop.seed = seed ? strtoull(seed, NULL, 0) : (uint64_t)after_ms(0).tv_nsec;
    print_message("SEED=%llu\n", (unsigned long long)loop.seed);
    pthread_mutex_init(&loop.submitted.mutex, NULL);
    pthread_mutex_init(&loop.completed.mutex, NULL);
    pthread_mutex_init(&loop.idle.mutex, NULL);
    loop.completions = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    assert_true(epoll >= 0 && loop.completions >= 0);
    assert_int_equal(twostate_grants_init(&loop.grants), 0);
    add_to(epoll, loop.grants.fd);
    add_to(epoll, loop.completions);
    for (int n = 0; n < 2; n++)
        task_start(&disks[n], be_the_disk, NULL);
    run_loop(epoll);
    store(&loop.stop, 1);
    for (int n = 0; n < 2; n++)
        task_join(&disks[n]);
    print_message("%u requests, %u waits, %u cancelled\n", loop.ended, loop.queued, loop.cancelled);
    for (int n = 0; n < FILES; n++)
        assert_true(pair_at_rest(&loop.files[n].pair));
    assert_true(loop.queued > REQUESTS / 2); /* there was something to wait for */
    assert_int_equal(spy_waits(), waits);
    twostate_grants_destroy(&loop.grants);
    close(loop.completions);
    close(epoll);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_a_loop_that_never_blocks)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
