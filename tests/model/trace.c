/* SPDX-License-Identifier: MIT */
/* Printing of traces. */
#include "trace.h"

#include "automaton.h"
#include "program.h"
#include "word.h"

#include <stdlib.h>
#include <string.h>

static const char kinds[] = "gsTw"; /* by enum choice_kind */

static void print_groups(FILE *out, const char *name, uint64_t w, uint64_t first, unsigned count)
{
    if ((w & (first * ((UINT64_C(1) << count) - 1))) == 0)
        return;
    fprintf(out, ", %s ", name);
    for (unsigned i = 0; i < count; i++)
        if (w & (first << i))
            fputc("ABDS"[i], out);
}

static void print_word(FILE *out, uint64_t w)
{
    static const char *const states[] = {"unlocked", "A", "B", "frozen"};

    fprintf(out, "%s", states[(w & WORD_STATES) / word_held(GROUP_A)]);
    if (word_holders(w))
        fprintf(out, " x %u", word_holders(w));
    for (unsigned g = GROUP_A; g <= GROUP_DRAIN; g++)
        if (word_waiting(w, (enum group)g))
            fprintf(out, ", %u wait for %c", word_waiting(w, (enum group)g), "ABD"[g]);
    print_groups(out, "sleep", w, word_sleep(GROUP_A), 4);
    print_groups(out, "reserved", w, word_reserved(GROUP_A), 3);
    if (w & WORD_TURN)
        fprintf(out, ", turn of %c", "-ABD"[(w & WORD_TURN) / word_turn(GROUP_A)]);
    fprintf(out, "%s%s%s", w & WORD_SWITCHING ? ", switching" : "", w & WORD_ASYNC ? ", async" : "",
            w & WORD_FAST ? "" : ", slow");
}

static void print_request(FILE *out, const struct request *request)
{
    static const char *const names[] = {
        [REQ_LOAD] = "load",           [REQ_CAS] = "swap",          [REQ_STORE] = "store",
        [REQ_WAIT] = "futex wait",     [REQ_WAKE] = "futex wake",   [REQ_NOW] = "look at the clock",
        [REQ_TOUCH] = "flag",          [REQ_LOCK] = "lock mutex",   [REQ_UNLOCK] = "unlock mutex",
        [REQ_SLEEP] = "wait for flag", [REQ_RAISE] = "wake flag",   [REQ_CALL] = "call",
        [REQ_RETURN] = "return",       [REQ_LEAVE] = "release",     [REQ_POOL] = "pool",
        [REQ_AWAIT] = "go on",         [REQ_ENTER] = "enter/leave", [REQ_FREE] = "free",
        [REQ_END] = "begin",           [REQ_FAIL] = "fail",
    };

    fputs(names[request->kind], out);
    if (request->kind == REQ_WAIT || request->kind == REQ_WAKE)
        for (unsigned i = 0; i < 4; i++)
            if (request->x >> i & 1)
                fprintf(out, " %c", "ABDS"[i]);
}

static void print_state(FILE *out, const struct program *program, const struct world *before,
                        const struct world *after)
{
    for (unsigned i = 0; i < ARENA_WORDS; i++) {
        if (before->word[i] == after->word[i])
            continue;
        fprintf(out, "; word %u: ", i);
        if (i == 2)
            fprintf(out, "%s", after->word[i] ? "remapping" : "not remapping");
        else
            print_word(out, after->word[i]);
    }
    for (unsigned i = 0; i < program->threads; i++) {
        const bool sleeps = after->thread[i].status == STATUS_ASLEEP;

        if (sleeps != (before->thread[i].status == STATUS_ASLEEP))
            fprintf(out, "; %u %s", i, sleeps ? "sleeps" : "is awake");
    }
}

void trace_print(FILE *out, const struct program *program, const struct choice *way,
                 unsigned length)
{
    const char *doing[THREADS_MAX] = {0};
    struct world world, before;

    world_init(&world, program);
    for (unsigned i = 0; i < length; i++) {
        const struct choice choice = way[i];
        const struct request *request = automaton_request(world.thread[choice.thread].node);
        const char *wrong = NULL;
        bool possible = true;

        if (request->kind == REQ_END)
            doing[choice.thread] = ops[choice.argument].name;
        fprintf(out, "%4u  %u %-3s ", i + 1, choice.thread, doing[choice.thread]);
        if (choice.kind == CHOICE_TIME)
            fputs("time passes", out);
        else if (choice.kind == CHOICE_SPURIOUS)
            fputs("wakes for no reason", out);
        else
            print_request(out, request);
        if (request->kind == REQ_NOW)
            fprintf(out, " (%u)", choice.argument);
        before = world;
        wrong = world_step(&world, program, choice, &possible);
        print_state(out, program, &before, &world);
        if (world_thread_idle(&world, choice.thread))
            fputs("; done", out);
        fprintf(out, "%s%s\n", wrong ? "; WRONG: " : "", wrong ? wrong : "");
        if (wrong)
            return;
    }
    if (check_stuck(&world, program))
        fprintf(out, "      WRONG: %s\n", check_stuck(&world, program));
}

void trace_print_way(FILE *out, const struct choice *way, unsigned length)
{
    for (unsigned i = 0; i < length; i++) {
        fprintf(out, "%s%u%c", i ? "." : "", way[i].thread, kinds[way[i].kind]);
        if (way[i].argument)
            fprintf(out, "%u", way[i].argument);
    }
}

unsigned trace_parse(const char *text, struct choice *way, unsigned room)
{
    unsigned length = 0;

    while (*text) {
        char *end = NULL;
        const unsigned long thread = strtoul(text, &end, 10);
        const char *kind = *end ? strchr(kinds, *end) : NULL;

        if (kind == NULL || thread >= THREADS_MAX || length == room)
            return 0;
        way[length].thread = (uint8_t)thread;
        way[length].kind = (uint8_t)(kind - kinds);
        text = end + 1;
        way[length++].argument = (uint8_t)strtoul(text, &end, 10);
        text = end + (*end == '.');
    }
    return length;
}

void trace_print_program(FILE *out, const struct program *program)
{
    for (unsigned i = 0; i < program->threads; i++) {
        const struct script *script = &program->script[i];

        fprintf(out, "%s", i ? " " : "");
        for (unsigned round = 0; round < script->rounds; round++) {
            const char *comma = round ? "," : "";

            if (script->menu[round] == program_all(program->subject, false)) {
                fprintf(out, "%sall", comma);
                continue;
            }
            if (script->menu[round] == program_all(program->subject, true)) {
                fprintf(out, "%sall+", comma);
                continue;
            }
            for (unsigned op = 3; op < ops_count; op++) {
                if (ops[op].subject == program->subject &&
                    (script->menu[round] & program_bit(op))) {
                    fprintf(out, "%s%s", comma, ops[op].name);
                    comma = "|";
                }
            }
        }
        fputs(script->forever ? "*" : "", out);
    }
}
