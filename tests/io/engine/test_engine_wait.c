/* SPDX-License-Identifier: MIT */
/*
 * twostate_engine_wait: whoever waits completes requests himself, and nobody misses one, whoever else
 * waits, polls, starts requests, or goes away.
 */
#include "rig.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "io/turn.h"

/* How often the kernel was handed something. */
static uint32_t submits;

struct io_uring;
int __real_io_uring_submit(struct io_uring *ring);
int __wrap_io_uring_submit(struct io_uring *ring);

int __wrap_io_uring_submit(struct io_uring *ring)
{
    add(&submits, 1);
    return __real_io_uring_submit(ring);
}

/* How often the descriptor was told that something is due. */
static uint32_t tells;

int __real_eventfd_write(int fd, eventfd_t value);
int __wrap_eventfd_write(int fd, eventfd_t value);

int __wrap_eventfd_write(int fd, eventfd_t value)
{
    add(&tells, 1);
    return __real_eventfd_write(fd, value);
}

/* How many calls of these two succeed. */
static uint32_t epolls = UINT32_MAX;

int __real_epoll_create1(int flags);
int __real_epoll_ctl(int epoll, int what, int fd, struct epoll_event *event);
int __wrap_epoll_create1(int flags);
int __wrap_epoll_ctl(int epoll, int what, int fd, struct epoll_event *event);

static bool refused(void)
{
    if (epolls > 0) {
        epolls--;
        return false;
    }
    errno = ENOMEM;
    return true;
}

int __wrap_epoll_create1(int flags)
{
    return refused() ? -1 : __real_epoll_create1(flags);
}

int __wrap_epoll_ctl(int epoll, int what, int fd, struct epoll_event *event)
{
    return refused() ? -1 : __real_epoll_ctl(epoll, what, fd, event);
}

static bool readable(int fd)
{
    struct pollfd pollfd = {.fd = fd, .events = POLLIN};

    assert_true(fd >= 0);
    return poll(&pollfd, 1, 0) == 1;
}

static int enter(void **state)
{
    (void)rig_enter(state);
    rig_open(*state, (struct twostate_engine_options){.polled = true});
    return 0;
}

static bool by_uring(const struct rig *rig)
{
    return twostate_engine_backend(rig->engine) == TWOSTATE_BACKEND_URING;
}

static void arguments(void **state)
{
    struct rig *rig = *state;

    assert_int_equal(twostate_engine_wait(NULL, 1, 0), -EINVAL);
    assert_int_equal(twostate_engine_wait(rig->f->engine, 1, 0), -EINVAL); /* not polled */
    assert_int_equal(twostate_engine_wait(rig->engine, 1, 0), 0);
    assert_int_equal(twostate_engine_wait(rig->engine, 1, 1), 0);
}

/* Nor does it wait, or go round for ever, when something is due. */
static void no_callback_wanted(void **state)
{
    struct record record = {0};
    struct rig *rig = *state;

    assert_int_equal(twostate_engine_wait(rig->engine, 0, -1), 0);
    assert_int_equal(twostate_fsync_async(rig->file, note, &record), 0);
    AWAIT(twostate_engine_wait(rig->engine, 0, -1) == 0 && due_count_(rig->engine->due) == 1);
    assert_int_equal(twostate_engine_wait(rig->engine, 0, -1), 0);
    assert_int_equal(twostate_engine_poll(rig->engine, 0), 0);
    assert_int_equal(record.calls, 0);
    assert_int_equal(twostate_engine_wait(rig->engine, 1, -1), 1);
    assert_int_equal(record.calls, 1);
}

static void in_the_waiter(void **state)
{
    struct record records[MOST] = {0};
    struct rig *rig = *state;
    int made = 0;

    for (int i = 0; i < MOST; i++)
        assert_int_equal(start_some(rig, i, &records[i]), 0);
    while (made < MOST) {
        const int now = twostate_engine_wait(rig->engine, 7, -1);

        assert_in_range(now, 1, 7);
        made += now;
        assert_int_equal(turns(), made);
        assert_int_equal(requests_of(rig), MOST - made);
    }
    for (int i = 0; i < MOST; i++) {
        assert_int_equal(load(&records[i].calls), 1);
        assert_int_equal(records[i].result, i % 5 == 4 ? 0 : BLOCK);
        assert_true(pthread_equal(records[i].thread, pthread_self()));
    }
    assert_int_equal(twostate_engine_wait(rig->engine, 7, 0), 0);
}

