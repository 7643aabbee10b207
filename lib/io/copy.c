/* SPDX-License-Identifier: MIT */
/*
 * Where memory that is written to comes from afar, as a folio's does, stores of whole cache lines are
 * faster than what memcpy does there (`rep movsb`), on processors that don't slow down for them: those
 * that have AVX-512 VBMI2.
 */
#include "copy.h"

#include <stdint.h>
#include <string.h>

#if defined(__SANITIZE_THREAD__)
#define WATCHED 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define WATCHED 1 /* it does not see such stores */
#endif
#endif

#if defined(__x86_64__) && !defined(WATCHED)
#include <immintrin.h>

#define LINE  64
#define STEP  ((size_t)4 * LINE)
#define LEAST ((size_t)1024)

/* So much of it as are whole steps. Returns how much. */
__attribute__((target("avx512f"))) static size_t copy_lines(char *to, const char *from,
                                                            size_t length)
{
    size_t done = 0;

    for (; length - done >= STEP; done += STEP) {
        const __m512i a = _mm512_loadu_si512(from + done);
        const __m512i b = _mm512_loadu_si512(from + done + LINE);
        const __m512i c = _mm512_loadu_si512(from + done + (size_t)2 * LINE);
        const __m512i d = _mm512_loadu_si512(from + done + (size_t)3 * LINE);

        _mm512_store_si512(to + done, a);
        _mm512_store_si512(to + done + LINE, b);
        _mm512_store_si512(to + done + (size_t)2 * LINE, c);
        _mm512_store_si512(to + done + (size_t)3 * LINE, d);
    }
    return done;
}

void copy_far_(void *to, const void *from, size_t length)
{
    size_t done = 0;

    if (length >= LEAST && (uintptr_t)to % LINE == 0 && __builtin_cpu_supports("avx512vbmi2"))
        done = copy_lines(to, from, length);
    memcpy((char *)to + done, (const char *)from + done, length - done);
}
#else
void copy_far_(void *to, const void *from, size_t length)
{
    memcpy(to, from, length);
}
#endif
