/* SPDX-License-Identifier: MIT */
/* Calibration: how long a tick and a unit of work last on this machine. */
#include "clock.h"

#define CALIBRATION_UNITS 2000000U
#define CALIBRATION_RUNS  7

static double ns_per_tick = 1;
static double ns_per_unit = 1;

void clock_calibrate(void)
{
    const uint64_t start_ns = clock_ns();
    const uint64_t start_ticks = clock_ticks();
    uint64_t ns;

    /* The fastest run is the one that nothing disturbed. */
    for (unsigned run = 0; run < CALIBRATION_RUNS; run++) {
        const uint64_t start = clock_ns();
        double unit;

        clock_work(CALIBRATION_UNITS);
        unit = (double)(clock_ns() - start) / CALIBRATION_UNITS;
        if (run == 0 || unit < ns_per_unit)
            ns_per_unit = unit;
    }
    ns = clock_ns() - start_ns;
    ns_per_tick = (double)ns / (double)(clock_ticks() - start_ticks);
}

double clock_ticks_to_us(uint64_t ticks)
{
    return (double)ticks * ns_per_tick / 1000;
}

uint64_t clock_work_units(uint64_t ns)
{
    return (uint64_t)((double)ns / ns_per_unit + 0.5);
}

void clock_sleep(uint64_t ns)
{
    const struct timespec time = {.tv_sec = (time_t)(ns / 1000000000U),
                                  .tv_nsec = (long)(ns % 1000000000U)};

    clock_nanosleep(CLOCK_MONOTONIC, 0, &time, NULL);
}
