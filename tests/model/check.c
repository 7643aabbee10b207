/* SPDX-License-Identifier: MIT */
/*
 * What must be true after every step, seen from outside: each thread's holds are known from what
 * its calls returned and from the swaps they made, and are compared with the word.
 *
 *   G1  holds of one state only; of the exclusive one only one         check_state
 *   G2  the word's count is the holds there are                        check_state
 *   G3  the bound, in turns, once a waiter has claimed                 check_turns
 *   G7  no access to a word that may have been freed                   world.c
 *   G8  a drain that returned has seen the lock unlocked or frozen     check_return
 *   G9  a call that failed has taken nothing; nobody is asleep who may enter, unless somebody is in
 *       the middle of a call; when all is over, the word is as at first
 *   G10 a switch changes the state of one hold, the caller's           check_word
 *   G13 a try that failed had a reason                                 check_return
 *   and a thread is asleep only if somebody is on the way who will wake it (check_stuck).
 *
 * The bound of G3, exactly. A waiter that claims either gets the turn for its group at once, or a
 * reservation while another group has the turn.
 *   - While a group has the turn, nobody enters another state (but by a switch or a join), so what
 *     it waits for are the holds of the moment, and nothing else.
 *   - The turn ends only when all of the group's registered waiters are in, or have given up. (Of
 *     the exclusive group: one of them; the others reserve the next turn.)
 *   - From a reservation to its turn, the turn goes to at most one other group: with the one that
 *     had it, that is two, of which one takes a state and the other drains or freezes.
 * And who sleeps with its patience over has claimed (check_sleep).
 * So: at most one phase of the other state and one of drains and freezes.
 * A pair's begin waits at two or three locks in turn, a buffered write that meets a remap at one more
 * (iopair.c's lists of steps, which have no circles): that many times this bound. It is checked for
 * each of a pair's words.
 */
#include "automaton.h"
#include "word.h"
#include "world.h"

#include <errno.h>
#include <stddef.h>

#define AREAS 10

static bool exclusive(const struct program *program, unsigned word)
{
    if (program->subject == SUBJECT_PAIR || program->subject == SUBJECT_LEASE)
        return word == 0 || word == WORD_USERS;
    return program->subject != SUBJECT_LOCK;
}

/* The word alone. */
static const char *check_bits(const struct program *program, unsigned word, uint64_t w)
{
    const uint64_t states = w & WORD_STATES;
    const bool silent = (w & (WORD_ASYNC | WORD_SHARED)) != 0; /* sleepers that are not counted */

    if ((word_holders(w) == 0) != (states == 0))
        return "the word has a state and no holds, or holds and no state";
    if (exclusive(program, word) && states == word_held(GROUP_B) && word_holders(w) != 1)
        return "two exclusive holds in the word";
    for (unsigned g = GROUP_A; g <= GROUP_DRAIN; g++) {
        const enum group group = (enum group)g;

        if (word_waiting(w, group))
            continue;
        if ((w & WORD_TURN) == word_turn(group))
            return "a group has the turn, of which nobody waits";
        if (w & word_reserved(group))
            return "a group has reserved a turn, of which nobody waits";
        if ((w & word_sleep(group)) && !silent)
            return "a group's sleep bit is set, of which nobody waits";
    }
    if ((w & WORD_SLEEP_SW) && !(w & WORD_SWITCHING))
        return "the switch's sleep bit is set, and nobody switches";
    return NULL;
}

/* See the bound of G3 at the top. */
static const char *check_turns(struct world *world, const struct program *program,
                               const struct thread *thread, unsigned word, uint64_t before)
{
    const uint64_t after = world->word[word];
    const uint64_t turn = before & WORD_TURN, next = after & WORD_TURN;

    for (unsigned g = GROUP_A; g <= GROUP_DRAIN; g++) {
        const enum group group = (enum group)g;
        const uint64_t reserved = word_reserved(group);

        if (turn == word_turn(group)) {
            if (word_holders(after) > word_holders(before) &&
                (after & WORD_STATES) != word_held(group) && thread->call != CALL_JOIN)
                return "somebody entered in the turn of another group (G3)";
            if (next != turn && word_waiting(after, group) &&
                !(exclusive(program, word) && group == GROUP_B) && !(after & WORD_SHARED))
                return "a turn ended before all of its group were in (G3)";
        }
        if (!(after & reserved))
            world->passed[word][g] = 0;
        else if ((before & reserved) && next != turn && ++world->passed[word][g] > 1)
            return "the turn went to two groups before one that had reserved it (G3)";
    }
    return NULL;
}

