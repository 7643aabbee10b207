/* SPDX-License-Identifier: MIT */
/* The help, by topic. */
#ifndef TOOL_HELP_H
#define TOOL_HELP_H

/* Prints a topic, or for NULL what --help says. The exit status: 2, and a message, if there is none. */
int help_print(const char *topic);

#endif
