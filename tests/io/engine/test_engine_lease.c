/* SPDX-License-Identifier: MIT */
/*
 * The lease alone: it begins when it has been quiet, ends for whoever comes, even if he comes while
 * it begins, and what it holds is given back by the last one who is in.
 */
#include "common.h"

#include <sched.h>
#include <stdlib.h>

#include <twostate/validate.h>

#define QUIET   64 /* so many requests, and the next one takes the lease */
#define THREADS 300

struct lone {
    struct twostate_iolock users;
    struct twostate_iopair pair;
    struct lease lease;
};

static struct lone *lone_new(void)
{
    struct lone *lone = calloc(1, sizeof(*lone));

    CHECK(lone);
    lease_init_(&lone->lease, &lone->pair, &lone->users);
    return lone;
}

static void lone_free(struct lone *lone)
{
    free(lone);
}

static enum lease_state state_of(const struct lease *lease)
{
    return (enum lease_state)load(&lease->state);
}

/* A buffered request through the pair. */
static void request(struct lone *lone, enum twostate_iopath path)
{
    struct twostate_hold hold;

    twostate_iolock_acquire(&lone->users, TWOSTATE_SHARED);
    twostate_iopair_begin(&lone->pair, path, &hold);
    lease_offer_(&lone->lease);
    twostate_iopair_end(&hold);
    twostate_iolock_release(&lone->users, TWOSTATE_SHARED);
}

static void requests(struct lone *lone, unsigned count)
{
    while (count-- > 0)
        request(lone, count % 2 ? TWOSTATE_BUFFERED_READ : TWOSTATE_BUFFERED_WRITE);
}

static uint32_t holders(const struct lone *lone)
{
    const struct twostate_iopair_info info = twostate_iopair_query(&lone->pair);

    CHECK(info.iolock.holders == info.iotype.holders);
    CHECK(info.iolock.holders == twostate_iolock_query(&lone->users).holders);
    return info.iolock.holders;
}

static void begins_when_quiet(void **state)
{
    struct lone *lone = lone_new();

    (void)state;
    for (int i = 0; i < 3; i++) {
        requests(lone, QUIET);
        assert_int_equal(state_of(&lone->lease), LEASE_OFF);
        assert_false(lease_enter_(&lone->lease));
        requests(lone, 1);
        assert_int_equal(state_of(&lone->lease), LEASE_ON);
        assert_int_equal(holders(lone), 1);
        assert_true(lease_enter_(&lone->lease));
        assert_int_equal(holders(lone), 1);
        lease_exit_(&lone->lease);
        requests(lone, 2 * QUIET); /* they may go through the pair all the same */
        assert_int_equal(holders(lone), 1);
        lease_call_in_(&lone->lease);
        assert_int_equal(state_of(&lone->lease), LEASE_OFF);
        assert_int_equal(holders(lone), 0);
        requests(lone, 2 * QUIET); /* not while somebody wants another path */
        assert_int_equal(state_of(&lone->lease), LEASE_OFF);
        lease_allow_(&lone->lease);
        lease_call_in_(&lone->lease); /* not soon after somebody did */
        lease_allow_(&lone->lease);
    }
    lone_free(lone);
}

static void not_beside_a_remap(void **state)
{
    struct lone *lone = lone_new();
    struct twostate_hold remap;

    (void)state;
    twostate_iopair_begin(&lone->pair, TWOSTATE_REMAP, &remap);
    for (int i = 0; i < 3 * QUIET; i++)
        request(lone, TWOSTATE_BUFFERED_READ);
    assert_int_equal(state_of(&lone->lease), LEASE_OFF);
    twostate_iopair_end(&remap);
    requests(lone, QUIET + 1);
    assert_int_equal(state_of(&lone->lease), LEASE_ON);
    lease_call_in_(&lone->lease);
    lone_free(lone);
}

/* Who watches the locks sees every request. */
static void not_where_locks_are_watched(void **state)
{
    struct lone *lone = lone_new();

    (void)state;
    assert_int_equal(twostate_validate_start(TWOSTATE_VALIDATE_STOP, TWOSTATE_RULES_ALL), 0);
    requests(lone, 3 * QUIET);
    assert_int_equal(state_of(&lone->lease), LEASE_OFF);
    twostate_validate_stop();
    lone_free(lone);
}

