/* SPDX-License-Identifier: MIT */
/* The breadth-first search, and the check that every state can still come to its end. */
#include "explore.h"

#include "automaton.h"
#include "store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define RANKS_MAX (THREADS_MAX * ROUNDS_MAX + 512U)

/* Longer than any way out that is not a circle. */
#define WAY_OUT_MAX 4000U

/* States of one rank (store.h), in the order in which they were found. */
struct queue {
    uint32_t *states;
    uint32_t count, room;
};

struct search {
    const struct program *program;
    struct store store;
    struct queue queues[RANKS_MAX];
    uint32_t *parents;
    uint32_t parents_room;
    bool covering;
    uint64_t steps, looks;
    const char *wrong;
    uint32_t
        wrong_state; /* where it went wrong, and by which choice; none if it is the state itself */
    struct choice wrong_choice;
    bool by_choice;
};

static uint32_t *grown(uint32_t *array, uint32_t *room, uint32_t index)
{
    if (index < *room)
        return array;
    *room = index + index / 2 + 1024;
    array = realloc(array, *room * sizeof(*array));
    if (array == NULL) {
        fputs("model: out of memory\n", stderr);
        exit(2);
    }
    return array;
}

static struct queue *queue_of(struct search *search, const struct world *world)
{
    return &search->queues[store_rank(&search->store, world)];
}

/* In the queue of its rank, if it is new and nothing covers it. */
static void reach(struct search *search, struct world *world, uint32_t parent)
{
    bool fresh = false;
    struct queue *queue = queue_of(search, world);
    uint32_t state = STORE_NONE;

    world_sort(world, search->program);
    if (store_find(&search->store, world) != STORE_NONE ||
        (search->covering && store_cover(&search->store, world) != STORE_NONE))
        return;
    state = store_put(&search->store, world, &fresh);
    search->parents = grown(search->parents, &search->parents_room, state);
    search->parents[state] = parent;
    queue->states = grown(queue->states, &queue->room, queue->count);
    queue->states[queue->count++] = state;
}

static void failed(struct search *search, const char *wrong, uint32_t state,
                   const struct choice *choice)
{
    search->wrong = wrong;
    search->wrong_state = state;
    search->by_choice = choice != NULL;
    if (choice)
        search->wrong_choice = *choice;
}

/*
 * Where a thread is about to look at its clock, only that is tried: what the clock says is the
 * thread's own affair, and may be decided before whatever others do. (If it is decided later, it can
 * be the same moments.) Returns the choices kept.
 */
static unsigned own_affairs(const struct search *search, const struct world *world,
                            struct choice choices[CHOICES_MAX], unsigned count)
{
    unsigned kept = 0;

    for (unsigned i = 0; i < count && search->covering; i++) {
        const struct thread *thread = &world->thread[choices[i].thread];

        if (thread->status == STATUS_READY && choices[i].kind == CHOICE_GO &&
            automaton_request(thread->node)->kind == REQ_NOW &&
            (kept == 0 || choices[0].thread == choices[i].thread))
            choices[kept++] = choices[i];
    }
    return kept ? kept : count;
}

/* Every step from a state. */
static void expand(struct search *search, uint32_t state, const struct world *world)
{
    struct choice choices[CHOICES_MAX];
    struct world next;
    unsigned count = 0;
    const char *wrong = check_stuck(world, search->program);

    if (wrong) {
        failed(search, wrong, state, NULL);
        return;
    }
    count = world_choices(world, search->program, choices);
    count = own_affairs(search, world, choices, count);
    for (unsigned i = 0; i < count; i++) {
        bool possible = true;

        next = *world;
        wrong = world_step(&next, search->program, choices[i], &possible);
        if (!possible)
            continue;
        search->steps++;
        if (wrong) {
            failed(search, wrong, state, &choices[i]);
            return;
        }
        reach(search, &next, state);
    }
}

/* A state in a queue. What covers it may have been found since it was put there. */
static void look_at(struct search *search, uint32_t state)
{
    struct world world;

    store_get(&search->store, state, &world);
    if (search->covering && store_cover(&search->store, &world) != STORE_NONE)
        return;
    search->looks++;
    expand(search, state, &world);
}

/* What a thread does that is left alone: no new operation, no time, no giving up. */
static bool leads_out(const struct world *world, const struct choice *choice)
{
    const struct request *request = automaton_request(world->thread[choice->thread].node);

    if (choice->kind != CHOICE_GO)
        return false;
    if (request->kind == REQ_END)
        return choice->argument < 3; /* a pooled hold */
    return request->kind != REQ_AWAIT || request->x == AWAIT_USE || choice->argument == 0;
}

static bool step_out(const struct search *search, struct world *world, unsigned *last)
{
    const struct program *program = search->program;
    struct choice choices[CHOICES_MAX];
    unsigned count = world_choices(world, program, choices);
    bool possible = true;

    count = own_affairs(search, world, choices, count);
    for (unsigned i = 1; i <= program->threads; i++) {
        const unsigned thread = (*last + i) % program->threads;

        for (unsigned j = 0; j < count; j++) {
            if (choices[j].thread != thread || !leads_out(world, &choices[j]))
                continue;
            *last = thread;
            return world_step(world, program, choices[j], &possible) == NULL;
        }
    }
    return false;
}

