/* SPDX-License-Identifier: MIT */
/* The breadth-first search, and the check that every state can still come to its end. */
#include "explore.h"

#include "automaton.h"
#include "intern.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Longer than any way out that is not a circle. */
#define WAY_OUT_MAX 4000U

struct search {
    const struct program *program;
    struct intern states, threads;
    uint32_t *parents;
    uint32_t parents_room;
    uint64_t steps;
    const char *wrong;
    uint32_t
        wrong_state; /* where it went wrong, and by which choice; none if it is the state itself */
    struct choice wrong_choice;
    bool by_choice;
};

static unsigned words_of(const struct program *program)
{
    return program->subject == SUBJECT_PAIR ? ARENA_WORDS : 1;
}

static size_t pack(struct search *search, const struct world *world, unsigned char *out)
{
    const size_t words = words_of(search->program) * sizeof(world->word[0]);
    const size_t rest = offsetof(struct world, thread) - offsetof(struct world, shared);
    unsigned char *to = out;
    bool fresh = false;

    memcpy(to, world->word, words);
    to += words;
    memcpy(to, &world->shared, rest);
    to += rest;
    for (unsigned i = 0; i < search->program->threads; i++) {
        const uint32_t number =
            intern_put(&search->threads, &world->thread[i], sizeof(world->thread[i]), &fresh);

        memcpy(to, &number, sizeof(number));
        to += sizeof(number);
    }
    return (size_t)(to - out);
}

static void unpack(const struct search *search, uint32_t state, struct world *world)
{
    const size_t words = words_of(search->program) * sizeof(world->word[0]);
    const size_t rest = offsetof(struct world, thread) - offsetof(struct world, shared);
    size_t size = 0;
    const unsigned char *from = intern_get(&search->states, state, &size);

    memset(world, 0, sizeof(*world));
    memcpy(world->word, from, words);
    from += words;
    memcpy(&world->shared, from, rest);
    from += rest;
    for (unsigned i = 0; i < search->program->threads; i++) {
        uint32_t number = 0;

        memcpy(&number, from, sizeof(number));
        from += sizeof(number);
        memcpy(&world->thread[i], intern_get(&search->threads, number, &size),
               sizeof(world->thread[i]));
    }
}

/* The number of a state, which is sorted on the way. */
static uint32_t put(struct search *search, struct world *world, uint32_t parent, bool *fresh)
{
    unsigned char bytes[sizeof(struct world)];
    uint32_t state = 0;
    size_t size = 0;

    world_sort(world, search->program);
    size = pack(search, world, bytes);
    state = intern_put(&search->states, bytes, size, fresh);
    if (!*fresh)
        return state;
    if (state == search->parents_room) {
        search->parents_room = search->parents_room * 2 + 1024;
        search->parents = realloc(search->parents, search->parents_room * sizeof(*search->parents));
        if (search->parents == NULL)
            abort();
    }
    search->parents[state] = parent;
    return state;
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

/* Every step from a state. */
static void expand(struct search *search, uint32_t state)
{
    struct choice choices[CHOICES_MAX];
    struct world world, next;
    unsigned count = 0;
    const char *wrong = NULL;

    unpack(search, state, &world);
    wrong = check_stuck(&world, search->program);
    if (wrong) {
        failed(search, wrong, state, NULL);
        return;
    }
    count = world_choices(&world, search->program, choices);
    for (unsigned i = 0; i < count; i++) {
        bool possible = true, fresh = false;

        next = world;
        wrong = world_step(&next, search->program, choices[i], &possible);
        if (!possible)
            continue;
        search->steps++;
        if (wrong) {
            failed(search, wrong, state, &choices[i]);
            return;
        }
        put(search, &next, state, &fresh);
    }
}

/* What a thread does that is left alone: no new operation, no time, no giving up. */
static bool leads_out(const struct world *world, const struct choice *choice)
{
    const struct request *request = automaton_request(world->thread[choice->thread].node);

    if (choice->kind != CHOICE_GO)
        return false;
    if (request->kind == REQ_END)
        return choice->argument < 3; /* a pooled hold */
    return request->kind != REQ_AWAIT || choice->argument == 0;
}

static bool step_out(struct world *world, const struct program *program, unsigned *last)
{
    struct choice choices[CHOICES_MAX];
    const unsigned count = world_choices(world, program, choices);
    bool possible = true;

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

/*
 * From every state, threads that take turns come to an end, with no help of time and of operations
 * not yet begun: nobody waits for ever, and nobody goes round in a circle.
 */
static void check_ends(struct search *search)
{
    const uint32_t states = search->states.count;
    unsigned char *ends = calloc(states, 1);
    uint32_t *way = calloc(WAY_OUT_MAX, sizeof(*way));

    for (uint32_t state = 0; state < states && search->wrong == NULL; state++) {
        struct world world;
        unsigned length = 0, last = 0;
        uint32_t at = state;

        unpack(search, state, &world);
        while (!ends[at] && !world_idle(&world, search->program)) {
            bool fresh = false;

            way[length++] = at;
            if (length == WAY_OUT_MAX || !step_out(&world, search->program, &last)) {
                failed(search, "from here, threads that take turns never come to an end", state,
                       NULL);
                break;
            }
            /* the way goes on from the state as it is kept: in another order of equal threads */
            at = put(search, &world, at, &fresh);
            search->steps++;
            if (at >= states)
                break; /* only if the exploration was cut */
        }
        ends[at < states ? at : state] = 1;
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

static bool same(struct search *search, const struct world *world, uint32_t state)
{
    struct world sorted = *world;
    bool fresh = false;

    return put(search, &sorted, state, &fresh) == state && !fresh;
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
            if (possible && (i < depth ? wrong == NULL && same(search, &next, states[i + 1])
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

struct exploration explore(const struct program *program, uint32_t most_states, bool progress)
{
    struct search search = {.program = program};
    struct exploration result = {.verdict = VERDICT_EXHAUSTED};
    struct timespec start;
    struct world world;
    bool fresh = false;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &start);
    intern_init(&search.states);
    intern_init(&search.threads);
    world_init(&world, program);
    put(&search, &world, 0, &fresh);
    for (uint32_t state = 0; state < search.states.count && search.wrong == NULL; state++) {
        if (search.states.count > most_states) {
            result.verdict = VERDICT_CUT;
            break;
        }
        expand(&search, state);
        if (progress && state % (1 << 20) == 0)
            fprintf(stderr, "\r%u of %u states, %.0f s ", state, search.states.count,
                    seconds_since(&start));
    }
    if (search.wrong == NULL && result.verdict == VERDICT_EXHAUSTED)
        check_ends(&search);
    if (progress)
        fputc('\n', stderr);
    result.states = search.states.count;
    result.steps = search.steps;
    result.depth = depth_of(&search, search.states.count - 1);
    result.seconds = seconds_since(&start);
    if (search.wrong) {
        result.verdict = VERDICT_FAILED;
        result.wrong = search.wrong;
        find_way(&search, &result);
    }
    intern_free(&search.states);
    intern_free(&search.threads);
    free(search.parents);
    return result;
}
