/* SPDX-License-Identifier: MIT */
/*
 * An io_uring of one's own: the submitter takes the file's IOTYPE as direct, the thread that reaps the
 * completions gives it back. So buffered IO waits for what is in flight, not for what is submitted.
 */
#define _GNU_SOURCE 1 /* O_DIRECT. NOLINT(bugprone-reserved-identifier) */
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <twostate/iopair.h>

#define BLOCK    4096
#define REQUESTS 64

struct request {
    struct twostate_hold completion; /* what it holds from its submission to its completion */
    unsigned char *data;
    int sent; /* what the ring orders, for ThreadSanitizer, which doesn't see that */
};

static struct twostate_iopair pair;
static struct io_uring ring;
static struct request requests[REQUESTS];
static int failed;

static void *reap(void *unused)
{
    for (int i = 0; i < REQUESTS; i++) {
        struct io_uring_cqe *cqe = NULL;
        int error = 0;

        while ((error = io_uring_wait_cqe(&ring, &cqe)) == -EINTR)
            ;
        if (error) { /* then nothing of what is in flight can be given back */
            fprintf(stderr, "io_uring_wait_cqe: %s\n", strerror(-error));
            exit(1);
        }
        struct request *request = io_uring_cqe_get_data(cqe);

        failed |= !__atomic_load_n(&request->sent, __ATOMIC_ACQUIRE) || cqe->res != BLOCK;
        io_uring_cqe_seen(&ring, cqe);
        twostate_iopair_complete(&request->completion); /* its last touch: it could be freed now */
    }
    return unused;
}

/* The ring has a place for each, so io_uring_get_sqe finds one. */
static void write_block(int fd, int i)
{
    struct request *request = &requests[i];
    struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);
    struct twostate_hold hold;

    memset(request->data, 'a' + i % 26, BLOCK);
    io_uring_prep_write(sqe, fd, request->data, BLOCK, (uint64_t)i * BLOCK);
    io_uring_sqe_set_data(sqe, request);
    twostate_iopair_begin(&pair, TWOSTATE_DIRECT, &hold);
    twostate_iopair_submitting(&hold, &request->completion);
    __atomic_store_n(&request->sent, 1, __ATOMIC_RELEASE);
    if (io_uring_submit(&ring) != 1) {
        perror("io_uring_submit");
        exit(1);
    }
    twostate_iopair_submitted(&hold); /* the next may begin, though this one is in flight */
}

int main(int argc, char **argv)
{
    const char *path = argc > 1 ? argv[1] : "uring.dat";
    const int cached = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    const int direct = open(path, O_RDWR | O_DIRECT | O_CLOEXEC);
    unsigned char *data = aligned_alloc(BLOCK, (size_t)REQUESTS * BLOCK), seen[BLOCK];
    const int error = io_uring_queue_init(REQUESTS, &ring, 0);
    struct twostate_hold hold;
    pthread_t reaper;

    if (error) {
        fprintf(stderr, "NOT TESTED: io_uring_queue_init: %s\n", strerror(-error));
        return 77;
    }
    /* Within the file, for direct writes beyond its end are another path. */
    if (cached < 0 || data == NULL || ftruncate(cached, (off_t)REQUESTS * BLOCK) != 0 ||
        pthread_create(&reaper, NULL, reap, NULL) != 0) {
        perror(path);
        return 1;
    }
    for (int i = 0; i < REQUESTS; i++) {
        requests[i].data = data + (size_t)i * BLOCK;
        write_block(direct < 0 ? cached : direct,
                    i); /* where there is no O_DIRECT: the same, cached */
    }
    twostate_iopair_begin(&pair, TWOSTATE_BUFFERED_READ, &hold); /* waits for all completions */
    for (int i = 0; i < REQUESTS; i++)
        failed |= pread(cached, seen, BLOCK, (off_t)i * BLOCK) != BLOCK ||
                  memcmp(seen, requests[i].data, BLOCK) != 0;
    twostate_iopair_end(&hold);
    pthread_join(reaper, NULL);
    printf("%d direct writes, %s\n", REQUESTS, failed ? "not all of them seen" : "all seen");
    io_uring_queue_exit(&ring);
    free(data);
    close(direct);
    close(cached);
    unlink(path);
    return failed;
}
