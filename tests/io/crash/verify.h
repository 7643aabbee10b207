/* SPDX-License-Identifier: MIT */
/* The check of a file after a crash against the ledger: see verify.c. */
#ifndef TESTS_CRASH_VERIFY_H
#define TESTS_CRASH_VERIFY_H

#include <stdbool.h>
#include <stdint.h>

#include "ledger.h"

/*
 * Looks at the whole file, for what has to be there at this position in the disk's writes, and
 * what can't be. whole: no block may hold a part of a write. Returns how many things are wrong, and
 * says the first of them; if quiet it says nothing.
 */
uint32_t verify(const struct ledger *ledger, uint64_t position, int fd, bool whole, bool quiet);

#endif
