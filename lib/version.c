/* SPDX-License-Identifier: MIT */
/* The version of the library that runs, which need not be the one that a program was compiled with. */
#include <twostate/version.h>

const char *twostate_version(void)
{
    return TWOSTATE_VERSION_STRING;
}
