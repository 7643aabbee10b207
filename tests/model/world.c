/* SPDX-License-Identifier: MIT */
/* The beginning, and the choices. What a choice leads to is in step.c. */
#include "world.h"

#include "automaton.h"
#include "program.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

uint64_t world_nanoseconds(enum moment moment)
{
    static const uint64_t times[] = {0, 100, UINT64_C(1000000000), UINT64_C(1000000000000)};

    return times[moment];
}

/* The moments that matter to the thread, from what its clock says on. */
static unsigned moments(const struct thread *thread, uint8_t later[4])
{
    unsigned count = 0;

    later[count++] = thread->clock;
    if (thread->deadline == DEADLINE_SHORT && thread->clock < MOMENT_SHORT)
        later[count++] = MOMENT_SHORT;
    if (thread->deadline != DEADLINE_SHORT && thread->clock < MOMENT_PATIENCE)
        later[count++] = MOMENT_PATIENCE;
    if (thread->deadline == DEADLINE_LONG && thread->clock < MOMENT_LONG)
        later[count++] = MOMENT_LONG;
    return count;
}

unsigned world_words(const struct program *program)
{
    if (program->subject == SUBJECT_LEASE)
        return WORD_USERS + 1;
    return program->subject == SUBJECT_PAIR ? WORD_REMAPPING + 1 : 1;
}

void world_init(struct world *world, const struct program *program)
{
    *world = (struct world){.spurious = (uint8_t)program->spurious,
                            .splits = (uint8_t)program->splits,
                            .shared = SHARED_FIRST};
    for (unsigned i = 0; i < world_words(program); i++)
        world->word[i] = i == WORD_REMAPPING ? 0 : program->first_word;
    for (unsigned i = 0; i < program->threads; i++)
        world->thread[i].node = NODE_IDLE;
}

bool world_thread_idle(const struct world *world, unsigned thread)
{
    return world->thread[thread].node == NODE_IDLE;
}

bool world_idle(const struct world *world, const struct program *program)
{
    for (unsigned i = 0; i < program->threads; i++)
        if (!world_thread_idle(world, i))
            return false;
    return world->pool[0] + world->pool[1] + world->pool[2] == 0;
}

/* Choices. */

/* So that threads that leave holds there again and again have finitely many states. */
static bool pool_full(const struct world *world)
{
    return world->pool[0] + world->pool[1] + world->pool[2] >= 2;
}

static unsigned operations(const struct world *world, const struct program *program, unsigned i,
                           uint8_t arguments[])
{
    const struct script *script = &program->script[i];
    const unsigned round = world->thread[i].round, first = program_first_op(program->subject);
    unsigned count = 0;

    for (unsigned group = 0; group < 3; group++)
        if (world->pool[group])
            arguments[count++] = (uint8_t)(OP_POOLED + group);
    if (world->closing || round == script->rounds)
        return count;
    for (unsigned bit = 0; bit < OPS_MAX; bit++)
        if (script->begin[round] >> bit & 1)
            arguments[count++] = (uint8_t)(first + bit);
    return count;
}

/* What the menu has for a thread that holds so much. It releases rather than fill the pool. */
static unsigned uses(const struct world *world, const struct program *program, unsigned i,
                     const struct request *request, uint8_t arguments[])
{
    const struct thread *thread = &world->thread[i];
    const unsigned first = program_first_op(program->subject);
    const uint64_t menu = program->script[i].menu[thread->menu];
    uint64_t thens = 0;
    unsigned count = 0;

    for (unsigned bit = 0; bit < OPS_MAX; bit++) {
        const struct op *op = &ops[first + bit];

        if ((menu >> bit & 1) && op->holds == request->a && op->state == request->y)
            thens |= UINT64_C(1) << (op->pools && pool_full(world) ? 0 : op->then);
    }
    for (unsigned then = 0; then < 64; then++)
        if (thens >> then & 1)
            arguments[count++] = (uint8_t)then;
    return count;
}

bool world_sleeps_at(const struct thread *thread, const struct request *wake)
{
    const struct request *request = automaton_request(thread->node);

    if (thread->status != STATUS_ASLEEP)
        return false;
    if (wake->kind == REQ_RAISE)
        return request->kind == REQ_SLEEP && request->a == wake->a;
    return request->kind == REQ_WAIT && request->word == wake->word && (request->x & wake->x);
}

static unsigned sleepers(const struct world *world, const struct program *program,
                         const struct request *wake, uint8_t arguments[])
{
    unsigned count = 0;

    for (unsigned i = 0; i < program->threads; i++)
        if (world_sleeps_at(&world->thread[i], wake))
            arguments[count++] = (uint8_t)(i + 1);
    if (count == 0)
        arguments[count++] = 0;
    return count;
}

/* A drain passes a frozen lock, so it says nothing of those who hold it so. */
#define GROUP_FREEZES 2

/* Nobody but threads on their way out uses the locks, and nobody begins to. */
static bool may_close(const struct world *world, const struct program *program, unsigned i)
{
    for (unsigned j = 0; j < program->threads; j++) {
        const struct thread *other = &world->thread[j];
        const bool inside = other->call == CALL_NONE && (other->held || other->area);
        const bool leaves = other->call == CALL_RELEASE || other->call == CALL_DRAIN;
        const bool freezes = other->held + other->moving > 0 && other->state == GROUP_FREEZES;

        if (j != i && !world_thread_idle(world, j) && (freezes || (!inside && !leaves)))
            return false;
    }
    return world->pool[GROUP_FREEZES] == 0;
}