/* A callback starts the next request, and may not wait. */
struct chain {
    struct rig *rig;
    uint32_t links;
    uint32_t most;
};

static void next_link(void *arg, ssize_t result)
{
    struct chain *chain = arg;
    const struct iovec iov = {chain->rig->buffer, BLOCK};
    const int refused = chain->rig->engine->due ? -EDEADLK : -EINVAL;
    const uint32_t most = chain->most; /* the chain may be gone once its last link is counted */

    CHECK(result == BLOCK);
    CHECK(twostate_engine_wait(chain->rig->engine, 1, 0) == refused);
    if (add(&chain->links, 1) < most)
        CHECK(twostate_preadv_async(chain->rig->file, &iov, 1, 0, TWOSTATE_IO_DIRECT, next_link,
                                    chain) == 0);
}

static void from_callbacks(void **state)
{
    struct rig *rig = *state;
    struct chain chains[20] = {0};
    const struct iovec iov = {rig->buffer, BLOCK};

    for (int i = 0; i < 20; i++) {
        chains[i] = (struct chain){.rig = rig, .most = 50};
        assert_int_equal(
            twostate_preadv_async(rig->file, &iov, 1, 0, TWOSTATE_IO_DIRECT, next_link, &chains[i]),
            0);
    }
    for (int made = 0; made < 20 * 50;) {
        const int now = twostate_engine_wait(rig->engine, UINT_MAX, -1);

        assert_in_range(now, 1, 20);
        made += now;
    }
    for (int i = 0; i < 20; i++)
        assert_int_equal(chains[i].links, 50);
}

/*
 * How often the kernel is handed something when 30 callbacks start a request each: at least for the
 * first 16, once for the rest, and once to make the thread stand aside, if it does not already. And
 * 30 requests that are none of callbacks are handed on one by one.
 */
static uint32_t submits_of_30(struct rig *rig)
{
    const struct iovec iov = {rig->buffer, BLOCK};
    struct chain chains[30] = {0};
    uint32_t before = 0;
    uint32_t result = 0;

    assert_int_equal(twostate_engine_wait(rig->engine, 1, 0), 0);
    before = load(&submits);
    for (int i = 0; i < 30; i++) {
        chains[i] = (struct chain){.rig = rig, .most = 2};
        assert_int_equal(
            twostate_preadv_async(rig->file, &iov, 1, 0, TWOSTATE_IO_DIRECT, next_link, &chains[i]),
            0);
    }
    assert_true(load(&submits) - before >= 30);
    AWAIT(due_count_(rig->engine->due) == 30);
    before = load(&submits);
    assert_int_equal(twostate_engine_wait(rig->engine, 30, -1), 30);
    result = load(&submits) - before;
    assert_true(result >= 17);
    while (requests_of(rig) > 0)
        assert_true(twostate_engine_wait(rig->engine, 30, -1) > 0);
    return result;
}

/* If the thread takes the ring back in between, which a slow machine lets it, there are more. */
static void collected(void **state)
{
    int rounds = 0;

    if (!by_uring(*state))
        skip();
    while (submits_of_30(*state) > 22)
        assert_true(++rounds < 1000);
}

/* The thread that makes the callbacks does the same. Alone, each request would be handed on. */
static uint32_t submits_of_chains(struct rig *rig, struct chain *chains, uint32_t count)
{
    const struct iovec iov = {rig->buffer, BLOCK};
    const uint32_t before = load(&submits);

    for (uint32_t i = 0; i < count; i++) {
        chains[i] = (struct chain){.rig = rig, .most = 10};
        assert_int_equal(
            twostate_preadv_async(rig->file, &iov, 1, 0, TWOSTATE_IO_DIRECT, next_link, &chains[i]),
            0);
    }
    for (uint32_t i = 0; i < count; i++)
        AWAIT(load(&chains[i].links) == 10);
    return load(&submits) - before;
}

static void collected_by_the_thread(void **state)
{
    struct rig *rig = *state;
    struct chain chains[60];
    int rounds = 0;

    rig_open(rig, (struct twostate_engine_options){.polled = false});
    if (!by_uring(rig))
        skip();
    while (submits_of_chains(rig, chains, 60) >= 60 * 10)
        assert_true(++rounds < 200);
}

