/* SPDX-License-Identifier: MIT */
/* Choices and steps. What a step must keep true is in check.c. */
#include "world.h"

#include "automaton.h"
#include "program.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A step in progress. */
struct step {
    struct world *world;
    const struct program *program;
    unsigned thread;
    bool split;   /* to be split at its first load */
    bool visible; /* it has done what others can see */
    bool loaded;  /* and that was nothing but loads of `word`, or swaps of it that failed */
    unsigned word;
    const char *wrong;
};

static uint64_t nanoseconds(enum moment moment)
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

void world_init(struct world *world, const struct program *program)
{
    *world = (struct world){.spurious = (uint8_t)program->spurious,
                            .splits = (uint8_t)program->splits,
                            .shared = SHARED_FIRST};
    world->word[0] = program->first_word;
    if (program->subject == SUBJECT_PAIR)
        world->word[1] = program->first_word;
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

    for (unsigned group = 0; group < 3 && script->rounds == 0; group++)
        if (world->pool[group])
            arguments[count++] = (uint8_t)(OP_POOLED + group);
    if (world->closing || round == script->rounds)
        return count;
    for (unsigned bit = 0; bit < OPS_MAX; bit++)
        if ((script->menu[round] >> bit & 1) && !(ops[first + bit].pools && pool_full(world)))
            arguments[count++] = (uint8_t)(first + bit);
    return count;
}

static bool sleeps_at(const struct thread *thread, const struct request *wake)
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
        if (sleeps_at(&world->thread[i], wake))
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
    return !world->closing;
}

static bool nobody_drains(const struct world *world, const struct program *program, unsigned i)
{
    for (unsigned j = 0; j < program->threads; j++)
        if (j != i && world->thread[j].call == CALL_DRAIN)
            return false;
    return true;
}

static unsigned awaited(const struct world *world, const struct program *program, unsigned i,
                        const struct request *request, uint8_t arguments[])
{
    unsigned count = 0;

    switch (request->x) {
    case AWAIT_CLOSING:
        if (may_close(world, program, i))
            arguments[count++] = 0;
        break;
    case AWAIT_DRAINED:
        if (nobody_drains(world, program, i))
            arguments[count++] = 0;
        break;
    case AWAIT_MOMENT:
        arguments[count++] = 0;
        break;
    default:
        if (automaton_shared(world->shared, request->a))
            arguments[count++] = 0;
        if (request->x == AWAIT_GRANT)
            arguments[count++] = 1;
    }
    return count;
}

/* In how many ways thread i can go on: what the choice's argument may be. */
static unsigned ways(const struct world *world, const struct program *program, unsigned i,
                     uint8_t arguments[OPS_MAX + 3])
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
        if (nanoseconds(later[i]) >= until)
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
        uint8_t arguments[OPS_MAX + 3];
        const struct thread *thread = &world->thread[i];
        const unsigned go = ways(world, program, i, arguments);

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

/* Steps. */

static void wrong(struct step *step, const char *what)
{
    if (step->wrong == NULL)
        step->wrong = what;
}

static void answer(struct step *step, unsigned i, bool done, uint64_t value)
{
    struct thread *thread = &step->world->thread[i];
    const struct place to =
        automaton_next((struct place){thread->node, step->world->shared}, done, value);

    thread->node = to.node;
    step->world->shared = to.shared;
}

static void end_sleep(struct step *step, unsigned i)
{
    step->world->thread[i].status = STATUS_READY;
    step->world->thread[i].seen |= SEEN_SLEEP;
    answer(step, i, false, 0);
    step->world->thread[i].node = automaton_merged(step->world->thread[i].node);
}

static void wake(struct step *step, const struct request *request, unsigned argument)
{
    for (unsigned i = 0; i < step->program->threads; i++)
        if (sleeps_at(&step->world->thread[i], request) && (!request->y || argument == i + 1))
            end_sleep(step, i);
}

static void change_word(struct step *step, unsigned word, uint64_t value)
{
    struct world *world = step->world;
    const uint64_t before = world->word[word];

    world->word[word] = value;
    wrong(step, check_word(world, step->program, step->thread, word, before));
}

