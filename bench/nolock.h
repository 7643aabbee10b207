/* SPDX-License-Identifier: MIT */
/*
 * The engine without the two-state lock: every file of lib/io but lease.c is compiled a second time
 * with this header before it, and what it exports gets other names.
 *
 * Out: a file's IO pair (IOLOCK and IOTYPE), the lease that stands for it, and the count of the
 * file's users: a buffered request of at most TWOSTATE_IO_ATOMIC_MAX bytes finds a lease that costs
 * nothing and is never called in. In, as ever: the locks of folios, which make overlapping buffered
 * IO atomic, and all that is not a lock.
 *
 * What comes of it is right only while nobody does direct IO, truncates, remaps, or closes a file
 * that is in use.
 */
#ifndef BENCH_NOLOCK_H
#define BENCH_NOLOCK_H

#include "nolock_names.h"

#include <lease.h>

#define lease_enter_(lease) ((void)(lease), true)
#define lease_exit_(lease)  ((void)(lease))

#endif
