/* SPDX-License-Identifier: MIT */
/* Draws what a case found, from its rows: a group of bars for each cell, a bar for each way. */
#include <stdio.h>
#include <string.h>

#include "bench_io.h"
#include "report.h"

#define TEXT 48
#define MOST 32

/* Different ones, in the order in which they came. */
struct names {
    unsigned n;
    char text[MOST][TEXT];
};

static void add_name(struct names *names, const char *text)
{
    for (unsigned i = 0; i < names->n; i++)
        if (strcmp(names->text[i], text) == 0)
            return;
    if (names->n < MOST)
        snprintf(names->text[names->n++], TEXT, "%s", text);
}

static const char *text_of(const json_t *row, const char *key)
{
    const char *text = json_string_value(json_object_get(row, key));

    return text != NULL ? text : "";
}

static int number_of(const json_t *row, const char *key)
{
    return (int)json_integer_value(json_object_get(row, key));
}

static void name_bar(const json_t *row, char bar[TEXT])
{
    const char *how = text_of(row, "completions");
    const bool plain =
        *how == '\0' || strcmp(how, "thread") == 0 || strcmp(text_of(row, "impl"), "liburing") == 0;

    snprintf(bar, TEXT, "%s%s%s", text_of(row, "impl"), plain ? "" : ", ", plain ? "" : how);
}

static void name_group(const json_t *row, char group[TEXT])
{
    if (strcmp(text_of(row, "case"), "direct") == 0)
        snprintf(group, TEXT, "%s, depth %d", text_of(row, "op"), number_of(row, "depth"));
    else if (strcmp(text_of(row, "case"), "mixed") == 0)
        snprintf(group, TEXT, "%s", text_of(row, "side"));
    else
        snprintf(group, TEXT, "%s %dK, %d", text_of(row, "case"), number_of(row, "block") / 1024,
                 number_of(row, "threads"));
}

static double value_of(const json_t *rows, const char *group, const char *bar)
{
    for (size_t i = 0; i < json_array_size(rows); i++) {
        const json_t *row = json_array_get(rows, i);
        char its_bar[TEXT], its_group[TEXT];

        name_bar(row, its_bar);
        name_group(row, its_group);
        if (strcmp(its_bar, bar) == 0 && strcmp(its_group, group) == 0)
            return json_number_value(json_object_get(row, "ops_per_s"));
    }
    return 0;
}

bool io_draw(const char *path, const json_t *rows)
{
    struct names groups = {0}, bars = {0};
    FILE *plot;

    for (size_t i = 0; i < json_array_size(rows); i++) {
        char name[TEXT];

        name_bar(json_array_get(rows, i), name);
        add_name(&bars, name);
        name_group(json_array_get(rows, i), name);
        add_name(&groups, name);
    }
    plot = report_plot_begin(path, groups.n > 8 ? 1400 : 800, 480);
    if (plot == NULL)
        return false;
    fputs("$data << END\n", plot);
    for (unsigned g = 0; g < groups.n; g++) {
        fprintf(plot, "\"%s\"", groups.text[g]);
        for (unsigned b = 0; b < bars.n; b++)
            fprintf(plot, " %f", value_of(rows, groups.text[g], bars.text[b]) / 1000);
        fputc('\n', plot);
    }
    fprintf(plot,
            "END\nset title 'thousands of operations in a second, one file on %s'\n"
            "set style data histogram\nset style fill solid 0.7\n"
            "set key outside right noenhanced\nset xtics rotate by -40 noenhanced\n"
            "set logscale y\nset grid y\nplot ",
            text_of(json_array_get(rows, 0), "fs"));
    for (unsigned b = 0; b < bars.n; b++)
        fprintf(plot, "%s$data using %u%s title '%s'", b > 0 ? ", " : "", b + 2,
                b > 0 ? "" : ":xtic(1)", bars.text[b]);
    fputc('\n', plot);
    return report_plot_end(plot);
}
