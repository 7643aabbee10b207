/* SPDX-License-Identifier: MIT */
/* Makes a script that fails smaller: fewer operations, smaller numbers, as long as it fails. */
#ifndef FUZZ_SHRINK_H
#define FUZZ_SHRINK_H

#include "script.h"

#include <stdbool.h>

/* Whether a script fails. */
typedef bool script_test(const struct script *script, void *arg);

/* The script failed at the operation `last` or before. Stops after so many seconds. */
void shrink(struct script *script, size_t last, script_test *fails, void *arg, int seconds);

#endif