/* The state of the only hold is now `state`: by its thread's own call, or by a waiter that it left. */
static bool take_switch(struct world *world, const struct program *program, struct thread *thread,
                        uint64_t state)
{
    if (thread->call == CALL_SWITCH && thread->held == 1) {
        thread->state = thread->group;
        return true;
    }
    for (unsigned i = 0; i < program->threads; i++) {
        struct thread *other = &world->thread[i];

        if (other->held == 1 && other->switching &&
            state == word_held((enum group)(other->switching - 1))) {
            other->state = (uint8_t)(other->switching - 1);
            other->switching = 0;
            return true;
        }
    }
    return false;
}

/* What the step did to the count must be what the thread's call is for. */
static const char *check_holds(struct world *world, const struct program *program,
                               struct thread *thread, uint64_t before, uint64_t after)
{
    const uint32_t was = word_holders(before), is = word_holders(after);
    const uint64_t state = after & WORD_STATES;

    if (is > was) {
        const bool takes =
            thread->call == CALL_ACQUIRE || thread->call == CALL_TRY || thread->call == CALL_JOIN;

        if (takes && thread->mutexes == 0 && thread->moving == 0 &&
            state == word_held(thread->group) && is - was == thread->wanted && thread->wanted > 0) {
            thread->moving = thread->wanted;
            thread->state = thread->group;
        } else if (program->async) {
            uint8_t *handed = &world->handed[state / word_held(GROUP_A) - 1];

            *handed = (uint8_t)(*handed + (is - was));
        } else {
            return "a call took holds that it was not asked for";
        }
    } else if (is < was) {
        if (thread->call != CALL_RELEASE || thread->moving != was - is ||
            (before & WORD_STATES) != word_held(thread->state))
            return "a call gave back holds that were not its own";
        thread->moving = 0;
    } else if (state != (before & WORD_STATES)) {
        if (!take_switch(world, program, thread, state) || is != 1)
            return "the state changed, and not by the switch of a single hold (G10)";
    }
    return NULL;
}

/* What a call in progress sees at this instant that may justify its answer. */
static void notice(const struct program *program, struct thread *thread, uint64_t w)
{
    const uint64_t states = w & WORD_STATES, turn = w & WORD_TURN;

    if (states == 0 || states == WORD_STATES)
        thread->seen |= SEEN_UNLOCKED;
    if (w & WORD_SWITCHING)
        thread->seen |= SEEN_SWITCHING;
    if (thread->call == CALL_TRY && ((states && states != word_held(thread->group)) ||
                                     (turn && turn != word_turn(thread->group)) ||
                                     (states && exclusive(program, 0) && thread->group == GROUP_B)))
        thread->seen |= SEEN_REFUSED;
    if (thread->call == CALL_SWITCH && word_holders(w) > 1)
        thread->seen |= SEEN_REFUSED;
}

/* Only what the call will be asked for, so that equal states are equal. */
static void notice_what_counts(const struct program *program, struct thread *thread, uint64_t w)
{
    const uint8_t kept = thread->seen & (SEEN_SLEEP | SEEN_FRESH);

    notice(program, thread, w);
    if (thread->call == CALL_DRAIN)
        thread->seen = kept | (thread->seen & SEEN_UNLOCKED);
    else if (thread->call == CALL_TRY)
        thread->seen = kept | (thread->seen & SEEN_REFUSED);
    else if (thread->call == CALL_SWITCH)
        thread->seen = kept | (thread->seen & (SEEN_REFUSED | SEEN_SWITCHING));
    else
        thread->seen = kept;
}

void check_begin(struct world *world, const struct program *program, unsigned thread)
{
    notice_what_counts(program, &world->thread[thread], world->word[0]);
}

static unsigned may_wait(const struct world *world, const struct program *program, unsigned group)
{
    unsigned count = 0;

    for (unsigned i = 0; i < program->threads; i++) {
        const struct thread *thread = &world->thread[i];

        count += (thread->call == CALL_ACQUIRE || thread->call == CALL_DRAIN ||
                  thread->call == CALL_SWITCH) &&
                 thread->group == group;
    }
    return count;
}

const char *check_word(struct world *world, const struct program *program, unsigned thread,
                       unsigned word, uint64_t before)
{
    const uint64_t w = world->word[word];
    const char *wrong = NULL;

    if (word == WORD_REMAPPING)
        return NULL;
    wrong = check_bits(program, word, w);
    if (word == WORD_USERS) /* nobody waits but who closes the file */
        return wrong;
    if (wrong == NULL && world_is_lock(program)) {
        for (unsigned i = 0; i < program->threads; i++)
            notice_what_counts(program, &world->thread[i], w);
        for (unsigned g = GROUP_A; g <= GROUP_DRAIN && !program->async; g++)
            if (word_waiting(w, (enum group)g) > may_wait(world, program, g))
                return "the word counts more waiters than there are";
        wrong = check_holds(world, program, &world->thread[thread], before, w);
    }
    return wrong ? wrong : check_turns(world, program, &world->thread[thread], word, before);
}

