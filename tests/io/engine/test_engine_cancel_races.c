/* SPDX-License-Identifier: MIT */
/* Cancelling races with being granted, with completing, with the callback, and with itself. */
#include "rig.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A request is granted as soon as it waits: it may be done before its own call goes on. */
struct quick {
    struct rig *rig;
    struct record record;
    uint32_t rounds;
};

static void wait_for_the_mode(void *arg)
{
    struct quick *quick = arg;

    for (uint32_t i = 1; i <= 300; i++) {
        AWAIT(load(&quick->rounds) == i);
        CHECK(read_block(quick->rig, 0, TWOSTATE_IO_DIRECT, &quick->record) == 0);
    }
}

static void granted_at_once(void **state)
{
    struct quick quick = {.rig = *state};
    struct twostate_file *file = NULL;
    struct task task;

    rig_open(quick.rig, (struct twostate_engine_options){0});
    file = quick.rig->file;
    task_start(&task, wait_for_the_mode, &quick);
    for (uint32_t i = 1; i <= 300; i++) {
        struct twostate_hold hold;

        twostate_iopair_begin(&file->pair, TWOSTATE_BUFFERED_READ, &hold);
        store(&quick.rounds, i);
        AWAIT(twostate_iopair_query(&file->pair).iotype.waiting_b == 1);
        twostate_iopair_end(&hold);
        AWAIT(load(&quick.record.calls) == i);
        AWAIT(twostate_iolock_query(&file->users).holders == 0);
        assert_true(cds_list_empty(&file->waiting.requests));
        assert_int_equal(twostate_cancel(file, &quick.record), 0);
    }
    task_join(&task);
    assert_int_equal(quick.record.cancelled, 0);
}

/*
 * Everything at once: requests of all kinds that free their args, others that hold the file's modes,
 * and two that cancel whatever was started lately. Who was told "cancelled", and how often, agrees.
 */
#define EACH   500
#define RECENT 8

struct storm {
    struct rig *rig;
    uint64_t seed;
    uint32_t threads; /* numbers them */
    uint32_t submitters;
    uint32_t end;
    uint32_t called;
    uint32_t told;      /* -ECANCELED, in callbacks */
    uint32_t cancelled; /* by twostate_cancel's count */
    void *recent[RECENT];
};

struct drop {
    struct storm *storm;
    char *block;
};

static void splash(void *arg, ssize_t result)
{
    struct drop *drop = arg;
    struct storm *storm = drop->storm;

    CHECK(result == BLOCK || result == -ECANCELED);
    for (int i = 0; i < BLOCK; i += 64)
        CHECK(drop->block[i] == (result == BLOCK ? 'o' : 'x'));
    if (result == -ECANCELED)
        add(&storm->told, 1);
    free(drop->block);
    free(drop);
    add(&storm->called, 1);
}

static void rain(void *arg)
{
    struct storm *storm = arg;
    struct random random = {storm->seed + add(&storm->threads, 1)};

    for (int i = 0; i < EACH; i++) {
        struct drop *drop = malloc(sizeof(*drop));
        const size_t place = random_below(&random, MOST);
        int result = 0;

        CHECK(drop);
        *drop = (struct drop){.storm = storm, .block = memory_new(BLOCK)};
        memset(drop->block, 'x', BLOCK);
        __atomic_store_n(&storm->recent[random_below(&random, RECENT)], drop, __ATOMIC_RELEASE);
        while (
            (result = twostate_preadv_async(
                 storm->rig->file, &(struct iovec){drop->block, BLOCK}, 1, (int64_t)place * BLOCK,
                 random_below(&random, 4) ? TWOSTATE_IO_DIRECT : 0U, splash, drop)) == -EBUSY)
            sched_yield();
        CHECK(result == 0);
    }
    add(&storm->submitters, UINT32_MAX);
}

static void lightning(void *arg)
{
    struct storm *storm = arg;
    struct random random = {storm->seed + add(&storm->threads, 1)};

    while (!load(&storm->end)) {
        void **recent = &storm->recent[random_below(&random, RECENT)];
        const int cancelled =
            twostate_cancel(storm->rig->file, __atomic_load_n(recent, __ATOMIC_ACQUIRE));

        CHECK(cancelled >= 0);
        add(&storm->cancelled, (uint32_t)cancelled);
        sched_yield();
    }
}

static void hold_modes(void *arg)
{
    const enum twostate_iopath paths[] = {TWOSTATE_BUFFERED_READ, TWOSTATE_EXCLUSIVE_IO};
    struct storm *storm = arg;

    for (unsigned i = 0; !load(&storm->end); i++) {
        struct twostate_hold hold;

        twostate_iopair_begin(&storm->rig->file->pair, paths[i % 2], &hold);
        sched_yield();
        twostate_iopair_end(&hold);
        sched_yield();
    }
}

static void poll_or_wait(struct storm *storm)
{
    if (storm->rig->engine->due)
        CHECK(twostate_engine_poll(storm->rig->engine, 5) >= 0);
    else
        sched_yield();
}

static void storms(void **state)
{
    void (*const runs[])(void *) = {rain, rain, lightning, lightning, hold_modes};
    struct rig *rig = *state;
    const uint64_t seed = seed_choose();

    for (int round = 0; round < 2; round++) {
        struct storm storm = {.rig = rig, .seed = seed, .submitters = 2};
        struct task tasks[5];

        rig_open(rig, (struct twostate_engine_options){
                          .queue_depth = 1, .workers = 1, .requests = 16, .polled = round == 1});
        for (int i = 0; i < 5; i++)
            task_start(&tasks[i], runs[i], &storm);
        while (load(&storm.submitters) > 0 || load(&storm.called) < 2 * EACH)
            poll_or_wait(&storm);
        store(&storm.end, 1);
        for (int i = 0; i < 5; i++)
            task_join(&tasks[i]);
        assert_int_equal(load(&storm.called), 2 * EACH);
        assert_int_equal(load(&storm.told), load(&storm.cancelled));
        rig_close(rig);
        printf("%u of %u cancelled\n", load(&storm.told), 2 * EACH);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(granted_at_once),
        RIG_TEST(storms),
    };

    return RUN_WITH_BACKENDS(tests);
}