/* The state that was looked at for this one. */
static uint32_t stands_for(struct search *search, const struct world *world)
{
    const uint32_t cover = search->covering ? store_cover(&search->store, world) : STORE_NONE;

    return cover != STORE_NONE ? cover : store_find(&search->store, world);
}

/*
 * From every state, threads that take turns come to an end, with no help of time and of operations
 * not yet begun: nobody waits for ever, and nobody goes round in a circle.
 */
static void check_ends(struct search *search)
{
    const uint32_t states = search->store.states.count;
    unsigned char *ends = calloc(states, 1);
    uint32_t *way = calloc(WAY_OUT_MAX, sizeof(*way));

    for (uint32_t state = 0; state < states && search->wrong == NULL; state++) {
        struct world world;
        unsigned length = 0, last = 0;
        uint32_t at = state;

        store_get(&search->store, at, &world);
        while (!ends[at] && !world_idle(&world, search->program)) {
            way[length++] = at;
            if (length == WAY_OUT_MAX || !step_out(search, &world, &last)) {
                failed(search, "from here, threads that take turns never come to an end", state,
                       NULL);
                break;
            }
            search->steps++;
            at = stands_for(search, &world);
            if (at == STORE_NONE) {
                failed(search, "from here, a step leads to a state that the explorer missed", state,
                       NULL);
                break;
            }
            store_get(&search->store, at, &world); /* in another order of equal threads */
        }
        if (search->wrong)
            break;
        ends[at] = 1;
        for (unsigned i = 0; i < length; i++)
            ends[way[i]] = 1;
    }
    free(way);
    free(ends);
}

static unsigned depth_of(const struct search *search, uint32_t state)
{
    unsigned depth = 0;

    for (; state != 0; state = search->parents[state])
        depth++;
    return depth;
}

/*
 * The choices that lead from the beginning to where it went wrong, for threads as they were named.
 */
static void find_way(struct search *search, struct exploration *result)
{
    const unsigned depth = depth_of(search, search->wrong_state);
    uint32_t *states = calloc(depth + 1, sizeof(*states));
    struct choice choices[CHOICES_MAX];
    struct world world, next;

    result->way = calloc(depth + 1, sizeof(*result->way));
    for (uint32_t at = search->wrong_state, i = depth;; at = search->parents[at], i--) {
        states[i] = at;
        if (at == 0)
            break;
    }
    world_init(&world, search->program);
    for (unsigned i = 0; i < depth + search->by_choice; i++) {
        const unsigned count = world_choices(&world, search->program, choices);

        for (unsigned j = 0; j < count; j++) {
            bool possible = true;
            const char *wrong = NULL;

            next = world;
            wrong = world_step(&next, search->program, choices[j], &possible);
            if (possible &&
                (i < depth ? wrong == NULL && store_find(&search->store, &next) == states[i + 1]
                           : wrong == search->wrong)) {
                result->way[result->length++] = choices[j];
                break;
            }
        }
        world = next;
    }
    free(states);
}

static double seconds_since(const struct timespec *start)
{
    struct timespec now;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)(now.tv_sec - start->tv_sec) + (double)(now.tv_nsec - start->tv_nsec) / 1e9;
}

static void show(const struct search *search, const struct timespec *start)
{
    fprintf(stderr, "\r%u states, %llu looked at, %.0f s ", search->store.states.count,
            (unsigned long long)search->looks, seconds_since(start));
}

/* By rank; within one, breadth first. False: more states than allowed. */
static bool search_all(struct search *search, uint32_t most_states, const struct timespec *progress)
{
    const unsigned ranks = store_ranks(search->program);

    for (unsigned rank = 0; rank < ranks; rank++) {
        const struct queue *queue = &search->queues[rank];

        for (uint32_t i = 0; i < queue->count && search->wrong == NULL; i++) {
            if (search->store.states.count > most_states)
                return false;
            look_at(search, queue->states[i]);
            if (progress && i % (1 << 18) == 0)
                show(search, progress);
        }
    }
    return true;
}

struct exploration explore(const struct program *program, uint32_t most_states, bool reduced,
                           bool progress)
{
    struct search search = {.program = program, .covering = reduced};
    struct exploration result = {.verdict = VERDICT_EXHAUSTED};
    struct timespec start;
    struct world world;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &start);
    store_init(&search.store, program);
    world_init(&world, program);
    reach(&search, &world, 0);
    if (!search_all(&search, most_states, progress ? &start : NULL))
        result.verdict = VERDICT_CUT;
    if (search.wrong == NULL && result.verdict == VERDICT_EXHAUSTED)
        check_ends(&search);
    if (progress)
        fputc('\n', stderr);
    result.states = search.store.states.count;
    result.steps = search.steps;
    result.depth = depth_of(&search, result.states - 1);
    result.seconds = seconds_since(&start);
    if (search.wrong) {
        result.verdict = VERDICT_FAILED;
        result.wrong = search.wrong;
        find_way(&search, &result);
    }
    for (unsigned i = 0; i < RANKS_MAX; i++)
        free(search.queues[i].states);
    store_free(&search.store);
    free(search.parents);
    return result;
}
