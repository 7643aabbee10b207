/* SPDX-License-Identifier: MIT */
/* Saying what bench_lock mixed or direct found: the table, the cells compared, JSON, the plot. */
#include "mixed.h"

#include <math.h>

#include "report.h"

#define KEY_HEIGHT 60U  /* of the plot's, in pixels */
#define GOAL       0.95 /* of the best peer's throughput, in each cell */

/* Those whose states are both shared. */
static const enum mixed_lock same[] = {MIXED_twostate, MIXED_bcachefs_alg, MIXED_mutex_cond};

#define SAME (sizeof(same) / sizeof(same[0]))

static double ratio_to(const struct row *row, enum mixed_lock peer)
{
    return row->of[MIXED_twostate].mops / row->of[peer].mops;
}

/* twostate's throughput over that of the best other lock whose states are both shared. */
static double ratio(const struct row *row)
{
    return fmin(ratio_to(row, MIXED_bcachefs_alg), ratio_to(row, MIXED_mutex_cond));
}

/* The longest wait for either state, in ms. */
static double longest_ms(const struct row *row, enum mixed_lock lock)
{
    return fmax(row->of[lock].max[0], row->of[lock].max[1]) / 1000;
}

static const char *hold_text(const struct cell *cell, char *text, size_t size)
{
    if (cell->hold_ns < 1000)
        snprintf(text, size, "%u ns", (unsigned)cell->hold_ns);
    else
        snprintf(text, size, "%u us%s", (unsigned)cell->hold_ns / 1000,
                 cell->asleep ? " asleep" : "");
    return text;
}

static void print_row(const struct row *row)
{
    char hold[32];

    for (unsigned i = 0; i < MIXED_LOCKS; i++) {
        const struct outcome *o = &row->of[i];

        if (!o->played)
            continue;
        if (i == MIXED_twostate)
            printf("\n%7u %14s %3u %%  ", row->cell.threads,
                   hold_text(&row->cell, hold, sizeof(hold)), row->cell.minority);
        else
            printf("%30s", "");
        printf("%-15s %9.4f", mixed_names[i], o->mops);
        if (i == MIXED_twostate)
            printf(" %7.2f ", ratio(row));
        else
            printf(" %8s", "");
        printf("| %9.1f %9.1f %9.1f | %9.1f %9.1f %9.1f\n", o->p50[0], o->p99[0], o->max[0],
               o->p50[1], o->p99[1], o->max[1]);
    }
}

static void compare_cell(const struct row *row)
{
    char hold[32];

    printf("%7u %14s %3u %%  %10.2f %10.2f  |", row->cell.threads,
           hold_text(&row->cell, hold, sizeof(hold)), row->cell.minority,
           ratio_to(row, MIXED_bcachefs_alg), ratio_to(row, MIXED_mutex_cond));
    for (size_t i = 0; i < SAME; i++)
        printf(" %13.1f", longest_ms(row, same[i]));
    if (ratio(row) < GOAL)
        printf("  below %.2f", GOAL);
    else if (round(100 * ratio(row)) < 100) /* as it is shown */
        printf("  lost");
    putchar('\n');
}

static void compare(const struct row *rows, size_t n)
{
    printf("\nThe cells: twostate's throughput over each peer's whose states are both shared; the\n"
           "longest wait for either state, in ms\n\n"
           "%7s %14s %5s  %10s %10s  |",
           "threads", "hold", "B", "bcachefs", "mutex_cond");
    for (size_t i = 0; i < SAME; i++)
        printf(" %13s", mixed_names[same[i]]);
    putchar('\n');
    for (size_t i = 0; i < n; i++)
        compare_cell(&rows[i]);
}

static void print_goals(const struct row *rows, size_t n)
{
    double logs = 0, lowest = INFINITY, longest[MIXED_LOCKS] = {0};
    size_t lost = 0, below = 0;

    for (size_t i = 0; i < n; i++) {
        logs += log(ratio(&rows[i]));
        lowest = fmin(lowest, ratio(&rows[i]));
        lost += round(100 * ratio(&rows[i])) < 100;
        below += ratio(&rows[i]) < GOAL;
        for (size_t l = 0; l < SAME; l++)
            longest[same[l]] = fmax(longest[same[l]], longest_ms(&rows[i], same[l]));
    }
    printf("\n%zu of %zu cells lost, %zu of them below %.2f; longest wait of all, ms:", lost, n,
           below, GOAL);
    for (size_t l = 0; l < SAME; l++)
        printf("%s %s %.1f", l ? "," : "", mixed_names[same[l]], longest[same[l]]);
    fputs("\n\n", stdout);
    report_goal("throughput over the better peer's, the lowest cell", lowest, true, GOAL);
    report_goal("throughput over the better peer's, geometric mean of the cells",
                exp(logs / (double)n), true, 1);
}

void mixed_table(const struct row *rows, size_t n)
{
    if (rows[0].cell.in_flight)
        printf("holders of B sleep for %u us; hold is what holders of A compute\n\n",
               MIXED_IN_FLIGHT_NS / 1000);
    printf("%79s%-31s | %s\n", "| ", "wait for A, us", "wait for B, us");
    printf("%7s %14s %5s  %-15s %9s %7s | %9s %9s %9s | %9s %9s %9s\n", "threads", "hold", "B",
           "lock", "Mops/s", "ratio", "p50", "p99", "max", "p50", "p99", "max");
    for (size_t i = 0; i < n; i++)
        print_row(&rows[i]);
    printf(
        "\nratio: twostate to the better of bcachefs_alg and mutex_cond, which do the same: both\n"
        "states are shared. pthread_rwlock, ck_rwlock and ck_pflock do less: A is their read\n"
        "lock, B their write lock, which is not shared. The ck locks only spin: no cells with\n"
        "more threads than processors, or with sleeping holders.\n");
    compare(rows, n);
    print_goals(rows, n);
}

