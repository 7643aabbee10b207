/* SPDX-License-Identifier: MIT */
/* Whose turn it is to complete ops. */
#include "turn.h"

#include <time.h>

#define AWAY_NS 1000000 /* a poller that has been away for so long is gone */

void turn_init_(struct turn *turn)
{
    pthread_condattr_t monotonic;

    *turn = (struct turn){0};
    pthread_mutex_init(&turn->mutex, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&turn->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
}

void turn_destroy_(struct turn *turn)
{
    pthread_cond_destroy(&turn->changed);
    pthread_mutex_destroy(&turn->mutex);
}

static void set_aside(struct turn *turn, bool aside)
{
    __atomic_store_n(&turn->aside, aside, __ATOMIC_RELAXED);
    pthread_cond_broadcast(&turn->changed);
}

/* The mutex is held. Whether the thread stands aside. */
static bool is_aside(struct turn *turn, bool waits, void (*ask)(void *arg), void *arg)
{
    if (!turn->aside && !turn->asked) {
        turn->asked = true;
        ask(arg);
    }
    if (waits) {
        turn->awaited = true;
        while (!turn->aside)
            pthread_cond_wait(&turn->changed, &turn->mutex);
        turn->awaited = false;
    }
    return turn->aside;
}

bool turn_enter_(struct turn *turn, bool waits, void (*ask)(void *arg), void *arg)
{
    bool entered = false;

    pthread_mutex_lock(&turn->mutex);
    if (!turn->inside && !turn->awaited && is_aside(turn, waits, ask, arg)) {
        turn->inside = entered = true;
        turn->came++;
    }
    pthread_mutex_unlock(&turn->mutex);
    return entered;
}

void turn_leave_(struct turn *turn)
{
    bool wake = false;

    pthread_mutex_lock(&turn->mutex);
    turn->inside = false;
    wake = turn->resting || turn->wanted;
    pthread_mutex_unlock(&turn->mutex);
    if (wake)
        pthread_cond_broadcast(&turn->changed);
}

static void wait_a_little(struct turn *turn)
{
    struct timespec until;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += AWAY_NS;
    if (until.tv_nsec >= 1000000000) {
        until.tv_nsec -= 1000000000;
        until.tv_sec++;
    }
    pthread_cond_timedwait(&turn->changed, &turn->mutex, &until);
}

/* Of a poller who waits himself nothing is to be feared: then the thread need not look. */
static void rest(struct turn *turn, uint32_t came)
{
    turn->resting = true;
    while (turn->inside && turn->came == came)
        pthread_cond_wait(&turn->changed, &turn->mutex);
    turn->resting = false;
}

void turn_stand_aside_(struct turn *turn)
{
    uint32_t came = 0;

    pthread_mutex_lock(&turn->mutex);
    turn->asked = false;
    set_aside(turn, true);
    do {
        came = turn->came;
        wait_a_little(turn);
        if (turn->inside && turn->came == came)
            rest(turn, came++); /* he has been here just now */
    } while (turn->awaited || turn->inside || !(turn->wanted || turn->came == came));
    turn->wanted = false;
    set_aside(turn, false);
    pthread_mutex_unlock(&turn->mutex);
}

void turn_recall_(struct turn *turn)
{
    if (!__atomic_load_n(&turn->aside, __ATOMIC_RELAXED))
        return;
    pthread_mutex_lock(&turn->mutex);
    turn->wanted = turn->aside;
    pthread_cond_broadcast(&turn->changed);
    pthread_mutex_unlock(&turn->mutex);
}
