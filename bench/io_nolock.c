/* SPDX-License-Identifier: MIT */
/* The calls of the engine without locks: the names below are others here, see nolock_names.h. */
#include "nolock_names.h"

#include "io_calls.h"

const struct io_calls io_nolock = IO_CALLS;
