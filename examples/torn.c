/* SPDX-License-Identifier: MIT */
/* A record in two blocks of a file: readers without the lock see half a write, those with it never. */
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#include <twostate/lock.h>

static struct twostate_lock lock;
static int fd, locking, stop;

static void *write_records(void *unused)
{
    for (long n = 1; !__atomic_load_n(&stop, __ATOMIC_RELAXED); n++) {
        if (locking)
            twostate_lock_acquire(&lock, TWOSTATE_A); /* beside those who write other records */
        if (pwrite(fd, &n, sizeof(n), 0) < 0 || pwrite(fd, &n, sizeof(n), 4096) < 0)
            perror("pwrite");
        if (locking)
            twostate_lock_release(&lock, TWOSTATE_A);
    }
    return unused;
}

static long read_records(long most_reads, long most_torn)
{
    long torn = 0, first = 0, second = 0;

    for (long i = 0; i < most_reads && torn < most_torn; i++) {
        if (locking)
            twostate_lock_acquire(&lock, TWOSTATE_B); /* beside other readers */
        if (pread(fd, &first, sizeof(first), 0) < 0 || pread(fd, &second, sizeof(second), 4096) < 0)
            perror("pread");
        if (locking)
            twostate_lock_release(&lock, TWOSTATE_B);
        torn += first != second;
    }
    return torn;
}

int main(void)
{
    FILE *file = tmpfile();
    pthread_t writer;
    long torn[2] = {0};

    if (file == NULL || ftruncate(fd = fileno(file), 8192) != 0)
        return 2;
    for (locking = 0; locking < 2; locking++) {
        stop = 0;
        if (pthread_create(&writer, NULL, write_records, NULL) != 0)
            return 2;
        torn[locking] = locking ? read_records(1000, 1000) : read_records(100000000, 100);
        __atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
        pthread_join(writer, NULL);
    }
    printf("torn reads: %ld without the lock, %ld with it\n", torn[0], torn[1]);
    return torn[0] > 0 && torn[1] == 0 ? 0 : 1;
}
