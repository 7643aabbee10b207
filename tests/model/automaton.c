/* SPDX-License-Identifier: MIT */
/* Nodes and steps behind automaton.h. */
#include "automaton.h"

#include "fiber.h"
#include "intern.h"

#include <twostate/lock.h>

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SHARED_ROOM ((size_t)64 << 10)

/*
 * A step: from a place, with an answer, to a place. Open addressing; node 0 with steps: an
 * operation.
 */
struct step {
    struct place from;
    uint64_t answer;
    uint32_t done; /* the answer to a compare-and-swap; 2: the slot is free */
    struct place to;
};

static struct intern nodes, shared, messages;
static struct step *steps;
static uint32_t steps_mask, steps_count;
static unsigned char memory[FIBER_STACK + sizeof(struct request)];
static unsigned char differences[SHARED_ROOM];
static uint32_t loaded; /* the shared memory that is in place */

#define STEP_FREE 2U

#define SAMPLES 4U
#define OTHERS  1U
#define DEPTH   4U
#define NONE    UINT32_MAX

/* What is known of a node: its signs, the node it is taken for, and some that are taken for it. */
struct known {
    uint32_t sign[DEPTH + 1];
    uint32_t merged, asleep;
    uint32_t others, other[OTHERS];
};

static bool merging;
static struct intern signs, verified;
static struct known *known;
static uint32_t known_count;
static uint32_t *first_of; /* the first node of a sign */
static uint32_t first_count, first_room;

static struct step *new_steps(uint32_t count)
{
    struct step *table = calloc(count, sizeof(*table));

    if (table == NULL)
        abort();
    for (uint32_t i = 0; i < count; i++)
        table[i].done = STEP_FREE;
    return table;
}

static void *grown(void *array, uint32_t *room, uint32_t index, size_t size)
{
    if (index < *room)
        return array;
    *room = index * 2 + 256;
    array = realloc(array, *room * size);
    if (array == NULL)
        abort();
    return array;
}

static void know(uint32_t node)
{
    static uint32_t room;

    known = grown(known, &room, node, sizeof(*known));
    for (; known_count <= node; known_count++)
        memset(&known[known_count], 0xff, sizeof(*known)), known[known_count].others = 0;
}

void automaton_init(bool merge)
{
    const struct request idle = {.kind = REQ_END};
    bool fresh = false;

    fiber_init();
    merging = merge;
    intern_init(&signs);
    intern_init(&verified);
    intern_init(&nodes);
    intern_init(&shared);
    intern_init(&messages);
    intern_put(&nodes, &idle, sizeof(idle), &fresh);
    intern_put(&shared, differences, 0, &fresh);
    steps_mask = 1023;
    steps = new_steps(steps_mask + 1);
}

static uint32_t hash(struct place from, bool done, uint64_t answer)
{
    uint64_t x = (answer ^ ((uint64_t)from.node << 32 | from.shared)) * 0x9E3779B97F4A7C15 + done;

    x ^= x >> 29;
    x *= 0xBF58476D1CE4E5B9;
    x += (uint64_t)from.node * 0x94D049BB133111EB;
    return (uint32_t)(x >> 32);
}

static struct step *find(struct place from, bool done, uint64_t answer)
{
    uint32_t slot = hash(from, done, answer) & steps_mask;

    for (; steps[slot].done != STEP_FREE; slot = (slot + 1) & steps_mask) {
        const struct step *step = &steps[slot];

        if (step->from.node == from.node && step->from.shared == from.shared &&
            step->answer == answer && step->done == done)
            break;
    }
    return &steps[slot];
}

static void more_steps(void)
{
    struct step *old = steps;
    const uint32_t count = steps_mask + 1;

    steps_mask = count * 2 - 1;
    steps = new_steps(count * 2);
    for (uint32_t i = 0; i < count; i++)
        if (old[i].done != STEP_FREE)
            *find(old[i].from, old[i].done, old[i].answer) = old[i];
    free(old);
}

static void load_shared(uint32_t number)
{
    size_t size = 0;
    const void *bytes = intern_get(&shared, number, &size);

    if (number != loaded)
        fiber_shared_load(bytes, size);
    loaded = number;
}

static struct place keep(struct fiber_stop *stop)
{
    struct place to = {0};
    bool fresh = false;
    size_t size = stop->size;

