/* SPDX-License-Identifier: MIT */
/* Snapshots by freezing: workers of both states pause, and what is copied is whole. */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include <twostate/lock.h>

#define ACCOUNTS  8
#define WORKERS   4
#define SNAPSHOTS 100

static struct twostate_lock lock;
static long accounts[ACCOUNTS]; /* their sum is 0 while nobody works */
static int stop;

/* Moves money: in state A between even accounts, in state B between odd ones, beside each other. */
static void *work(void *arg)
{
    const enum twostate_state state = *(enum twostate_state *)arg;
    const int first = state == TWOSTATE_A ? 0 : 1;

    for (int i = 0; !__atomic_load_n(&stop, __ATOMIC_RELAXED); i++) {
        twostate_lock_acquire(&lock, state);
        __atomic_fetch_sub(&accounts[(first + 2 * i) % ACCOUNTS], 1, __ATOMIC_RELAXED);
        __atomic_fetch_add(&accounts[(first + 2 * i + 2) % ACCOUNTS], 1, __ATOMIC_RELAXED);
        twostate_lock_release(&lock, state);
    }
    return NULL;
}

int main(void)
{
    enum twostate_state states[] = {TWOSTATE_A, TWOSTATE_B};
    pthread_t workers[WORKERS];
    int wrong = 0;

    for (int i = 0; i < WORKERS; i++)
        if (pthread_create(&workers[i], NULL, work, &states[i % 2]) != 0)
            return 2;
    for (int i = 0; i < SNAPSHOTS; i++) {
        long snapshot[ACCOUNTS], sum = 0;

        twostate_lock_freeze(
            &lock); /* returns when nobody works, and nobody begins until the thaw */
        memcpy(snapshot, accounts, sizeof(snapshot));
        twostate_lock_thaw(&lock);
        for (int a = 0; a < ACCOUNTS; a++)
            sum += snapshot[a];
        wrong += sum != 0;
    }
    __atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
    for (int i = 0; i < WORKERS; i++)
        pthread_join(workers[i], NULL);
    printf("%d snapshots, %d of them not whole\n", SNAPSHOTS, wrong);
    return wrong ? 1 : 0;
}
