/* SPDX-License-Identifier: MIT */
/*
 * Which version this is. The three numbers below are the only place that says so: CMake, the sonames
 * and the packages have it from here.
 *
 *     #if TWOSTATE_VERSION_NUMBER < TWOSTATE_VERSION_OF(0, 1, 0)
 *     #error "twostate 0.1.0 or later is needed"
 *     #endif
 *
 * Versions with the same first number are compatible: what was compiled or linked with an earlier one
 * works with a later one. The first number is also that of the sonames.
 */
#ifndef TWOSTATE_VERSION_H
#define TWOSTATE_VERSION_H

#include <twostate/visibility.h>

#ifdef __cplusplus
extern "C" {
#endif

#define TWOSTATE_VERSION_MAJOR 0
#define TWOSTATE_VERSION_MINOR 1
#define TWOSTATE_VERSION_PATCH 0

/* Versions as numbers, in their order. */
#define TWOSTATE_VERSION_OF(major, minor, patch) ((major)*1000000 + (minor)*1000 + (patch))
#define TWOSTATE_VERSION_NUMBER                                                                    \
    TWOSTATE_VERSION_OF(TWOSTATE_VERSION_MAJOR, TWOSTATE_VERSION_MINOR, TWOSTATE_VERSION_PATCH)

/* "0.1.0" */
#define TWOSTATE_VERSION_TEXT_(major, minor, patch)   #major "." #minor "." #patch
#define TWOSTATE_VERSION_EXPAND_(major, minor, patch) TWOSTATE_VERSION_TEXT_(major, minor, patch)
#define TWOSTATE_VERSION_STRING                                                                    \
    TWOSTATE_VERSION_EXPAND_(TWOSTATE_VERSION_MAJOR, TWOSTATE_VERSION_MINOR, TWOSTATE_VERSION_PATCH)

/* The TWOSTATE_VERSION_STRING of the library that the program runs with. Any thread may call it; the text
 * is the library's. */
TWOSTATE_API const char *twostate_version(void);

#ifdef __cplusplus
}
#endif

#endif