/* Someone else's doing ends the wait. */

struct waiter {
    struct task task;
    struct twostate_engine *engine;
    pthread_t thread;
    int timeout_ms;
    uint32_t begun;
    int made;
};

static void wait_for_one(void *arg)
{
    struct waiter *waiter = arg;

    waiter->thread = pthread_self();
    store(&waiter->begun, 1);
    waiter->made = twostate_engine_wait(waiter->engine, 1, waiter->timeout_ms);
}

static void start_waiter(struct waiter *waiter, struct rig *rig, int timeout_ms)
{
    *waiter = (struct waiter){.engine = rig->engine, .timeout_ms = timeout_ms};
    task_start(&waiter->task, wait_for_one, waiter);
    AWAIT(load(&waiter->begun));
}

static void anothers_request(void **state)
{
    const unsigned flags[] = {TWOSTATE_IO_DIRECT, 0, TWOSTATE_IO_NOWAIT | TWOSTATE_IO_DIRECT};
    struct rig *rig = *state;

    /* Some of these find the waiter in the kernel, some before it gets there. */
    for (int round = 0; round < 300; round++) {
        struct record record = {0};
        struct waiter waiter;

        start_waiter(&waiter, rig, -1);
        if (read_block(rig, round % MOST, flags[round % 3], &record) != 0)
            assert_int_equal(read_block(rig, round % MOST, 0, &record), 0);
        task_join(&waiter.task);
        assert_int_equal(waiter.made, 1);
        assert_int_equal(load(&record.calls), 1);
        assert_true(pthread_equal(record.thread, waiter.thread));
    }
}

/* A request that a worker has is none of the ring's: the waiter is in the kernel when it ends. */
static void ended_by_a_worker(void **state)
{
    struct rig *rig = *state;
    struct busy all[4];

    for (int round = 0; round < 20; round++) {
        struct record record = {0};
        struct waiter waiter;

        for (int i = 0; i < 4; i++) /* all the workers that there are */
            busy_start(&all[i], rig->engine);
        assert_int_equal(read_block(rig, 0, 0, &record), 0);
        start_waiter(&waiter, rig, -1);
        for (int i = 0; i < 4; i++)
            busy_end(&all[i]);
        task_join(&waiter.task);
        assert_int_equal(waiter.made, 1);
        assert_int_equal(load(&record.calls), 1);
    }
}

static void ignore(int signal)
{
    (void)signal;
}

static void signals(void **state)
{
    struct rig *rig = *state;
    const struct sigaction action = {.sa_handler = ignore};
    struct record record = {0};
    struct waiter waiter;

    assert_int_equal(sigaction(SIGUSR1, &action, NULL), 0);
    start_waiter(&waiter, rig, -1);
    for (int i = 0; i < 50; i++) {
        assert_int_equal(pthread_kill(waiter.thread, SIGUSR1), 0);
        assert_int_equal(sched_yield(), 0);
    }
    assert_false(task_done(&waiter.task));
    assert_int_equal(read_block(rig, 0, TWOSTATE_IO_DIRECT, &record), 0);
    task_join(&waiter.task);
    assert_int_equal(waiter.made, 1);
}

/* Several wait, poll and start at once. */

enum { THREADS = 4, EACH = 500 };

struct member {
    struct task task;
    struct rig *rig;
    struct record *records;
    uint32_t *made; /* by all */
    unsigned number;
};

static void take_part(void *arg)
{
    struct member *member = arg;

    for (int i = 0; i < EACH; i++) {
        const int made = member->number % 2 ? twostate_engine_wait(member->rig->engine, 3, i % 3)
                                            : twostate_engine_poll(member->rig->engine, 3);

        CHECK(made >= 0 && made <= 3);
        add(member->made, (uint32_t)made);
        CHECK(read_block(member->rig, i % MOST, i % 3 ? TWOSTATE_IO_DIRECT : 0,
                         &member->records[i]) == 0);
    }
    while (load(member->made) < THREADS * EACH) {
        const int made = twostate_engine_wait(member->rig->engine, 3, 10);

        CHECK(made >= 0 && made <= 3);
        add(member->made, (uint32_t)made);
    }
}

