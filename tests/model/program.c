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

void program_finish(struct program *program)
{
    uint64_t used = 0;
    bool pools = false;

    for (unsigned i = 0; i < program->threads; i++)
        for (unsigned j = 0; j < program->script[i].rounds; j++)
            used |= program->script[i].menu[j];
    for (unsigned i = 3; i < ops_count; i++) {
        if (ops[i].subject != program->subject || !(used & program_bit(i)))
            continue;
        program->async |= ops[i].async;
        pools |= ops[i].pools;
    }
    if (pools)
        add_releaser(program);
    sort(program);
    for (unsigned i = 0; i < program->threads; i++) {
        unsigned like = 0;

        while (memcmp(&program->script[like], &program->script[i], sizeof(struct script)) != 0)
            like++;
        program->like[i] = (uint8_t)like;
    }
}
