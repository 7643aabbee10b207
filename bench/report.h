/* SPDX-License-Identifier: MIT */
/* What both benchmarks need to say what they found: medians, goals, progress, JSON, plots. */
#ifndef BENCH_REPORT_H
#define BENCH_REPORT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

/* The middle of n values, which are sorted for it. */
double report_median(double *values, size_t n);

/* One line that is overwritten, and only on a terminal. done == total removes it. */
void report_progress(unsigned done, unsigned total, const char *what);

/* Opens a file for results before the work is done that would be lost with it. NULL: said why. */
FILE *report_open(const char *path);

/* Writes rows, closes file, and frees rows. False: said why. A NULL file just frees. */
bool report_json(FILE *file, json_t *rows);

/*
 * One line that says whether a figure is what it should be: at_least or at most the goal. What was
 * asked for and not reached is said as plainly as the rest.
 */
void report_goal(const char *what, double value, bool at_least, double goal);

/* The machine and the compiler, in one line: figures of another mean nothing beside these. */
void report_machine(char *text, size_t size);

/* A number with three digits after the point: more would be noise. */
json_t *report_number(double value);

/* Is gnuplot there? False: said that it is missing. */
bool report_can_plot(void);

/* A gnuplot that reads commands and draws an SVG of the given size. NULL: said why. */
FILE *report_plot_begin(const char *path, unsigned width, unsigned height);
bool report_plot_end(FILE *plot);

#endif
