/* SPDX-License-Identifier: MIT */
/* Other names for what the engine exports, so that a second one can be linked beside it. */
#ifndef BENCH_NOLOCK_NAMES_H
#define BENCH_NOLOCK_NAMES_H

#define twostate_append         nolock_append
#define twostate_cancel         nolock_cancel
#define twostate_engine_backend nolock_engine_backend
#define twostate_engine_create  nolock_engine_create
#define twostate_engine_destroy nolock_engine_destroy
#define twostate_engine_fd      nolock_engine_fd
#define twostate_engine_poll    nolock_engine_poll
#define twostate_engine_query   nolock_engine_query
#define twostate_engine_wait    nolock_engine_wait
#define twostate_fallocate      nolock_fallocate
#define twostate_fdatasync      nolock_fdatasync
#define twostate_file_close     nolock_file_close
#define twostate_file_open      nolock_file_open
#define twostate_file_open_with nolock_file_open_with
#define twostate_fsync          nolock_fsync
#define twostate_fsync_async    nolock_fsync_async
#define twostate_pread          nolock_pread
#define twostate_preadv         nolock_preadv
#define twostate_preadv_async   nolock_preadv_async
#define twostate_pwrite         nolock_pwrite
#define twostate_pwritev        nolock_pwritev
#define twostate_pwritev_async  nolock_pwritev_async
#define twostate_remap          nolock_remap
#define twostate_seek           nolock_seek
#define twostate_stat           nolock_stat
#define twostate_truncate       nolock_truncate
#define twostate_waited_ns      nolock_waited_ns

#endif