json_t *mixed_json(const struct row *rows, size_t n)
{
    json_t *array = json_array();

    for (size_t i = 0; i < n; i++)
        for (unsigned l = 0; l < MIXED_LOCKS; l++) {
            const struct cell *cell = &rows[i].cell;
            const struct outcome *o = &rows[i].of[l];

            if (!o->played)
                continue;
            json_array_append_new(
                array, json_pack("{s:s, s:i, s:I, s:b, s:b, s:i, s:o, s:[o,o], s:[o,o], s:[o,o]}",
                                 "lock", mixed_names[l], "threads", (int)cell->threads, "hold_ns",
                                 (json_int_t)cell->hold_ns, "asleep", (int)cell->asleep,
                                 "in_flight", (int)cell->in_flight, "minority_pct",
                                 (int)cell->minority, "mops", report_number(o->mops), "wait_p50_us",
                                 report_number(o->p50[0]), report_number(o->p50[1]), "wait_p99_us",
                                 report_number(o->p99[0]), report_number(o->p99[1]), "wait_max_us",
                                 report_number(o->max[0]), report_number(o->max[1])));
        }
    return array;
}

static bool same_panel(const struct row *a, const struct row *b)
{
    return a->cell.hold_ns == b->cell.hold_ns && a->cell.minority == b->cell.minority;
}

/* Dark enough to be read on white. */
static const char *const colours[MIXED_LOCKS] = {
    [MIXED_twostate] = "#d62728",   [MIXED_bcachefs_alg] = "#0072b2",
    [MIXED_mutex_cond] = "#009e73", [MIXED_pthread_rwlock] = "#7b3294",
    [MIXED_ck_rwlock] = "#8c510a",  [MIXED_ck_pflock] = "#555555",
};

static int width_of(unsigned lock)
{
    return lock == MIXED_twostate ? 3 : 1;
}

/* One panel: throughput over threads, a line for each lock. rows[0..n) belong to it. */
static void draw_panel(FILE *plot, const struct row *rows, size_t n)
{
    char hold[32];

    fputs("$data << END\n", plot);
    for (unsigned l = 0; l < MIXED_LOCKS; l++) {
        bool any = false;

        for (size_t i = 0; i < n; i++)
            if (rows[i].of[l].played && rows[i].of[l].mops > 0) {
                fprintf(plot, "%u %f\n", rows[i].cell.threads, rows[i].of[l].mops);
                any = true;
            }
        fputs(any ? "\n\n" : "1 NaN\n\n\n", plot);
    }
    fprintf(plot, "END\nset title 'hold %s, %u %% B'\n",
            hold_text(&rows[0].cell, hold, sizeof(hold)), rows[0].cell.minority);
    for (unsigned l = 0; l < MIXED_LOCKS; l++)
        fprintf(plot, "%s $data index %u with linespoints lc rgb '%s' lw %d", l ? "," : "plot", l,
                colours[l], width_of(l));
    fputc('\n', plot);
}

/* One key for all panels, as a plot of its own that has nothing else. */
static void draw_key(FILE *plot, unsigned height)
{
    fprintf(plot,
            "set lmargin at screen 0\nset rmargin at screen 1\n"
            "set bmargin at screen 0\nset tmargin at screen 1.0 * %u / %u\n"
            "unset logscale\nunset title\nunset border\nunset tics\nunset grid\n"
            "unset xlabel\nunset ylabel\nset key center horizontal noenhanced\n",
            KEY_HEIGHT, height);
    for (unsigned l = 0; l < MIXED_LOCKS; l++)
        fprintf(plot, "%s NaN with linespoints lc rgb '%s' lw %d title '%s'",
                l ? "," : "plot [0:1][0:1]", colours[l], width_of(l), mixed_names[l]);
    fputc('\n', plot);
}

bool mixed_draw(const char *path, const struct row *rows, size_t n)
{
    unsigned panels = 0, columns = 0, width, height;
    FILE *plot;

    for (size_t i = 0; i < n; i++)
        if (i == 0 || !same_panel(&rows[i - 1], &rows[i])) {
            panels++;
            columns += rows[i].cell.hold_ns == rows[0].cell.hold_ns;
        }
    width = 380 * columns;
    height = 300 * (panels / columns) + KEY_HEIGHT;
    plot = report_plot_begin(path, width, height);
    if (plot == NULL)
        return false;
    /* Margins and spacing are fractions of the whole. */
    fprintf(plot,
            "x = 1.0 / %u\ny = 1.0 / %u\n"
            "set multiplot layout %u,%u margins 95*x,1-20*x,(60+%u)*y,1-35*y spacing 115*x,95*y\n",
            width, height, panels / columns, columns, KEY_HEIGHT);
    fputs("unset key\nset logscale xy\nset xtics (1,2,4,8,16)\nset xrange [0.9:18]\n"
          "set xlabel 'threads'\nset ylabel 'Mops/s'\nset grid\n",
          plot);
    for (size_t first = 0, i = 1; i <= n; i++)
        if (i == n || !same_panel(&rows[first], &rows[i])) {
            draw_panel(plot, rows + first, i - first);
            first = i;
        }
    draw_key(plot, height);
    fputs("unset multiplot\n", plot);
    return report_plot_end(plot);
}
