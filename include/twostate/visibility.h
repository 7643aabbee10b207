/* SPDX-License-Identifier: MIT */
/* Marks the functions that the shared libraries export. */
#ifndef TWOSTATE_VISIBILITY_H
#define TWOSTATE_VISIBILITY_H

#define TWOSTATE_API __attribute__((visibility("default")))

#endif
