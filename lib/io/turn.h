/* SPDX-License-Identifier: MIT */
/*
 * Whose turn it is to complete ops: that of a thread of the backend, or of whoever polls.
 *
 * Handing over costs a wake-up each way. So a poller that goes away keeps the turn, for he will be
 * back in microseconds: only when he stays away for a millisecond or two, or when somebody wants the
 * thread, does the thread take it back.
 */
#ifndef TS_IO_TURN_H
#define TS_IO_TURN_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct turn {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    bool aside;    /* the thread stands aside; atomic for who looks without the mutex */
    bool asked;    /* it has been asked to, and has not done so */
    bool awaited;  /* a poller waits for that */
    bool inside;   /* a poller has the turn, now */
    bool wanted;   /* the thread is to take it back */
    bool resting;  /* the thread waits without a limit, for the poller waits himself */
    uint32_t came; /* pollers, so far */
};

void turn_init_(struct turn *turn);
void turn_destroy_(struct turn *turn);

/*
 * The poller's: true, and he has the turn till turn_leave_; false: another poller has it, or the thread
 * has, and the poller, who does not wait, is to come again. ask is to make the thread call
 * turn_stand_aside_, soon.
 */
bool turn_enter_(struct turn *turn, bool waits, void (*ask)(void *arg), void *arg);
void turn_leave_(struct turn *turn);

/* The thread's: returns when it has the turn again. */
void turn_stand_aside_(struct turn *turn);

/* Somebody is about to wait for what is completed: the thread takes the turn if no poller has it. */
void turn_recall_(struct turn *turn);

#endif