    if (stop->request.kind == REQ_FAIL)
        stop->request.a = intern_put(&messages, stop->message, strlen(stop->message) + 1, &fresh);
    if (stop->request.kind == REQ_END) /* whatever is on the stack: it is idle */
        size = 0;
    memcpy(memory, &stop->request, sizeof(stop->request));
    if (size)
        fiber_save(memory + sizeof(stop->request));
    to.node = intern_put(&nodes, memory, sizeof(stop->request) + size, &fresh);
    size = fiber_shared_save(differences, sizeof(differences));
    to.shared = intern_put(&shared, differences, size, &fresh);
    loaded = to.shared;
    return to;
}

/* The step as the code takes it, byte for byte. */
static struct place run(struct place from, bool done, uint64_t answer)
{
    struct step *step = find(from, done, answer);
    struct fiber_stop stop = {0};
    struct place to = {0};
    size_t size = 0;

    if (step->done != STEP_FREE)
        return step->to;
    load_shared(from.shared);
    if (from.node == NODE_IDLE) {
        fiber_start((unsigned)answer, &stop);
    } else {
        const unsigned char *bytes = intern_get(&nodes, from.node, &size);
        const bool swap = automaton_request(from.node)->kind == REQ_CAS;

        fiber_go(bytes + sizeof(stop.request), size - sizeof(stop.request), swap ? done : answer,
                 answer, &stop);
    }
    to = keep(&stop);
    *step = (struct step){.from = from, .answer = answer, .done = done, .to = to};
    if (++steps_count > steps_mask / 2)
        more_steps();
    return to;
}

struct place automaton_next(struct place from, bool done, uint64_t answer)
{
    return run(from, done, answer);
}

/*
 * Merging. A stack holds more than what counts: values that are dead until they are loaded again.
 * So places where threads stop are told apart by what they do: a node's sign at depth 0 is what it
 * asks, and what the operation says is left to do; at depth d, that and the signs at d - 1 of the
 * nodes to which its answers lead. Nodes of one sign at DEPTH are taken for one. All the answers
 * there can be are tried, but for words, of which there are too many: for those some are tried; and
 * whatever word occurs in the exploration is then tried for other nodes of the sign too, which must
 * go where their node goes (automaton_verify).
 *
 * Only where no memory is shared (else what a step does depends on when it is done), and in the
 * fused mode: a load is followed to where the thread stops next.
 */

static const uint64_t clock_samples[SAMPLES] = {0, 100, UINT64_C(1000000000),
                                                UINT64_C(1000000000000)};
static const uint64_t word_samples[SAMPLES] = {
    TWOSTATE_FAST_,
    TWOSTATE_FAST_ | TWOSTATE_HELD_A_ | 1,
    TWOSTATE_FAST_ | TWOSTATE_HELD_B_ | 2 | TWOSTATE_SLEEP_A_ | UINT64_C(1) << 32,
    TWOSTATE_FAST_ | TWOSTATE_HELD_A_ | 2 | TWOSTATE_SLEEP_B_ | UINT64_C(1) << 41 | TWOSTATE_TURN_,
};

struct outcome {
    uint64_t word;
    uint64_t sign;
};

static uint32_t sign_of(uint32_t node, unsigned depth);

static uint32_t after(uint32_t node, bool done, uint64_t answer)
{
    return run((struct place){node, SHARED_FIRST}, done, answer).node;
}

/* From a load that finds `value`, over what follows from it, to the next stop. */
static uint32_t after_load(uint32_t node, uint64_t *value)
{
    const uint8_t word = automaton_request(node)->word;

    for (;;) {
        const struct request *request = automaton_request(node);

        if (request->word != word || (request->kind != REQ_LOAD && request->kind != REQ_CAS))
            return node;
        if (request->kind == REQ_CAS && request->a == *value) {
            *value = request->b;
            return after(node, true, 0);
        }
        node = after(node, false, *value);
    }
}

/* What a load that finds `value` leads to: the word, and the sign of the next stop. */
static struct outcome outcome_of_load(uint32_t node, uint64_t value, unsigned depth)
{
    const uint32_t next = after_load(node, &value);

    return (struct outcome){value, sign_of(next, depth)};
}

/* All that a request leads to, the signs at depth. */
static size_t outcomes(uint32_t node, unsigned depth, struct outcome next[SAMPLES])
{
    const enum request_kind kind = automaton_request(node)->kind;

    if (kind == REQ_END || kind == REQ_FAIL || kind == REQ_CAS)
        return 0;
    if (kind != REQ_LOAD && kind != REQ_NOW) {
        next[0] = (struct outcome){0, sign_of(after(node, false, 0), depth)};
        return 1;
    }
    for (unsigned i = 0; i < SAMPLES; i++) {
        if (kind == REQ_LOAD)
            next[i] = outcome_of_load(node, word_samples[i], depth);
        else
            next[i] = (struct outcome){0, sign_of(after(node, false, clock_samples[i]), depth)};
    }
    return SAMPLES;
}