static void all_at_once(void **state)
{
    struct rig *rig = *state;
    struct record *records = calloc((size_t)THREADS * EACH, sizeof(*records));
    struct member members[THREADS];
    uint32_t made = 0;

    assert_non_null(records);
    for (unsigned i = 0; i < THREADS; i++) {
        members[i] = (struct member){
            .rig = rig, .records = records + (size_t)i * EACH, .made = &made, .number = i};
        task_start(&members[i].task, take_part, &members[i]);
    }
    for (unsigned i = 0; i < THREADS; i++)
        task_join(&members[i].task);
    assert_int_equal(load(&made), THREADS * EACH);
    for (int i = 0; i < THREADS * EACH; i++) {
        assert_int_equal(load(&records[i].calls), 1);
        assert_int_equal(records[i].result, BLOCK);
    }
    free(records);
}

/* Locks don't wait for a waiter that does not come back; calls that do are not kept by it. */
static void gone_away(void **state)
{
    struct rig *rig = *state;

    for (int round = 0; round < 20; round++) {
        struct record records[10] = {0};
        char byte;

        assert_int_equal(read_block(rig, 0, TWOSTATE_IO_DIRECT, &records[0]), 0);
        assert_int_equal(twostate_engine_wait(rig->engine, 1, -1), 1);
        for (int i = 1; i < 10; i++)
            assert_int_equal(write_block(rig, i, TWOSTATE_IO_DIRECT, &records[i]), 0);
        if (round % 2)
            assert_int_equal(twostate_pread(rig->file, &byte, 1, 0, 0), 1);
        AWAIT(file_is_free(rig->file));
        assert_int_equal(turns(), 10 * round + 1);
        for (int made = 0; made < 9;)
            made += twostate_engine_wait(rig->engine, 10, -1);
    }
    /* Close makes the callbacks of one who has gone. */
    assert_int_equal(read_block(rig, 0, TWOSTATE_IO_DIRECT, &(struct record){0}), 0);
    assert_int_equal(twostate_file_close(rig->file), 0);
    rig->file = NULL;
}

/* From the first call of twostate_engine_fd on the descriptor says what is due, before it too. */
static void descriptor_asked_late(void **state)
{
    struct rig *rig = *state;
    struct pollfd fd = {.events = POLLIN};
    struct record records[3] = {0};

    assert_int_equal(read_block(rig, 0, TWOSTATE_IO_DIRECT, &records[0]), 0);
    assert_int_equal(twostate_engine_wait(rig->engine, 1, -1), 1);
    assert_int_equal(read_block(rig, 0, TWOSTATE_IO_DIRECT, &records[1]), 0);
    AWAIT(due_count_(rig->engine->due) == 1);
    fd.fd = twostate_engine_fd(rig->engine);
    assert_int_equal(poll(&fd, 1, 0), 1);
    assert_int_equal(twostate_engine_wait(rig->engine, 1, -1), 1);
    assert_int_equal(poll(&fd, 1, 0), 0);
    for (int i = 0; i < 20; i++) { /* nobody keeps the completions from it */
        records[2] = (struct record){0};
        assert_int_equal(read_block(rig, 0, TWOSTATE_IO_DIRECT, &records[2]), 0);
        assert_int_equal(poll(&fd, 1, 100000), 1);
        assert_int_equal(twostate_engine_wait(rig->engine, 1, -1), 1);
    }
}

/* Whoever is about to wait for requests tells the backend. */
static uint32_t recalls;

static void count_recall(struct backend *backend)
{
    (void)backend;
    add(&recalls, 1);
}

static void waits_for_mode(void *arg)
{
    struct rig *rig = arg;
    char byte;

    CHECK(twostate_pread(rig->file, &byte, 1, 0, 0) == 1);
}

static void told_of_waits(void **state)
{
    struct rig *rig = *state;
    struct record record = {0};
    struct holding holding;
    struct backend_ops ops;
    struct task task;

    holding_start(&holding, rig->engine);
    ops = *holding.backend.ops;
    ops.recall = count_recall;
    holding.backend.ops = &ops;
    store(&recalls, 0);
    assert_int_equal(read_block(rig, 0, TWOSTATE_IO_DIRECT, &record), 0);
    assert_int_equal(load(&recalls), 0);
    task_start(&task, waits_for_mode, rig);
    AWAIT(twostate_iopair_query(&rig->file->pair).iotype.waiting_a == 1);
    assert_int_equal(load(&recalls), 1);
    holding_release(&holding, 0, 0, 0);
    task_join(&task);
    assert_int_equal(twostate_fsync(rig->file), 0);
    assert_int_equal(load(&recalls), 2);
    assert_int_equal(twostate_file_close(rig->file), 0);
    rig->file = NULL;
    assert_true(load(&recalls) > 2);
    assert_int_equal(twostate_engine_poll(rig->engine, 1), 0); /* close has made it */
    holding_stop(&holding, rig->engine);
}