static bool deadline_passed(const struct thread *thread)
{
    return (thread->deadline == DEADLINE_SHORT && thread->clock >= MOMENT_SHORT) ||
           (thread->deadline == DEADLINE_LONG && thread->clock >= MOMENT_LONG);
}

static const char *check_failure(const struct thread *thread, int result)
{
    switch (result) {
    case -ETIMEDOUT:
        return deadline_passed(thread) ? NULL : "a call timed out before its deadline";
    case -EAGAIN:
        return thread->seen & SEEN_REFUSED ? NULL : "a try failed though it could be had (G13)";
    case -EDEADLK:
        return thread->call == CALL_SWITCH && (thread->seen & SEEN_SWITCHING)
                   ? NULL
                   : "-EDEADLK without another switch";
    case -ECANCELED:
    case -EINPROGRESS:
        return NULL;
    default:
        return "a call failed in a way that it has not";
    }
}

const char *check_return(struct world *world, const struct program *program, unsigned i, int result)
{
    struct thread *thread = &world->thread[i];
    const uint8_t moved = thread->moving;
    const uint8_t call = thread->call;
    const char *wrong = result ? check_failure(thread, result) : NULL;

    if (call == CALL_SWITCH && result == -EINPROGRESS)
        thread->switching = (uint8_t)(thread->group + 1);
    if (wrong == NULL && result == 0 && call == CALL_DRAIN && !(thread->seen & SEEN_UNLOCKED))
        wrong = "a drain returned and had not seen the lock unlocked (G8)";
    if (wrong == NULL && call == CALL_RELEASE && moved)
        wrong = "a release returned and gave nothing back";
    if (result == 0 && moved == 0 && thread->wanted > 0 && call != CALL_RELEASE &&
        call != CALL_SWITCH) {
        if (program->async && world->handed[thread->group] >= thread->wanted) {
            world->handed[thread->group] = (uint8_t)(world->handed[thread->group] - thread->wanted);
            thread->moving = thread->wanted;
            thread->state = thread->group;
        } else {
            wrong = "a call returned and had not taken what it was asked for";
        }
    }
    if (wrong == NULL && result != 0 && moved)
        wrong = "a call failed and had taken holds (G9)";
    thread->held = (uint8_t)(thread->held + thread->moving);
    if (thread->held == 0)
        thread->state = 0;
    thread->call = CALL_NONE;
    thread->deadline = thread->clock = thread->seen = 0;
    thread->group = thread->wanted = thread->moving = 0;
    return wrong;
}

/*
 * With nobody in the middle of a call, nobody is asleep who may enter: parked behind nobody (G9).
 */
static const char *check_parked(const struct world *world, const struct program *program)
{
    const uint64_t w = world->word[0];

    for (unsigned i = 0; i < program->threads; i++)
        if (world->thread[i].call != CALL_NONE && world->thread[i].status == STATUS_READY)
            return NULL;
    for (unsigned i = 0; i < program->threads; i++) {
        const struct thread *thread = &world->thread[i];
        const enum group group = (enum group)thread->group;

        if (thread->status != STATUS_ASLEEP)
            continue;
        if (thread->call == CALL_SWITCH
                ? word_holders(w) == 1
                : word_admits(w, group, exclusive(program, 0), thread->wanted))
            return "somebody is asleep who may enter, and nobody is about to wake it (G9)";
    }
    return NULL;
}

const char *check_state(const struct world *world, const struct program *program)
{
    const uint64_t w = world->word[0];
    unsigned total[3] = {0};

    if (!world_is_lock(program))
        return NULL;
    for (unsigned g = 0; g < 3; g++)
        total[g] = (unsigned)world->pool[g] + world->handed[g];
    for (unsigned i = 0; i < program->threads; i++)
        total[world->thread[i].state] += (unsigned)world->thread[i].held + world->thread[i].moving;
    if ((total[0] && total[1]) || (total[0] && total[2]) || (total[1] && total[2]))
        return "two states are held at the same time (G1)";
    if (program->subject == SUBJECT_IOLOCK && total[1] > 1)
        return "two exclusive holders (G1)";
    if (total[0] + total[1] + total[2] != word_holders(w))
        return "the word's count is not the holds there are";
    for (unsigned g = 0; g < 3; g++)
        if (total[g] && (w & WORD_STATES) != word_held((enum group)g))
            return "the word's state is not the one that is held (G1)";
    return program->async ? NULL : check_parked(world, program);
}