static bool no_other_in(const struct world *world, const struct program *program, unsigned i,
                        enum call call)
{
    for (unsigned j = 0; j < program->threads; j++)
        if (j != i && world->thread[j].call == call)
            return false;
    return true;
}

static unsigned awaited(const struct world *world, const struct program *program, unsigned i,
                        const struct request *request, uint8_t arguments[])
{
    unsigned count = 0;

    switch (request->x) {
    case AWAIT_CLOSING:
        if (!world->closing && (!world_is_lock(program) || may_close(world, program, i)))
            arguments[count++] = 0;
        break;
    case AWAIT_DRAINED:
    case AWAIT_ENTERED:
        if (no_other_in(world, program, i, request->x == AWAIT_DRAINED ? CALL_DRAIN : CALL_TRY))
            arguments[count++] = 0;
        break;
    case AWAIT_ZERO:
        if (automaton_shared(world->shared, request->a) == 0)
            arguments[count++] = 0;
        break;
    case AWAIT_MORE:
        arguments[count++] = 0;
        if (!world->closing)
            arguments[count++] = 1;
        break;
    case AWAIT_STORE:
        arguments[count++] = 0;
        if (automaton_shared(world->shared, request->a) != 0)
            arguments[count++] = 1;
        break;
    case AWAIT_USE:
        return uses(world, program, i, request, arguments);
    case AWAIT_MOMENT:
        arguments[count++] = 0;
        break;
    default:
        if (automaton_shared(world->shared, request->a) ||
            (request->b && automaton_shared(world->shared, request->b)))
            arguments[count++] = 0;
        if (request->x == AWAIT_GRANT)
            arguments[count++] = 1;
    }
    return count;
}

unsigned world_ways(const struct world *world, const struct program *program, unsigned i,
                    uint8_t arguments[WAYS_MAX])
{
    const struct thread *thread = &world->thread[i];
    const struct request *request = automaton_request(thread->node);

    if (thread->status == STATUS_ASLEEP)
        return 0;
    arguments[0] = 0;
    switch (request->kind) {
    case REQ_END:
        return operations(world, program, i, arguments);
    case REQ_WAKE:
        return request->y ? sleepers(world, program, request, arguments) : 1;
    case REQ_NOW:
        if ((thread->seen & SEEN_SLEEP) || (program->async && !(thread->seen & SEEN_FRESH)))
            return moments(thread, arguments);
        arguments[0] = thread->clock;
        return 1;
    case REQ_LOCK:
        return automaton_shared(world->shared, request->a) == 0;
    case REQ_AWAIT:
        return awaited(world, program, i, request, arguments);
    default:
        return 1;
    }
}

static void add(struct choice choices[CHOICES_MAX], unsigned *count, unsigned thread,
                enum choice_kind kind, unsigned argument)
{
    if (*count == CHOICES_MAX) {
        fputs("model: too many choices\n", stderr);
        exit(2);
    }
    choices[(*count)++] = (struct choice){
        .thread = (uint8_t)thread, .kind = (uint8_t)kind, .argument = (uint8_t)argument};
}

/* The moments at which a sleep until `until` may end. If all are too early: the last of them. */
static unsigned ends(const struct thread *thread, uint64_t until, uint8_t when[4])
{
    uint8_t later[4];
    const unsigned all = moments(thread, later);
    unsigned count = 0;

    for (unsigned i = 0; i < all; i++)
        if (world_nanoseconds(later[i]) >= until)
            when[count++] = later[i];
    if (count == 0)
        when[count++] = later[all - 1];
    return count;
}

unsigned world_choices(const struct world *world, const struct program *program,
                       struct choice choices[CHOICES_MAX])
{
    unsigned count = 0;

    for (unsigned i = 0; i < program->threads; i++) {
        uint8_t arguments[WAYS_MAX];
        const struct thread *thread = &world->thread[i];
        const unsigned go = world_ways(world, program, i, arguments);

        for (unsigned j = 0; j < go; j++) {
            add(choices, &count, i, CHOICE_GO, arguments[j]);
            if (world->splits && world->splits != SPLITS_ALL)
                add(choices, &count, i, CHOICE_SPLIT, arguments[j]);
        }
        if (thread->status == STATUS_ASLEEP) {
            const uint64_t until = automaton_request(thread->node)->b;
            uint8_t when[4];
            const unsigned times = until ? ends(thread, until, when) : 0;

            for (unsigned j = 0; j < times; j++)
                add(choices, &count, i, CHOICE_TIME, when[j]);
            if (world->spurious)
                add(choices, &count, i, CHOICE_SPURIOUS, 0);
        }
    }
    return count;
}

void world_sort(struct world *world, const struct program *program)
{
    for (unsigned i = 1; i < program->threads; i++) {
        for (unsigned j = i; j > 0 && program->like[j] == program->like[j - 1]; j--) {
            const struct thread above = world->thread[j - 1];

            if (memcmp(&above, &world->thread[j], sizeof(above)) <= 0)
                break;
            world->thread[j - 1] = world->thread[j];
            world->thread[j] = above;
        }
    }
}
