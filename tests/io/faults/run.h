/* SPDX-License-Identifier: MIT */
/* Runs a scenario while something goes wrong, and finds out whether the engine kept its word. */
#ifndef TESTS_FAULTS_RUN_H
#define TESTS_FAULTS_RUN_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/inject.h"
#include "model.h"
#include "scenario.h"

struct setting {
    enum twostate_backend backend;
    enum twostate_cache cache;
};

/* What goes wrong: `times` calls from the nth on. FAULT_NONE: nothing. */
struct trouble {
    enum call_kind kind;
    enum fault fault;
    int error;
    uint32_t nth;
    uint32_t times;
};

#define UNTIL_HEALED UINT32_MAX

/* Prepares for any number of runs of the scenario. */
void run_prepare(const struct scenario *scenario);
void run_clean_up(void);

/*
 * True: all went as it has to. counts: of calls of each kind, or NULL. hit: whether the trouble came
 * about. What went wrong is printed, with what it takes to repeat it.
 */
bool run_once(struct setting setting, const struct trouble *trouble, uint32_t *counts, bool *hit);

#endif
