/* SPDX-License-Identifier: MIT */
/*
 * Each member once, with data that the locks guard: no warning of -Wshadow, though the program has
 * globals of all names, nor of clang's thread-safety analysis. With MISUSE defined the analysis warns in
 * each line that ends in "found".
 */
#include <twostate/twostate.hpp>

#ifndef MISUSE
namespace
{
int lock, iolock, iopair, at, time, n, error, wait, guard, count, call, held, before, hold, span,
    now;
int result, made, path, source, destination, to, refused, view, state, pair, completion, whole,
    since;
} // namespace
#endif

struct file {
    twostate::lock type;
    twostate::iolock io;
    ::twostate_lock plain;
    long dirty TWOSTATE_GUARDED_BY_A(&type) = 0;
    long flying TWOSTATE_GUARDED_BY_B(&plain) = 0;
    long size TWOSTATE_GUARDED_BY(&io) = 0;
    long frozen TWOSTATE_GUARDED_BY(&type) = 0;
};

using seconds = std::chrono::seconds;
using wall = std::chrono::system_clock;

long scopes(file &f);
long scopes(file &f)
{
    {
        twostate::scoped_a held_a(f.type);
        twostate::scoped_b held_b(f.plain);
        twostate::scoped_exclusive alone(f.io);

        f.dirty++;
        f.flying++;
        f.size++;
    }
    {
        twostate::scoped_freeze ice(f.type);

        f.frozen++;
    }
    {
        twostate::guard_a guard_a(f.type);

        twostate_lock_assert_held(&f.type, TWOSTATE_A);
        f.dirty++;
    }
    twostate::scoped_shared reads(f.io);

    return f.size;
}

int others(file &f, const timespec *when);
int others(file &f, const timespec *when)
{
    twostate::guard_a tries(f.type, std::try_to_lock), waits(f.type, when),
        times(f.type, seconds(1));
    twostate::guard_b until(f.plain, wall::now()), several(f.plain, twostate::holds{2});
    twostate::guard_b more(f.plain, twostate::holds{2}, seconds(1)), one = more.split();
    twostate::guard_b next = one.join();
    twostate::guard_a turned = next.switch_state();
    twostate::freeze_guard ice(f.type, std::try_to_lock), cold(f.type, seconds(1));

    next = turned.try_switch_state();
    turned = next.switch_state(seconds(1));
    turned = ice.thaw_to<twostate::guard_a>();
    turned = ice.try_thaw_to<twostate::guard_a>();
    next = ice.thaw_to<twostate::guard_b>(when);
    return turned.error() + static_cast<int>(several.count());
}

bool locks(file &f);
bool locks(file &f)
{
    twostate::exclusive_guard alone(f.io, seconds(1));
    twostate::shared_guard beside = alone.demote();
    twostate::state_b state_b(f.plain);
    twostate::iolock_mutex mutex(f.io);
    twostate::frozen ice(f.type);
    std::unique_lock<twostate::state_b> first(state_b, seconds(1));
    std::unique_lock<twostate::iolock_mutex> second(mutex, wall::now());
    std::lock_guard<twostate::frozen> third(ice);

    f.type.drain();
    return mutex.try_lock_shared_for(seconds(1)) && f.type.drain(seconds(1)) == 0 &&
           f.type.query().holders == 0 && f.io.query().holders == 0;
}

int requests(twostate::iopair &from, twostate::iopair &into, twostate::io_completion &done);
int requests(twostate::iopair &from, twostate::iopair &into, twostate::io_completion &done)
{
    twostate::io_hold request(from, TWOSTATE_DIRECT);

    request.submitting(done);
    request.submitted();
    done.complete();
    request.begin_remap(from, into);
    if (!request.try_begin_remap(from, into) || request.begin_remap(from, into, seconds(1)))
        return 1;
    if (!request.try_begin(from, TWOSTATE_DIRECT_EXTEND) || !request.try_extend_to_direct())
        return 2;
    if (request.begin(from, TWOSTATE_DIRECT_EXTEND, wall::now()))
        return 3;
    if (request.extend_to_direct(wall::now()) || request.retry_unaligned(wall::now()))
        return 4;
    request.extend_to_direct();
    request.retry_unaligned();
    request.disown();
    return request.try_retry_unaligned() ? 0 : static_cast<int>(from.query().iotype.holders);
}

#ifdef MISUSE
// clang-format off
long misuse(file &f, file &g);
long misuse(file &f, file &g)
{
    f.dirty++;                                  // found
    {
        twostate::scoped_b b(f.plain);

        f.flying++;
        f.dirty++;                              // found
        g.flying++;                             // found
    }
    {
        twostate::scoped_b b(f.type);

        f.dirty++;                              // found
        f.type.drain();                         // found
    }
    {
        twostate::scoped_shared reads(f.io);

        f.size++;                               // found
    }
    {
        twostate::scoped_a first(f.type);
        twostate::scoped_a second(f.type);      // found
    }
    {
        twostate::guard_a guard_a(f.type);

        f.dirty++;                              // found
    }
    return f.size;                              // found
}
// clang-format on
#endif
