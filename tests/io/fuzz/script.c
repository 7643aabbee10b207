/* SPDX-License-Identifier: MIT */
/* Scripts as text. */
#include "script.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <twostate/io.h>

#define SEPARATORS " \t\r\n"

const char *const op_names[OP_KIND_COUNT] = {
#define X(name, weight) #name,
    OP_KINDS(X)
#undef X
};

static const char *const op_field_names[OP_FIELD_COUNT] = {
#define X(name) #name,
    OP_FIELDS(X)
#undef X
};

static const char *const setup_field_names[SETUP_FIELD_COUNT] = {
#define X(name) #name,
    SETUP_FIELDS(X)
#undef X
};

static const struct flag {
    const char *name;
    int64_t bit;
} flags[] = {
    {"direct", TWOSTATE_IO_DIRECT},       {"dsync", TWOSTATE_IO_DSYNC},
    {"nowait", TWOSTATE_IO_NOWAIT},       {"append", TWOSTATE_IO_APPEND},
    {"dontcache", TWOSTATE_IO_DONTCACHE},
};

#define FLAG_COUNT (sizeof(flags) / sizeof(flags[0]))

int64_t *op_field(struct op *op, size_t field)
{
    return (int64_t *)((char *)op + offsetof(struct op, file)) + field;
}

int64_t *setup_field(struct setup *setup, size_t field)
{
    return (int64_t *)setup + field;
}

static void print_flags(int64_t value, FILE *to)
{
    const char *between = "";

    for (size_t i = 0; i < FLAG_COUNT; i++) {
        if (value & flags[i].bit) {
            fprintf(to, "%s%s", between, flags[i].name);
            between = "+";
        }
    }
}

void op_print(const struct op *op, FILE *to)
{
    struct op copy = *op;

    fputs(op_names[op->kind], to);
    for (size_t i = 0; i < OP_FIELD_COUNT; i++) {
        const int64_t value = *op_field(&copy, i);

        if (value == 0)
            continue;
        fprintf(to, " %s=", op_field_names[i]);
        if (i == OP_FIELD_COUNT - 1)
            print_flags(value, to);
        else
            fprintf(to, "%lld", (long long)value);
    }
    fputc('\n', to);
}

void script_print(const struct script *script, FILE *to)
{
    struct setup setup = script->setup;

    fputs("setup", to);
    for (size_t i = 0; i < SETUP_FIELD_COUNT; i++)
        if (*setup_field(&setup, i))
            fprintf(to, " %s=%lld", setup_field_names[i], (long long)*setup_field(&setup, i));
    fputc('\n', to);
    for (size_t i = 0; i < script->count; i++)
        op_print(&script->ops[i], to);
}

static int find(const char *name, size_t length, const char *const *names, int count)
{
    for (int i = 0; i < count; i++)
        if (strlen(names[i]) == length && strncmp(names[i], name, length) == 0)
            return i;
    return -1;
}

static int parse_flags(const char *text, int64_t *value)
{
    *value = 0;
    while (*text) {
        const size_t length = strcspn(text, "+");
        size_t i = 0;

        while (i < FLAG_COUNT &&
               (strlen(flags[i].name) != length || strncmp(flags[i].name, text, length) != 0))
            i++;
        if (i == FLAG_COUNT)
            return -EINVAL;
        *value |= flags[i].bit;
        text += length + (text[length] == '+');
    }
    return 0;
}

static int parse_number(const char *text, int64_t *value)
{
    char *end = NULL;

    *value = strtoll(text, &end, 0);
    return *text == 0 || *end ? -EINVAL : 0;
}

/* The rest of the line that strtok_r is at: name=value, and again. */
static int parse_fields(char **rest, const char *const *names, int count, int64_t *values,
                        bool with_flags)
{
    for (char *word = NULL; (word = strtok_r(NULL, SEPARATORS, rest)) != NULL;) {
        const size_t length = strcspn(word, "=");
        const int field = find(word, length, names, count);
        int result = -EINVAL;

        if (field >= 0 && word[length])
            result = with_flags && field == count - 1
                         ? parse_flags(word + length + 1, &values[field])
                         : parse_number(word + length + 1, &values[field]);
        if (result)
            return result;
    }
    return 0;
}

static int parse_line(struct script *script, char *line)
{
    char *rest = NULL;
    const char *word = strtok_r(line, SEPARATORS, &rest);
    struct op *op = &script->ops[script->count];
    int kind = 0;

    if (word == NULL || *word == '#')
        return 0;
    if (strcmp(word, "setup") == 0)
        return parse_fields(&rest, setup_field_names, SETUP_FIELD_COUNT,
                            setup_field(&script->setup, 0), false);
    kind = find(word, strlen(word), op_names, OP_KIND_COUNT);
    if (kind < 0 || script->count == SCRIPT_MOST)
        return -EINVAL;
    *op = (struct op){.kind = (enum op_kind)kind};
    script->count++;
    return parse_fields(&rest, op_field_names, OP_FIELD_COUNT, op_field(op, 0), true);
}

int script_parse(struct script *script, FILE *from)
{
    char line[1000];

    script->count = 0;
    script->setup = (struct setup){0};
    for (int number = 1; fgets(line, sizeof(line), from); number++)
        if (parse_line(script, line))
            return number;
    return 0;
}
