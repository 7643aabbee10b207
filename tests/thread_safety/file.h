/* SPDX-License-Identifier: MIT */
/* A program's struct with its own locks, as the analysis is told of them. */
#ifndef TESTS_FILE_H
#define TESTS_FILE_H

#include <twostate/iolock.h>
#include <twostate/iopair.h>
#include <twostate/lock.h>

#define A TWOSTATE_A
#define B TWOSTATE_B

struct file {
    struct twostate_iolock iolock;
    struct twostate_lock iotype TWOSTATE_ACQUIRED_AFTER(&iolock);
    struct twostate_iopair pair;
    long size TWOSTATE_GUARDED_BY(&iolock);
    long dirty TWOSTATE_GUARDED_BY_A(&iotype);
    long flying TWOSTATE_GUARDED_BY_B(&iotype);
    long requests TWOSTATE_GUARDED_BY(&iotype);
};

void mark_dirty(struct file *file) TWOSTATE_REQUIRES_A(&file->iotype);
void submit(struct file *file) TWOSTATE_RELEASES_B(&file->iotype);
void begin(struct file *file) TWOSTATE_ACQUIRES_B(&file->iotype);
long size_of(struct file *file) TWOSTATE_REQUIRES_SHARED(&file->iolock);

#endif