/* Who completes requests, where the backend lets the callers do it. */

struct lending {
    struct backend_ops ops;
    uint32_t lent; /* to a thread, now */
    uint32_t asked;
    uint32_t slow; /* who asks in vain is not to know yet */
    uint32_t back; /* the thread may give it back */
    int event;     /* the backend's descriptor */
};

static struct lending lending;

static bool lend(struct backend *backend, bool waits)
{
    uint32_t nobody = 0;

    (void)backend;
    (void)waits;
    add(&lending.asked, 1);
    if (__atomic_compare_exchange_n(&lending.lent, &nobody, 1, false, __ATOMIC_ACQ_REL,
                                    __ATOMIC_ACQUIRE))
        return true;
    AWAIT(!load(&lending.slow));
    return false;
}

static void keep(struct backend *backend, int64_t ns, struct cds_list_head *completed)
{
    (void)backend;
    (void)completed;
    if (ns > 0)
        AWAIT(load(&lending.back));
}

static void give_back(struct backend *backend)
{
    (void)backend;
    store(&lending.lent, 0);
}

static void nothing(struct backend *backend)
{
    (void)backend;
}

static void lend_from(struct holding *holding, struct rig *rig)
{
    holding_start(holding, rig->engine);
    lending = (struct lending){.ops = *holding->backend.ops};
    lending.ops.enter = lend;
    lending.ops.poll = keep;
    lending.ops.leave = give_back;
    lending.ops.wake = nothing;
    holding->backend.ops = &lending.ops;
}

/* When the one who has it goes, another that waits, or is about to, asks for it. */
static void pass_on(struct rig *rig, uint32_t slow)
{
    struct record record = {0};
    struct waiter waiters[2];
    struct holding holding;
    uint32_t asked = 0;

    lend_from(&holding, rig);
    store(&lending.slow, slow);
    start_waiter(&waiters[0], rig, 1);
    AWAIT(load(&lending.lent));
    start_waiter(&waiters[1], rig, -1);
    AWAIT(load(&lending.asked) == 2);
    store(&lending.back, 1); /* the first looks once more, and is gone */
    task_join(&waiters[0].task);
    assert_int_equal(waiters[0].made, 0);
    asked = load(&lending.asked);
    store(&lending.slow, 0);
    AWAIT(load(&lending.asked) > asked); /* the second, over and over */
    assert_int_equal(read_block(rig, 0, TWOSTATE_IO_DIRECT, &record), 0);
    holding_release(&holding, 0, 0, 0);
    task_join(&waiters[1].task);
    assert_int_equal(waiters[1].made, 1);
    holding_stop(&holding, rig->engine);
}

static void passed_on(void **state)
{
    pass_on(*state, 0);
    pass_on(*state, 1);
}

static int event_of(struct backend *backend)
{
    (void)backend;
    return lending.event;
}

/* Nobody, once there is a descriptor that says nothing of the backend. */
static void not_with_an_eventfd(void **state)
{
    struct rig *rig = *state;

    for (uint32_t succeed = 0; succeed < 4; succeed++) {
        struct record record = {0};
        struct holding holding;
        int fd = -1;

        rig_close(rig);
        rig_open(rig, (struct twostate_engine_options){.polled = true});
        lend_from(&holding, rig);
        lending.event = eventfd(0, EFD_NONBLOCK);
        if (succeed < 3)
            lending.ops.fd = event_of;
        assert_int_equal(twostate_engine_wait(rig->engine, 1, 0), 0);
        assert_int_equal(twostate_engine_poll(rig->engine, 1), 0);
        assert_int_equal(load(&lending.asked), 2);
        epolls = succeed;
        errno = 0;
        fd = twostate_engine_fd(rig->engine);
        assert_int_equal(errno, 0);
        epolls = UINT32_MAX;
        assert_int_equal(twostate_engine_fd(rig->engine), fd); /* it stays so */
        assert_int_equal(twostate_engine_wait(rig->engine, 1, 0), 0);
        assert_int_equal(twostate_engine_poll(rig->engine, 1), 0);
        assert_int_equal(load(&lending.asked), 2);
        assert_int_equal(read_block(rig, 0, TWOSTATE_IO_DIRECT, &record), 0);
        assert_false(readable(fd));
        holding_release(&holding, 0, 0, 0);
        assert_true(readable(fd));
        assert_int_equal(twostate_engine_poll(rig->engine, 1), 1);
        assert_false(readable(fd));
        holding_stop(&holding, rig->engine);
        close(lending.event);
    }
}

