/* SPDX-License-Identifier: MIT */
/* Copying to memory that the processor has not at hand. */
#ifndef TS_IO_COPY_H
#define TS_IO_COPY_H

#include <stddef.h>

/* As memcpy. */
void copy_far_(void *to, const void *from, size_t length);

#endif
