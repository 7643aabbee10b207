/* SPDX-License-Identifier: MIT */
/* A record in two blocks of a file: readers without the lock see half a write, those with it never. */
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#include <twostate/lock.h>

static struct twostate_lock lock;
static int fd, locking, stop;

/* Whoever writes has state A, beside other writers; whoever reads has B. Whether the halves differ. */
static int record(enum twostate_state state, long n[2])
{
    if (locking)
        twostate_lock_acquire(&lock, state);
    for (int i = 0; i < 2; i++)
        if ((state == TWOSTATE_A ? pwrite(fd, &n[i], sizeof(long), 4096L * i)
                                 : pread(fd, &n[i], sizeof(long), 4096L * i)) < 0)
            perror("record");
    if (locking)
        twostate_lock_release(&lock, state);
    return n[0] != n[1];
}

static void *write_records(void *unused)
{
    for (long n[2] = {1, 1}; !__atomic_load_n(&stop, __ATOMIC_RELAXED); n[1] = ++n[0])
        record(TWOSTATE_A, n);
    return unused;
}

int main(void)
{
    FILE *file = tmpfile();
    long torn[2] = {0}, seen[2] = {0};
    pthread_t writer;

    if (file == NULL || ftruncate(fd = fileno(file), 8192) != 0)
        return 2;
    for (locking = 0; locking < 2; locking++, stop = 0) {
        if (pthread_create(&writer, NULL, write_records, NULL) != 0)
            return 2;
        for (int i = 0; i < (locking ? 1000 : 100000000) && torn[locking] < 100; i++)
            torn[locking] += record(TWOSTATE_B, seen);
        __atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
        pthread_join(writer, NULL);
    }
    printf("torn reads: %ld without the lock, %ld with it\n", torn[0], torn[1]);
    return torn[0] > 0 && torn[1] == 0 ? 0 : 1;
}