struct visitor {
    struct task task;
    struct lease *lease;
    const uint32_t *leaves; /* or NULL: its own */
    uint32_t leave;
    uint32_t in; /* 1: in, 2: refused */
};

static void visit(void *arg)
{
    struct visitor *v = arg;
    const bool in = lease_enter_(v->lease);

    store(&v->in, in ? 1 : 2);
    AWAIT(load(v->leaves ? v->leaves : &v->leave));
    if (in)
        lease_exit_(v->lease);
}

/* The last one who is in gives back what the lease holds. */
static void ends_with_the_last(void **state)
{
    struct lone *lone = lone_new();
    struct visitor visitors[3];

    (void)state;
    requests(lone, QUIET + 1);
    for (size_t i = 0; i < 3; i++) {
        visitors[i] = (struct visitor){.lease = &lone->lease};
        task_start(&visitors[i].task, visit, &visitors[i]);
        AWAIT(load(&visitors[i].in) == 1);
    }
    lease_call_in_(&lone->lease);
    lease_allow_(&lone->lease);
    assert_false(lease_enter_(&lone->lease));
    requests(lone, 2 * QUIET); /* it is not taken again before it has ended */
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(state_of(&lone->lease), LEASE_ENDING);
        assert_int_equal(holders(lone), 1);
        store(&visitors[i].leave, 1);
        task_join(&visitors[i].task);
    }
    assert_int_equal(state_of(&lone->lease), LEASE_OFF);
    assert_int_equal(holders(lone), 0);
    lone_free(lone);
}

/* Those who find their slot taken go to the pair, and disturb nobody's. */
static void more_threads_than_slots(void **state)
{
    struct lone *lone = lone_new();
    struct visitor *visitors = calloc(THREADS, sizeof(*visitors));
    uint32_t leaves = 0;
    uint32_t in = 0;

    (void)state;
    CHECK(visitors);
    requests(lone, QUIET + 1);
    for (size_t i = 0; i < THREADS; i++) {
        visitors[i] = (struct visitor){.lease = &lone->lease, .leaves = &leaves};
        task_start(&visitors[i].task, visit, &visitors[i]);
    }
    for (size_t i = 0; i < THREADS; i++) {
        AWAIT(load(&visitors[i].in) != 0);
        in += load(&visitors[i].in) == 1;
    }
    assert_in_range(in, 1, 128);
    lease_call_in_(&lone->lease);
    assert_int_equal(state_of(&lone->lease), LEASE_ENDING);
    store(&leaves, 1);
    for (size_t i = 0; i < THREADS; i++)
        task_join(&visitors[i].task);
    assert_int_equal(state_of(&lone->lease), LEASE_OFF);
    assert_int_equal(holders(lone), 0);
    free(visitors);
    lone_free(lone);
}

/* What happens while the lease takes its holds, or gives them back. */
static struct lone *beginning;
static struct lone *ending;

bool __real_twostate_iopair_try_begin(struct twostate_iopair *pair, enum twostate_iopath path,
                                      struct twostate_hold *hold);
bool __wrap_twostate_iopair_try_begin(struct twostate_iopair *pair, enum twostate_iopath path,
                                      struct twostate_hold *hold);
void __real_twostate_iopair_end(struct twostate_hold *hold);
void __wrap_twostate_iopair_end(struct twostate_hold *hold);

bool __wrap_twostate_iopair_try_begin(struct twostate_iopair *pair, enum twostate_iopath path,
                                      struct twostate_hold *hold)
{
    struct lone *lone = beginning;

    beginning = NULL;
    if (lone) {
        CHECK(state_of(&lone->lease) == LEASE_STARTING);
        lease_call_in_(&lone->lease);
    }
    return __real_twostate_iopair_try_begin(pair, path, hold);
}

void __wrap_twostate_iopair_end(struct twostate_hold *hold)
{
    struct lone *lone = ending;

    if (lone && hold == &lone->lease.hold) {
        ending = NULL;
        CHECK(state_of(&lone->lease) == LEASE_ENDING);
        requests(lone, 2 * QUIET);
        CHECK(!lease_enter_(&lone->lease));
        CHECK(state_of(&lone->lease) == LEASE_ENDING);
    }
    __real_twostate_iopair_end(hold);
}