/* In a pair patience begins anew at each lock; who sleeps without end has none left. */
static const char *check_sleep_in_pair(const struct world *world, const struct request *sleep)
{
    const uint64_t w = world->word[sleep->word];

    for (unsigned g = GROUP_A; g <= GROUP_DRAIN; g++)
        if (sleep->b == 0 && (sleep->x >> g & 1) && !(w & WORD_SHARED) &&
            (w & WORD_TURN) != word_turn((enum group)g) && !(w & word_reserved((enum group)g)))
            return "a waiter sleeps without end at a lock of a pair, and has claimed nothing (G3)";
    return NULL;
}

/* Whoever sleeps with its patience over has the turn, or has reserved one (G3). */
const char *check_sleep(const struct world *world, const struct program *program, unsigned i)
{
    const struct thread *thread = &world->thread[i];
    const enum group group = (enum group)thread->group;
    const uint64_t w = world->word[0];

    if (!world_is_lock(program))
        return check_sleep_in_pair(world, automaton_request(thread->node));
    if (program->async || (w & WORD_SHARED) || thread->clock < MOMENT_PATIENCE)
        return NULL;
    return (w & WORD_TURN) == word_turn(group) || (w & word_reserved(group))
               ? NULL
               : "a waiter whose patience is over has claimed nothing (G3)";
}

/* Waits for an event that others bring, and does nothing by itself but give up. */
static bool stands(const struct world *world, const struct program *program, unsigned i)
{
    struct world alone = *world;
    struct choice choices[CHOICES_MAX];
    const struct request *request = automaton_request(world->thread[i].node);
    unsigned count = 0;

    if (world->thread[i].status == STATUS_ASLEEP)
        return true;
    if (request->kind == REQ_AWAIT ? request->x == AWAIT_USE : request->kind != REQ_LOCK)
        return false;
    count = world_choices(&alone, program, choices);
    for (unsigned j = 0; j < count; j++)
        if (choices[j].thread == i && choices[j].argument == 0)
            return false;
    return true;
}

/* What a lease holds as long as it is on: a BUFFERED_READ hold, and one of the users. */
static uint64_t leased(const struct world *world, const struct program *program)
{
    const bool on = program->subject == SUBJECT_LEASE && !world->freed &&
                    automaton_shared(world->shared, (uintptr_t)lease_state_) != 0;

    return on ? word_held(GROUP_A) | 1 : 0;
}

static const char *check_rest(const struct world *world, const struct program *program)
{
    const uint64_t first = program->first_word | leased(world, program);

    for (unsigned word = 0; word < world_words(program); word++) {
        uint64_t w = world->word[word] & ~WORD_FAST;

        if (w & WORD_SHARED)
            w &= ~WORD_SLEEPERS;
        if (w != (word == WORD_REMAPPING ? 0 : first))
            return word == WORD_REMAPPING ? "all is over, and IREMAPPING is set"
                                          : "all is over, and the word is not as at first (G9)";
    }
    return NULL;
}

const char *check_stuck(const struct world *world, const struct program *program)
{
    bool idle = false, asleep = false;

    if (world_idle(world, program))
        return check_rest(world, program);
    for (unsigned i = 0; i < program->threads; i++) {
        if (world_thread_idle(world, i))
            idle = true;
        else if (!stands(world, program, i))
            return NULL;
        else
            asleep = true;
    }
    if (idle && world->pool[0] + world->pool[1] + world->pool[2] > 0)
        return NULL;
    return asleep ? "everybody sleeps: nothing but time could wake them" : NULL;
}

/* clang-format off */
/*
 * iopair.h's table; a buffered write that was submitted (S) has IOTYPE alone; an extension that
 * turns into direct IO (T) is either of them.
 */
const char *check_enter(const struct world *world, const struct program *program, unsigned thread)
{
    static const char *const beside[AREAS] = {
        /*                   -RWDEURXST: the areas' order */
        [AREA_NONE] =      "----------",
        [AREA_READ] =      "---XXX-X--",
        [AREA_WRITE] =     "---XXXXX--",
        [AREA_DIRECT] =    "-XX-XXXXX-",
        [AREA_EXTEND] =    "-XXXXXXX-X",
        [AREA_UNALIGNED] = "-XXXXXXX-X",
        [AREA_REMAP] =     "--XXXXXX-X",
        [AREA_ALONE] =     "-XXXXXXXXX",
        [AREA_DURABLE] =   "---X---X--",
        [AREA_TURNING] =   "----XXXX-X",
    };
    const uint8_t area = world->thread[thread].area;

    for (unsigned i = 0; i < program->threads; i++)
        if (i != thread && beside[area][world->thread[i].area] == 'X')
            return "two IOs run together that must not (iopair.h)";
    return NULL;
}
/* clang-format on */
