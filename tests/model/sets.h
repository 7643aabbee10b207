/* SPDX-License-Identifier: MIT */
/* Named sets of programs, each a command line of main.c: what the tests run. */
#ifndef MODEL_SETS_H
#define MODEL_SETS_H

/* The set's lines, NULL at the end; or NULL. */
const char *const *sets_find(const char *name);

void sets_list(void);

#endif