static void called_in_while_it_begins(void **state)
{
    struct lone *lone = lone_new();

    (void)state;
    requests(lone, QUIET);
    beginning = lone;
    requests(lone, 1);
    assert_null(beginning);
    assert_int_equal(state_of(&lone->lease), LEASE_OFF);
    assert_int_equal(holders(lone), 0);
    lease_allow_(&lone->lease);
    lone_free(lone);
}

static void not_taken_while_it_ends(void **state)
{
    struct lone *lone = lone_new();

    (void)state;
    requests(lone, QUIET + 1);
    lease_call_in_(&lone->lease);
    lease_allow_(&lone->lease);
    requests(lone, QUIET + 1);
    ending = lone;
    lease_call_in_(&lone->lease);
    assert_null(ending);
    assert_int_equal(state_of(&lone->lease), LEASE_OFF);
    assert_int_equal(holders(lone), 0);
    lone_free(lone);
}

/* Who enters while somebody calls in is seen by him, or sees him. */
#define ROUNDS 1000

struct race {
    struct task task;
    struct lone *lone;
    uint32_t alone;
    uint32_t stop;
};

static void enter_and_leave(void *arg)
{
    struct race *race = arg;

    while (!load(&race->stop))
        if (lease_enter_(&race->lone->lease)) {
            for (int i = 0; i < 10; i++)
                CHECK(!load(&race->alone) && state_of(&race->lone->lease) >= LEASE_ON);
            lease_exit_(&race->lone->lease);
        } else {
            request(race->lone, TWOSTATE_BUFFERED_READ);
        }
}

static void none_beside_another(void **state)
{
    struct race race = {.lone = lone_new()};
    struct task another;
    struct twostate_hold hold;

    (void)state;
    task_start(&race.task, enter_and_leave, &race);
    task_start(&another, enter_and_leave, &race);
    for (int i = 0; i < ROUNDS; i++) {
        while (state_of(&race.lone->lease) != LEASE_ON)
            sched_yield();
        lease_call_in_(&race.lone->lease);
        twostate_iopair_begin(&race.lone->pair, TWOSTATE_EXCLUSIVE_IO, &hold);
        lease_allow_(&race.lone->lease);
        store(&race.alone, 1);
        sched_yield();
        store(&race.alone, 0);
        twostate_iopair_end(&hold);
    }
    store(&race.stop, 1);
    task_join(&race.task);
    task_join(&another);
    lease_call_in_(&race.lone->lease);
    assert_int_equal(holders(race.lone), 0);
    lone_free(race.lone);
}

struct leaver {
    struct task task;
    struct lease *lease;
    const uint32_t *go;
    uint32_t in;
};

static void leave_when_told(void *arg)
{
    struct leaver *leaver = arg;

    CHECK(lease_enter_(leaver->lease));
    store(&leaver->in, 1);
    while (!load(leaver->go))
        sched_yield();
    lease_exit_(leaver->lease);
}

/* pitfall L16: who leaves touches nothing that may be freed, be he the last, or one of those before. */
static void freed_while_they_leave(void **state)
{
    struct random random = {seed_choose()};

    (void)state;
    for (int round = 0; round < ROUNDS / 5; round++) {
        struct lone *lone = lone_new();
        struct leaver leavers[2];
        uint32_t go = 0;

        requests(lone, QUIET + 1);
        for (int i = 0; i < 2; i++) {
            leavers[i] = (struct leaver){.lease = &lone->lease, .go = &go};
            task_start(&leavers[i].task, leave_when_told, &leavers[i]);
            while (!load(&leavers[i].in))
                sched_yield();
        }
        store(&go, 1);
        for (size_t i = random_below(&random, 4); i > 0; i--)
            sched_yield();
        lease_call_in_(&lone->lease);
        twostate_iolock_acquire(&lone->users, TWOSTATE_EXCLUSIVE);
        lone_free(lone);
        for (int i = 0; i < 2; i++)
            task_join(&leavers[i].task);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(begins_when_quiet),           cmocka_unit_test(not_beside_a_remap),
        cmocka_unit_test(ends_with_the_last),          cmocka_unit_test(more_threads_than_slots),
        cmocka_unit_test(called_in_while_it_begins),   cmocka_unit_test(not_taken_while_it_ends),
        cmocka_unit_test(freed_while_they_leave),      cmocka_unit_test(none_beside_another),
        cmocka_unit_test(not_where_locks_are_watched),
    };

    twostate_validate_stop(); /* there is no lease where it is on */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
