/* SPDX-License-Identifier: MIT */
/* Numbers and sizes as people type them. A mistake ends the program with a message (2). */
#ifndef TOOL_NUMBER_H
#define TOOL_NUMBER_H

#include <stdint.h>

/* what: the option, for the message. */
double parse_number(const char *text, const char *what, double least, double most);
uint64_t parse_integer(const char *text, const char *what, uint64_t least, uint64_t most);

/* 4096, 4k, 1.5M, 1GiB: powers of 1024. */
int64_t parse_size(const char *text, const char *what, int64_t least, int64_t most);

#endif
