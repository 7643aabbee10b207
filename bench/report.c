/* SPDX-License-Identifier: MIT */
/* Saying what was found: medians, goals, progress, JSON, plots. */
#include "report.h"

#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

static int compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

double report_median(double *values, size_t n)
{
    if (n == 0)
        return 0;
    qsort(values, n, sizeof(*values), compare);
    return n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

void report_progress(unsigned done, unsigned total, const char *what)
{
    if (!isatty(STDERR_FILENO))
        return;
    if (done == total)
        fputs("\r\033[K", stderr);
    else
        fprintf(stderr, "\r\033[K%3u %%  %s", 100 * done / total, what);
    fflush(stderr);
}

void report_goal(const char *what, double value, bool at_least, double goal)
{
    const double shown = round(value * 1000) / 1000;

    printf("goal: %-64s %8.3f, %s %g: %s\n", what, value, at_least ? "at least" : "at most", goal,
           (at_least ? shown >= goal : shown <= goal) ? "reached" : "MISSED");
}

/* The value of the first "name : value" line of a file of such; the default if there is none. */
static void find_value(const char *path, const char *name, char *value, size_t size)
{
    FILE *file = fopen(path, "re");
    char line[256];

    if (file == NULL)
        return;
    while (fgets(line, sizeof(line), file) != NULL) {
        const char *colon = strchr(line, ':');

        if (colon == NULL || strncmp(line, name, strlen(name)) != 0)
            continue;
        snprintf(value, size, "%s", colon + 1 + strspn(colon + 1, " \t"));
        value[strcspn(value, "\n")] = 0;
        break;
    }
    fclose(file);
}

void report_machine(char *text, size_t size)
{
    char cpu[128] = "";
    struct utsname name;

    if (uname(&name) != 0)
        memset(&name, 0, sizeof(name));
    find_value("/proc/cpuinfo", "model name", cpu, sizeof(cpu));
    name.release[strcspn(name.release, "-+")] = 0;
    snprintf(text, size, "%s, %ld processors, %s %s, %s %s", *cpu ? cpu : name.machine,
             sysconf(_SC_NPROCESSORS_ONLN), name.sysname, name.release,
#ifdef __clang__
             "clang", __clang_version__);
#else
             "gcc", __VERSION__);
#endif
}

FILE *report_open(const char *path)
{
    FILE *file = fopen(path, "we");

    if (file == NULL)
        fprintf(stderr, "can't write %s: %s\n", path, strerror(errno));
    return file;
}

bool report_json(FILE *file, json_t *rows)
{
    bool ok = true;

    if (file != NULL) {
        ok = rows != NULL &&
             json_dumpf(rows, file, JSON_INDENT(1) | JSON_REAL_PRECISION(12)) == 0 &&
             fputc('\n', file) != EOF;
        ok = fclose(file) == 0 && ok;
        if (!ok)
            fputs("can't write the JSON file\n", stderr);
    }
    json_decref(rows);
    return ok;
}

json_t *report_number(double value)
{
    return json_real(round(value * 1000) / 1000);
}

bool report_can_plot(void)
{
    FILE *plot = popen("gnuplot --version >/dev/null 2>&1", "r");

    if (plot != NULL && pclose(plot) == 0)
        return true;
    fputs("--plot needs gnuplot, which is not installed or does not run\n", stderr);
    return false;
}

FILE *report_plot_begin(const char *path, unsigned width, unsigned height)
{
    FILE *plot;

    signal(SIGPIPE, SIG_IGN);
    plot = popen("gnuplot", "we");
    if (plot == NULL) {
        fprintf(stderr, "can't start gnuplot: %s\n", strerror(errno));
        return NULL;
    }
    fprintf(plot, "set terminal svg size %u,%u dynamic background 'white'\nset output '", width,
            height);
    for (const char *c = path; *c; c++)
        fputs(*c == '\'' ? "''" : (const char[]){*c, 0}, plot);
    fputs("'\n", plot);
    return plot;
}

bool report_plot_end(FILE *plot)
{
    if (pclose(plot) == 0)
        return true;
    fputs("gnuplot could not draw the plot\n", stderr);
    return false;
}