static void access_word(struct step *step, const struct request *request)
{
    struct world *world = step->world;
    const uint64_t now = world->word[request->word];
    bool done = false;

    if (world->freed) {
        wrong(step, "the lock is touched after it may have been freed (G7)");
        return;
    }
    if (request->kind == REQ_LOAD && !step->visible &&
        !automaton_verify(world->thread[step->thread].node, now))
        wrong(step, "the explorer merged places in the code that are not the same");
    step->loaded = !step->visible || (step->loaded && step->word == request->word);
    step->word = request->word;
    if (request->kind == REQ_CAS && now == request->a) {
        done = true;
        change_word(step, request->word, request->b);
    } else if (request->kind == REQ_STORE) {
        change_word(step, request->word, request->a);
    }
    if (done || request->kind == REQ_STORE)
        step->loaded = false;
    answer(step, step->thread, done, done ? 0 : now);
}

static void go_to_sleep(struct step *step, const struct request *request)
{
    struct world *world = step->world;
    struct thread *thread = &world->thread[step->thread];
    bool sleeps = false;

    if (request->kind == REQ_WAIT) {
        if (world->freed)
            wrong(step, "sleeps on a lock that may have been freed (G7)");
        sleeps = world->word[request->word] >> 32 == request->a;
    } else {
        sleeps = automaton_shared(world->shared, request->a) == request->z;
    }
    if (sleeps) {
        thread->status = STATUS_ASLEEP;
        thread->node = automaton_asleep(thread->node);
    } else {
        thread->seen |= SEEN_SLEEP;
        answer(step, step->thread, false, 0);
    }
}

static void move_pool(struct step *step, const struct request *request)
{
    struct world *world = step->world;
    struct thread *thread = &world->thread[step->thread];
    const uint8_t n = (uint8_t)request->a;
    uint8_t *from = request->x == POOL_TAKE ? world->pool : world->handed;

    if (request->x == POOL_PUT) {
        thread->held = (uint8_t)(thread->held - n);
        world->pool[request->y] = (uint8_t)(world->pool[request->y] + n);
        return;
    }
    if (from[request->y] < n)
        wrong(step, "a waiter was told that it holds, and does not");
    from[request->y] = (uint8_t)(from[request->y] - n);
    thread->held = (uint8_t)(thread->held + n);
    thread->state = request->y;
}

static void leave(struct step *step, const struct request *request)
{
    struct thread *thread = &step->world->thread[step->thread];

    if (thread->held < request->a || thread->state != request->y)
        wrong(step, "the operation gives back what it does not hold");
    thread->held = (uint8_t)(thread->held - request->a);
    thread->moving = (uint8_t)request->a;
    thread->call = CALL_RELEASE;
}

static void begin_call(struct step *step, const struct request *request)
{
    struct thread *thread = &step->world->thread[step->thread];

    thread->call = request->x;
    thread->group = request->y;
    thread->wanted = (uint8_t)request->a;
    thread->deadline = (uint8_t)request->b;
    thread->clock = MOMENT_START;
    thread->seen = request->z ? SEEN_FRESH : 0;
    check_begin(step->world, step->program, step->thread);
}

/* An operation is over, and leaves nothing of the thread behind but the number of its rounds. */
static void end(struct step *step)
{
    struct thread *thread = &step->world->thread[step->thread];

    if (thread->held || thread->moving || thread->area)
        wrong(step, "an operation ends with something held");
    *thread = (struct thread){.node = NODE_IDLE, .round = thread->round};
}

static void begin_operation(struct step *step, unsigned op)
{
    struct thread *thread = &step->world->thread[step->thread];
    const struct script *script = &step->program->script[step->thread];

    if (op >= 3 && !(script->forever && thread->round + 1 == script->rounds))
        thread->round++;
    answer(step, step->thread, false, op);
}

