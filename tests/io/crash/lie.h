/* SPDX-License-Identifier: MIT */
/*
 * An engine that lies: calls that make data durable do nothing. The linker puts it between the engine
 * and the kernel (--wrap, see CMakeLists.txt).
 */
#ifndef TESTS_CRASH_LIE_H
#define TESTS_CRASH_LIE_H

/* "sync": fsync and fdatasync do nothing. "dsync": RWF_DSYNC is left out. NULL: no lie. */
void lie_about(const char *what);

#endif
