/* SPDX-License-Identifier: MIT */
/* The help, by topic. */
#ifndef TOOL_HELP_H
#define TOOL_HELP_H

/* A topic; NULL: what --help says. The exit status: 2, with a message, if it is unknown. */
int help_print(const char *topic);

#endif
