/* SPDX-License-Identifier: MIT */
/*
 * Granted waiters for an event loop: a queue that keeps an eventfd readable while it is not empty.
 *
 * The mutexes are the library's, not the queue's: so a queue may be destroyed by the thread that took
 * its last waiter, though the one that granted it has not returned yet.
 */
#include <twostate/async.h>

#include "sys.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define MUTEXES 16

static struct sys_mutex mutexes[MUTEXES];

/* In a forked child another thread's mutex would stay locked. */
static void unlock_all(void)
{
    memset(mutexes, 0, sizeof(mutexes));
}

__attribute__((constructor)) static void watch_forks(void)
{
    pthread_atfork(NULL, NULL, unlock_all);
}

static struct sys_mutex *mutex_of(const struct twostate_grants *grants)
{
    return &mutexes[(uintptr_t)grants / sizeof(*grants) % MUTEXES];
}

int twostate_grants_init(struct twostate_grants *grants)
{
    const int saved = errno;
    const int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    const int error = fd < 0 ? errno : 0;

    errno = saved;
    if (fd < 0)
        return -error;
    *grants = (struct twostate_grants){.fd = fd};
    return 0;
}

void twostate_grants_destroy(struct twostate_grants *grants)
{
    const int saved = errno;

    close(grants->fd);
    errno = saved;
}

/*
 * An eventfd that counts 0 or 1 is always ready for the next of these. They are cancellation points,
 * which what calls them, a release as a rule, is not.
 */
static void set_readable(const struct twostate_grants *grants, bool readable)
{
    const int saved = errno;
    eventfd_t value = 1;
    int cancel = 0;

    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
    if (readable)
        eventfd_write(grants->fd, value);
    else
        eventfd_read(grants->fd, &value);
    pthread_setcancelstate(cancel, NULL);
    errno = saved;
}

void twostate_grants_done(struct twostate_waiter *waiter, int result)
{
    struct twostate_grants *grants = waiter->context;
    struct sys_mutex *mutex = mutex_of(grants);

    (void)result; /* the waiter keeps it */
    sys_mutex_lock_(mutex);
    waiter->next_ = NULL;
    if (grants->first_ == NULL) {
        grants->end_ = &grants->first_;
        set_readable(grants, true);
    }
    *grants->end_ = waiter;
    grants->end_ = &waiter->next_;
    sys_mutex_unlock_(mutex);
}

struct twostate_waiter *twostate_grants_next(struct twostate_grants *grants)
{
    struct sys_mutex *mutex = mutex_of(grants);
    struct twostate_waiter *waiter = NULL;

    sys_mutex_lock_(mutex);
    waiter = grants->first_;
    if (waiter) {
        grants->first_ = waiter->next_;
        if (grants->first_ == NULL)
            set_readable(grants, false);
    }
    sys_mutex_unlock_(mutex);
    return waiter;
}