static bool any(const struct job *job, const void *context)
{
    (void)job;
    (void)context;
    return true;
}

/* All that is held. */
static void hand_over(struct backend *backend, int64_t ns, struct cds_list_head *completed)
{
    struct backend_op *op = NULL;
    eventfd_t value = 0;

    (void)ns;
    (void)eventfd_read(lending.event, &value);
    lending.ops.take(backend, any, NULL, completed);
    cds_list_for_each_entry(op, completed, job.node) op->result = BLOCK;
}

static void complete_all(void)
{
    const eventfd_t one = 1;

    assert_int_equal(write(lending.event, &one, sizeof(one)), sizeof(one));
}

/* With one that does, pollers go on taking what has completed, and say what they leave. */
static void by_descriptor(void **state)
{
    struct rig *rig = *state;
    struct record records[4] = {0};
    struct holding holding;
    int fd = -1;

    lend_from(&holding, rig);
    lending.event = eventfd(0, EFD_NONBLOCK);
    lending.ops.fd = event_of;
    lending.ops.poll = hand_over;
    fd = twostate_engine_fd(rig->engine);
    for (int i = 0; i < 3; i++)
        assert_int_equal(read_block(rig, i, TWOSTATE_IO_DIRECT, &records[i]), 0);
    assert_false(readable(fd));
    complete_all();
    assert_true(readable(fd));
    store(&tells, 0);
    assert_int_equal(twostate_engine_poll(rig->engine, 1), 1);
    assert_int_equal(load(&lending.asked), 1);
    assert_int_equal(load(&tells), 1);
    assert_true(readable(fd)); /* for two are left */
    assert_int_equal(twostate_engine_poll(rig->engine, 9), 2);
    assert_false(readable(fd));
    for (int i = 0; i < 3; i++)
        assert_int_equal(records[i].calls, 1);

    assert_int_equal(read_block(rig, 0, TWOSTATE_IO_DIRECT, &records[3]), 0);
    complete_all();
    assert_true(readable(fd));
    assert_int_equal(twostate_engine_wait(rig->engine, 1, -1), 1);
    assert_int_equal(load(&tells), 1); /* it was taken by who brought it */
    assert_false(readable(fd));

    records[3] = (struct record){0};
    assert_int_equal(read_block(rig, 0, TWOSTATE_IO_DIRECT, &records[3]), 0);
    holding_release(&holding, 0, 0, 0); /* as by a thread of the engine */
    assert_int_equal(load(&tells), 2);
    assert_true(readable(fd));
    assert_int_equal(twostate_engine_poll(rig->engine, 9), 1);
    assert_false(readable(fd));
    holding_stop(&holding, rig->engine);
    close(lending.event);
}

static void came_back(struct backend_op *op)
{
    (void)op;
}

/* The ring's own. */
static void ring_descriptor(void **state)
{
    struct rig *rig = *state;
    struct backend *backend = rig->engine->backend;
    const struct iovec iov = {rig->buffer, BLOCK};
    struct pollfd fd = {.events = POLLIN};

    if (!by_uring(rig))
        skip();
    fd.fd = backend->ops->fd(backend);
    for (int i = 0; i < 20; i++) {
        struct backend_op op = {
            .iov = &iov, .count = 1, .fd = rig->file->direct_fd, .done = came_back};
        CDS_LIST_HEAD(completed);

        assert_true(backend->ops->enter(backend, true));
        assert_false(readable(fd.fd));
        backend->ops->submit(backend, &op);
        assert_int_equal(poll(&fd, 1, 100000), 1);
        assert_true(cds_list_empty(&completed));
        backend->ops->poll(backend, 0, &completed);
        assert_ptr_equal(cds_list_first_entry(&completed, struct backend_op, job.node), &op);
        assert_int_equal(op.result, BLOCK);
        assert_false(readable(fd.fd));
        backend->ops->leave(backend);
    }
}

