/* SPDX-License-Identifier: MIT */
/* Looking at an engine that is served. */
#ifndef TESTS_ENGINE_VISIT_H
#define TESTS_ENGINE_VISIT_H

#include "common.h"

#include <jansson.h>

/* Connects: a descriptor, or -errno. */
int visit(const char *name);

/* "@twostate/PID", or that of the second engine, and so on. */
const char *usual_name(unsigned number);

void ask(int fd);
/* The next line, as JSON; NULL: hung up. */
json_t *hear(int fd);
/* Both. */
json_t *state_of(int fd);
bool hung_up(int fd);

/* What is at a path like "iotype.waiting.direct" of the file with that index. */
json_t *at(json_t *state, size_t index, const char *path);

/* The same, of the first file, now. */
int64_t number_now(int fd, const char *path);
void check_text(int fd, const char *path, const char *text);

/* cmocka's: a struct fixture whose engine is served under the usual name. */
int served_enter(void **state);

#define SERVED_TEST(name) cmocka_unit_test_setup_teardown(name, served_enter, fixture_leave)

#endif
