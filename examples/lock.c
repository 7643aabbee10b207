/* SPDX-License-Identifier: MIT */
/* Two threads add, sharing state A; the reader takes state B and finds nobody halfway. */
#include <pthread.h>
#include <stdio.h>

#include <twostate/lock.h>

static struct twostate_lock lock; /* zeroed: unlocked */
static long parts[2];

static void *add(void *part)
{
    twostate_lock_acquire(&lock, TWOSTATE_A); /* beside the other adder */
    for (int i = 0; i < 1000; i++)
        ++*(long *)part;
    twostate_lock_release(&lock, TWOSTATE_A);
    return NULL;
}

int main(void)
{
    pthread_t threads[2];

    for (int i = 0; i < 2; i++)
        if (pthread_create(&threads[i], NULL, add, &parts[i]) != 0)
            return 1;
    twostate_lock_acquire(&lock, TWOSTATE_B); /* beside other readers, without adders */
    printf("0, 1000 or 2000: %ld\n", parts[0] + parts[1]);
    twostate_lock_release(&lock, TWOSTATE_B);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    return parts[0] + parts[1] == 2000 ? 0 : 1;
}
