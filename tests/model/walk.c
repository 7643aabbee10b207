/* SPDX-License-Identifier: MIT */
/* Random and PCT schedules. */
#include "walk.h"

#include <stdlib.h>
#include <time.h>

/* Longer than any schedule of a program of this size, if it comes to an end at all. */
#define STEPS_MAX  20000U
#define STEPS_SEEN 300U /* about how long one is: where the changes of priority are */
#define RARELY     16U  /* one choice in so many may be of time, or for no reason */

static uint64_t next_random(uint64_t *seed)
{
    uint64_t x = *seed += UINT64_C(0x9E3779B97F4A7C15); /* splitmix64 */

    x = (x ^ x >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    x = (x ^ x >> 27) * UINT64_C(0x94D049BB133111EB);
    return x ^ x >> 31;
}

static unsigned below(uint64_t *seed, unsigned bound)
{
    return (unsigned)(next_random(seed) % bound);
}

struct priorities {
    unsigned of[THREADS_MAX]; /* the larger goes first */
    unsigned change[8];       /* at these steps */
    unsigned changes, lowest;
};

static void draw(struct priorities *priorities, const struct program *program, int changes,
                 uint64_t *seed)
{
    *priorities = (struct priorities){.changes = changes < 0 ? 0 : (unsigned)changes};
    priorities->lowest = priorities->changes;
    for (unsigned i = 0; i < program->threads; i++)
        priorities->of[i] = 100 + below(seed, 1000);
    for (unsigned i = 0; i < priorities->changes; i++)
        priorities->change[i] = below(seed, STEPS_SEEN);
}

static bool hurries(const struct choice *choice)
{
    return choice->kind == CHOICE_TIME || choice->kind == CHOICE_SPURIOUS;
}

/* The choices of the thread that has the highest priority of those that can go. */
static unsigned of_highest(struct choice *choices, unsigned count,
                           const struct priorities *priorities)
{
    unsigned highest = THREADS_MAX, kept = 0;

    for (unsigned i = 0; i < count; i++) {
        const unsigned thread = choices[i].thread;

        if (!hurries(&choices[i]) &&
            (highest == THREADS_MAX || priorities->of[thread] > priorities->of[highest]))
            highest = thread;
    }
    for (unsigned i = 0; i < count; i++)
        if (choices[i].thread == highest && !hurries(&choices[i]))
            choices[kept++] = choices[i];
    return kept ? kept : count;
}

static unsigned without_hurry(struct choice *choices, unsigned count)
{
    unsigned kept = 0;

    for (unsigned i = 0; i < count; i++)
        if (!hurries(&choices[i]))
            choices[kept++] = choices[i];
    return kept ? kept : count;
}

/* One schedule to its end. What went wrong, if so; *length of the way. */
static const char *one(const struct program *program, uint64_t seed, int changes,
                       struct choice *way, unsigned *length)
{
    struct priorities priorities;
    struct choice choices[CHOICES_MAX];
    struct world world;
    const char *wrong = NULL;

    world_init(&world, program);
    draw(&priorities, program, changes, &seed);
    for (*length = 0; *length < STEPS_MAX;) {
        unsigned count = world_choices(&world, program, choices);
        bool possible = true;

        wrong = check_stuck(&world, program);
        if (wrong || count == 0)
            return wrong;
        if (below(&seed, RARELY) != 0)
            count = changes < 0 ? without_hurry(choices, count)
                                : of_highest(choices, count, &priorities);
        way[*length] = choices[below(&seed, count)];
        for (unsigned i = 0; i < priorities.changes; i++)
            if (priorities.change[i] == *length)
                priorities.of[way[*length].thread] = --priorities.lowest;
        wrong = world_step(&world, program, way[(*length)++], &possible);
        if (wrong)
            return wrong;
    }
    return "a schedule does not end";
}

struct exploration walk(const struct program *program, uint64_t seed, unsigned schedules,
                        int changes)
{
    struct exploration result = {.verdict = VERDICT_CUT};
    struct choice *way = calloc(STEPS_MAX, sizeof(*way));
    struct timespec start, end;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &start);
    for (unsigned i = 0; i < schedules && result.wrong == NULL; i++) {
        result.wrong = one(program, seed + i, changes, way, &result.length);
        result.steps += result.length;
        result.states++; /* schedules, here */
        if (result.length > result.depth)
            result.depth = result.length;
    }
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &end);
    result.seconds =
        (double)(end.tv_sec - start.tv_sec) + (double)(end.tv_nsec - start.tv_nsec) / 1e9;
    if (result.wrong) {
        result.verdict = VERDICT_FAILED;
        result.way = way;
        return result;
    }
    free(way);
    return result;
}
