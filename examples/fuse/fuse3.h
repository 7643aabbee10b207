/* SPDX-License-Identifier: MIT */
/* libfuse's header; all of the program uses the same version of its interface. */
#ifndef TWOSTATE_FUSE_FUSE3_H
#define TWOSTATE_FUSE_FUSE3_H

#define FUSE_USE_VERSION 312
#include <fuse_lowlevel.h>

#endif
