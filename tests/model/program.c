/* SPDX-License-Identifier: MIT */
/* The text of programs. */
#include "program.h"

#include <stdio.h>
#include <string.h>

static bool frees(const struct op *op)
{
    return op->name[0] == 'F';
}

unsigned program_first_op(enum subject subject)
{
    unsigned first = 0;

    while (ops[first].subject != subject)
        first++;
    return first;
}

uint64_t program_bit(unsigned op)
{
    return UINT64_C(1) << (op - program_first_op((enum subject)ops[op].subject));
}

uint64_t program_all(enum subject subject, bool async)
{
    uint64_t all = 0;

    for (unsigned i = 0; i < ops_count; i++)
        if (ops[i].subject == subject && !frees(&ops[i]) && (async || !ops[i].async))
            all |= program_bit(i);
    return all;
}

static uint64_t operation(enum subject subject, const char *name, size_t length)
{
    if (length == 3 && strncmp(name, "all", 3) == 0)
        return program_all(subject, false);
    if (length == 4 && strncmp(name, "all+", 4) == 0)
        return program_all(subject, true);
    for (unsigned i = 0; i < ops_count; i++)
        if (ops[i].subject == subject && strlen(ops[i].name) == length &&
            strncmp(ops[i].name, name, length) == 0)
            return program_bit(i);
    fprintf(stderr, "model: no operation %.*s\n", (int)length, name);
    return 0;
}

bool program_add(struct program *program, const char *word, size_t length)
{
    struct script script = {0};
    const char *end = word + length;

    if (length > 0 && end[-1] == '*') {
        script.forever = 1;
        end--;
    }
    if (program->threads == THREADS_MAX) {
        fprintf(stderr, "model: more than %u threads\n", THREADS_MAX);
        return false;
    }
    while (word < end && script.rounds < ROUNDS_MAX) {
        const size_t name = strcspn(word, "|,*");
        const size_t here = name < (size_t)(end - word) ? name : (size_t)(end - word);
        const uint64_t one = operation(program->subject, word, here);

        if (one == 0)
            return false;
        script.menu[script.rounds] |= one;
        word += here;
        script.rounds = (uint8_t)(script.rounds + (word == end || *word == ','));
        word += word < end;
    }
    program->script[program->threads++] = script;
    return word == end && script.rounds > 0;
}

/* So that threads that are alike are neighbours, and can be put in order (world_sort). */
static void sort(struct program *program)
{
    for (unsigned i = 1; i < program->threads; i++) {
        for (unsigned j = i; j > 0; j--) {
            const struct script above = program->script[j - 1];

            if (memcmp(&above, &program->script[j], sizeof(above)) <= 0)
                break;
            program->script[j - 1] = program->script[j];
            program->script[j] = above;
        }
    }
}

/* Releases what the others leave in the pool, and nothing else. */
static void add_releaser(struct program *program)
{
    if (program->threads < THREADS_MAX)
        program->script[program->threads++] = (struct script){0};
}

static bool begin_alike(const struct op *a, const struct op *b)
{
    return a->holds > 0 && a->holds == b->holds && a->state == b->state && a->form == b->form;
}

static uint64_t begins(uint64_t menu, unsigned first)
{
    uint64_t kept = 0;

    for (unsigned i = 0; i < OPS_MAX; i++) {
        bool before = false;

        for (unsigned j = 0; j < i && (menu >> i & 1); j++)
            before |= (menu >> j & 1) && begin_alike(&ops[first + i], &ops[first + j]);
        if ((menu >> i & 1) && !before)
            kept |= UINT64_C(1) << i;
    }
    return kept;
}

static uint64_t pooling(enum subject subject)
{
    uint64_t pools = 0;

    for (unsigned i = 3; i < ops_count; i++)
        if (ops[i].subject == subject && ops[i].pools)
            pools |= program_bit(i);
    return pools;
}

/*
 * Between its operations every thread may release what is in the pool. After its last one it can;
 * where a thread goes on after it has put something there, all may wait for one that does not.
 */
static bool wants_releaser(const struct program *program)
{
    const uint64_t pools = pooling(program->subject);

    for (unsigned i = 0; i < program->threads; i++)
        for (unsigned j = 0; j < program->script[i].rounds; j++)
            if ((program->script[i].menu[j] & pools) &&
                (program->script[i].forever || j + 1U < program->script[i].rounds))
                return true;
    return false;
}

void program_finish(struct program *program)
{
    uint64_t used = 0;

    for (unsigned i = 0; i < program->threads; i++) {
        struct script *script = &program->script[i];

        for (unsigned j = 0; j < script->rounds; j++) {
            script->begin[j] = begins(script->menu[j], program_first_op(program->subject));
            used |= script->menu[j];
        }
    }
    for (unsigned i = 3; i < ops_count; i++) {
        if (ops[i].subject == program->subject && (used & program_bit(i)))
            program->async |= ops[i].async;
    }
    program->async |= program->subject == SUBJECT_FOLIO || program->subject == SUBJECT_LEASE;
    if (wants_releaser(program))
        add_releaser(program);
    sort(program);
    for (unsigned i = 0; i < program->threads; i++) {
        unsigned like = 0;

        while (memcmp(&program->script[like], &program->script[i], sizeof(struct script)) != 0)
            like++;
        program->like[i] = (uint8_t)like;
    }
}
