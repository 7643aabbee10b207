/* SPDX-License-Identifier: MIT */
/* One step: what is carried out, and where it stops. What it must keep true is in check.c. */
#include "automaton.h"
#include "world.h"

#include <stddef.h>

/* A step in progress. */
struct step {
    struct world *world;
    const struct program *program;
    unsigned thread;
    bool split;   /* to be split at its first load */
    bool chosen;  /* it began with the choice of a use: what follows is not a stop of its own */
    bool visible; /* it has done what others can see */
    bool loaded;  /* and that was nothing but loads of `word`, or swaps of it that failed */
    unsigned word;
    const char *wrong;
};

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
        if (world_sleeps_at(&step->world->thread[i], request) && (!request->y || argument == i + 1))
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
        if (request->kind == REQ_WAIT)
            wrong(step, check_sleep(world, step->program, step->thread));
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
    thread->switching = 0;
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

/* Equal menus are one, so that it does not matter which of them a thread is at. */
static uint8_t menu_of(const struct script *script, uint8_t round)
{
    uint8_t menu = 0;

    while (script->menu[menu] != script->menu[round])
        menu++;
    return menu;
}

static void begin_operation(struct step *step, unsigned op)
{
    struct thread *thread = &step->world->thread[step->thread];
    const struct script *script = &step->program->script[step->thread];

    if (op >= 3)
        thread->menu = menu_of(script, thread->round);
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
        answer(step, step->thread, false, world_nanoseconds(argument));
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
        step->chosen = request.x == AWAIT_USE;
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
    uint8_t arguments[WAYS_MAX];
    const struct thread *thread = &step->world->thread[step->thread];
    const struct request *request = automaton_request(thread->node);

    *argument = 0;
    if (step->wrong || thread->status == STATUS_ASLEEP || request->kind == REQ_END)
        return false;
    if (at_once(request))
        return true;
    if (request->kind == REQ_NOW || !step->visible) {
        const unsigned count = world_ways(step->world, step->program, step->thread, arguments);

        *argument = arguments[0];
        return count == 1 && request->kind != REQ_ENTER &&
               (request->kind != REQ_LEAVE || step->chosen);
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