/* What the operation says is left to do: in its thread's memory, above the stack. */
static void get_left(uint32_t node, void *left)
{
    size_t size = 0;
    const unsigned char *bytes = intern_get(&nodes, node, &size);

    if (size >= sizeof(struct request) + PORT_LOCAL)
        memcpy(left, bytes + size - PORT_LOCAL, PORT_LEFT);
    else
        memset(left, 0, PORT_LEFT);
}

/* Not a stop; or one with one way to go on, at which nothing is decided. */
static bool passes(enum request_kind kind)
{
    return kind == REQ_CALL || kind == REQ_RETURN || kind == REQ_LEAVE || kind == REQ_ENTER ||
           kind == REQ_POOL || kind == REQ_AWAIT || kind == REQ_FREE;
}

static uint32_t sign_of(uint32_t node, unsigned depth)
{
    struct {
        struct request request;
        unsigned char left[PORT_LEFT];
        uint64_t depth;
        struct outcome next[SAMPLES];
    } key;
    size_t size = offsetof(__typeof__(key), next);
    uint32_t sign = 0;
    bool fresh = false;

    know(node);
    if (known[node].sign[depth] != NONE)
        return known[node].sign[depth];
    if (depth > 0)
        size += outcomes(node, depth - !passes(automaton_request(node)->kind), key.next) *
                sizeof(key.next[0]);
    key.request = *automaton_request(node);
    get_left(node, key.left);
    key.depth = depth;
    sign = intern_put(&signs, &key, size, &fresh);
    return known[node].sign[depth] = sign;
}

static uint32_t first_with(uint32_t sign, uint32_t node)
{
    struct known *first = NULL;

    first_of = grown(first_of, &first_room, sign, sizeof(*first_of));
    for (; first_count <= sign; first_count++)
        first_of[first_count] = NONE;
    if (first_of[sign] == NONE)
        first_of[sign] = node;
    first = &known[first_of[sign]];
    if (first_of[sign] != node && first->others < OTHERS)
        first->other[first->others++] = node;
    return first_of[sign];
}

uint32_t automaton_merged(uint32_t node)
{
    uint32_t sign = 0;

    if (!merging)
        return node;
    sign = sign_of(node, DEPTH);
    if (known[node].merged == NONE)
        known[node].merged = first_with(sign, node);
    return known[node].merged;
}

uint32_t automaton_asleep(uint32_t node)
{
    struct {
        struct request request;
        uint64_t next;
    } key = {.request = *automaton_request(node)};
    bool fresh = false;

    if (!merging || key.request.kind != REQ_WAIT)
        return node;
    know(node);
    key.request.a = 0; /* the kernel has compared it, and forgotten it */
    key.next = sign_of(after(node, false, 0), DEPTH);
    if (known[node].asleep == NONE)
        known[node].asleep = first_with(intern_put(&signs, &key, sizeof(key), &fresh), node);
    return known[node].asleep;
}

bool automaton_verify(uint32_t node, uint64_t value)
{
    const struct {
        uint64_t value;
        uint64_t node;
    } key = {value, node};
    bool fresh = false;
    struct outcome outcome = {0};

    if (!merging)
        return true;
    intern_put(&verified, &key, sizeof(key), &fresh);
    if (!fresh)
        return true;
    know(node);
    outcome = outcome_of_load(node, value, DEPTH);
    for (unsigned i = 0; i < known[node].others; i++) {
        const struct outcome other = outcome_of_load(known[node].other[i], value, DEPTH);

        if (other.word != outcome.word || other.sign != outcome.sign)
            return false;
    }
    return true;
}

const struct request *automaton_request(uint32_t node)
{
    size_t size = 0;

    return intern_get(&nodes, node, &size);
}

const char *automaton_message(uint32_t node)
{
    size_t size = 0;

    return intern_get(&messages, (uint32_t)automaton_request(node)->a, &size);
}

uint32_t automaton_shared(uint32_t number, uint64_t address)
{
    size_t size = 0;
    const void *bytes = intern_get(&shared, number, &size);

    return fiber_shared_read(bytes, size, address);
}

struct automaton_size automaton_size(void)
{
    return (struct automaton_size){nodes.count, shared.count, steps_count};
}