/* Carries out the request of the step's thread, the `argument`th way. */
static void carry_out(struct step *step, unsigned argument)
{
    struct world *world = step->world;
    struct thread *thread = &world->thread[step->thread];
    const struct request request = *automaton_request(thread->node);

    switch (request.kind) {
    case REQ_END:
        begin_operation(step, argument);
        return;
    case REQ_LOAD:
    case REQ_CAS:
    case REQ_STORE:
        access_word(step, &request);
        step->visible = true;
        return;
    case REQ_WAIT:
    case REQ_SLEEP:
        go_to_sleep(step, &request);
        step->visible = true;
        step->loaded = false;
        return;
    case REQ_WAKE:
    case REQ_RAISE:
        wake(step, &request, argument);
        break;
    case REQ_NOW:
        thread->clock = (uint8_t)argument;
        thread->seen &= (uint8_t) ~(SEEN_SLEEP | SEEN_FRESH);
        answer(step, step->thread, false, nanoseconds(argument));
        return;
    case REQ_CALL:
        begin_call(step, &request);
        answer(step, step->thread, false, 0);
        return;
    case REQ_RETURN:
        wrong(step, check_return(world, step->program, step->thread, (int)request.a));
        answer(step, step->thread, false, 0);
        return;
    case REQ_LEAVE:
        leave(step, &request);
        answer(step, step->thread, false, 0);
        return;
    case REQ_POOL:
        move_pool(step, &request);
        answer(step, step->thread, false, 0);
        return;
    case REQ_ENTER:
        thread->area = request.y ? request.x : 0;
        wrong(step, check_enter(world, step->program, step->thread));
        answer(step, step->thread, false, 0);
        return;
    case REQ_AWAIT:
        world->closing |= request.x == AWAIT_CLOSING;
        answer(step, step->thread, false, argument);
        return;
    case REQ_UNLOCK:
        thread->mutexes--;
        answer(step, step->thread, false, 0);
        return;
    case REQ_FREE:
        world->freed = 1;
        answer(step, step->thread, false, 0);
        return;
    case REQ_FAIL:
        wrong(step, automaton_message(thread->node));
        return;
    case REQ_LOCK:
        thread->mutexes++;
        break;
    default:
        break;
    }
    step->visible = true;
    step->loaded = false;
    answer(step, step->thread, false, argument);
}

static bool at_once(const struct request *request)
{
    switch (request->kind) {
    case REQ_CALL:
    case REQ_RETURN:
    case REQ_POOL:
    case REQ_UNLOCK:
    case REQ_FREE:
    case REQ_FAIL:
        return true;
    case REQ_ENTER:
        return request->y != 0;
    default:
        return false;
    }
}

static bool fuses(const struct step *step, const struct request *request)
{
    return step->loaded && step->world->splits != SPLITS_ALL && request->word == step->word &&
           (request->kind == REQ_LOAD || request->kind == REQ_CAS);
}

/* Whether the step goes on over the next request, and if so how. */
static bool goes_on(struct step *step, unsigned *argument)
{
    uint8_t arguments[OPS_MAX + 3];
    const struct thread *thread = &step->world->thread[step->thread];
    const struct request *request = automaton_request(thread->node);

    *argument = 0;
    if (step->wrong || thread->status == STATUS_ASLEEP || request->kind == REQ_END)
        return false;
    if (at_once(request))
        return true;
    if (request->kind == REQ_NOW || !step->visible) {
        const unsigned count = ways(step->world, step->program, step->thread, arguments);

        *argument = arguments[0];
        return count == 1 && (request->kind != REQ_LEAVE && request->kind != REQ_ENTER);
    }
    if (!fuses(step, request))
        return false;
    if (step->split) {
        step->split = false;
        step->world->splits--;
        return false;
    }
    return true;
}

const char *world_step(struct world *world, const struct program *program, struct choice choice,
                       bool *possible)
{
    struct step step = {.world = world,
                        .program = program,
                        .thread = choice.thread,
                        .split = choice.kind == CHOICE_SPLIT};
    struct thread *thread = &world->thread[choice.thread];
    unsigned argument = choice.argument;
    bool was_split = false;

    if (choice.kind == CHOICE_GO || choice.kind == CHOICE_SPLIT) {
        carry_out(&step, argument);
    } else {
        if (choice.kind == CHOICE_TIME)
            thread->clock = choice.argument;
        else
            world->spurious--;
        end_sleep(&step, choice.thread);
    }
    while (goes_on(&step, &argument))
        carry_out(&step, argument);
    was_split = choice.kind == CHOICE_SPLIT && !step.split;
    if (step.wrong == NULL && world_thread_idle(world, choice.thread))
        end(&step);
    if (thread->status == STATUS_READY && step.wrong == NULL && !was_split)
        thread->node = automaton_merged(thread->node);
    *possible = !step.split || step.wrong;
    if (step.wrong == NULL)
        wrong(&step, check_state(world, program));
    return step.wrong;
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