/* The turn itself. */

struct stander {
    struct task task;
    struct turn turn;
    uint32_t asked;
    uint32_t stood; /* aside, and has come back */
    uint32_t end;
};

static void ask(void *arg)
{
    struct stander *stander = arg;

    store(&stander->asked, 1);
}

static void stand(void *arg)
{
    struct stander *stander = arg;

    while (!load(&stander->end)) {
        if (!load(&stander->asked))
            continue;
        store(&stander->asked, 0);
        turn_stand_aside_(&stander->turn);
        add(&stander->stood, 1);
    }
}

static bool is(struct turn *turn, const bool *what)
{
    bool value = false;

    pthread_mutex_lock(&turn->mutex);
    value = *what;
    pthread_mutex_unlock(&turn->mutex);
    return value;
}

/* A poller that does not wait asks, once, and has the turn when he comes again. */
static void turn_without_waiting(void **state)
{
    struct stander stander = {0};
    struct turn *turn = &stander.turn;

    (void)state;
    turn_init_(turn);
    assert_false(turn_enter_(turn, false, ask, &stander));
    assert_int_equal(load(&stander.asked), 1);
    store(&stander.asked, 0);
    assert_false(turn_enter_(turn, false, ask, &stander));
    assert_int_equal(load(&stander.asked), 0);
    store(&stander.asked, 1);
    task_start(&stander.task, stand, &stander);
    for (uint32_t i = 0; i < 5; i++) {
        AWAIT(turn_enter_(turn, false, ask, &stander));
        assert_false(turn_enter_(turn, false, ask, &stander)); /* another poller */
        turn_leave_(turn);
    }
    store(&stander.end, 1);
    task_join(&stander.task);
    turn_destroy_(turn);
}

static void the_turn(void **state)
{
    struct stander stander = {0};
    struct turn *turn = &stander.turn;

    (void)state;
    turn_init_(turn);
    turn_recall_(turn); /* nobody has it but the thread */
    assert_false(is(turn, &turn->wanted));
    task_start(&stander.task, stand, &stander);
    for (uint32_t i = 1; i <= 20; i++) {
        assert_true(turn_enter_(turn, true, ask, &stander));
        assert_false(turn_enter_(turn, true, ask, &stander)); /* another poller */
        assert_int_equal(load(&stander.stood), i - 1);
        if (i % 3 == 0) /* a long stay */
            AWAIT(is(turn, &turn->resting));
        if (i % 3 == 1)
            turn_recall_(turn);
        assert_int_equal(is(turn, &turn->wanted), i % 3 == 1);
        assert_int_equal(load(&stander.stood), i - 1); /* not while he is in */
        turn_leave_(turn);
        AWAIT(load(&stander.stood) == i); /* and not back again */
        assert_false(is(turn, &turn->wanted));
    }
    store(&stander.end, 1);
    task_join(&stander.task);
    turn_destroy_(turn);
}

#define WAIT_TEST(name) cmocka_unit_test_setup_teardown(name, enter, rig_leave)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WAIT_TEST(arguments),
        WAIT_TEST(no_callback_wanted),
        WAIT_TEST(in_the_waiter),
        WAIT_TEST(from_callbacks),
        WAIT_TEST(collected),
        RIG_TEST(collected_by_the_thread),
        WAIT_TEST(anothers_request),
        WAIT_TEST(ended_by_a_worker),
        WAIT_TEST(signals),
        WAIT_TEST(all_at_once),
        WAIT_TEST(gone_away),
        WAIT_TEST(descriptor_asked_late),
        WAIT_TEST(told_of_waits),
        WAIT_TEST(passed_on),
        WAIT_TEST(not_with_an_eventfd),
        WAIT_TEST(by_descriptor),
        WAIT_TEST(ring_descriptor),
        cmocka_unit_test(the_turn),
        cmocka_unit_test(turn_without_waiting),
    };

    return RUN_WITH_BACKENDS(tests);
}
