/* SPDX-License-Identifier: MIT */
/* What the watching hooks (watch.c) tell the statistics. Called only while WATCH_STATS is set. */
#ifndef TS_STATS_H
#define TS_STATS_H

#include "watch.h"

struct hold;

/* The hooks of the same names. */
void stats_held_(const struct watch_call *call);
void stats_waited_(const struct watch_wait *wait, int64_t ns);
void stats_phase_(const struct twostate_lock *lock, bool exclusive, enum group from);

/* Holds that began together ended together, at now_ns of CLOCK_MONOTONIC. */
void stats_hold_over_(const struct hold *hold, int64_t now_ns);

#endif
