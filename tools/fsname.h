/* SPDX-License-Identifier: MIT */
/* The name of the file system a file is on: what direct and buffered IO cost depends on it. */
#ifndef TOOL_FSNAME_H
#define TOOL_FSNAME_H

/* A string that stays; "a file system without a name here" if it is none of those known. */
const char *fsname(const char *path);

#endif
