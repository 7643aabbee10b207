/* SPDX-License-Identifier: MIT */
/*
 * C++: the locks of lock.h, iolock.h and iopair.h as guards, and as mutexes for the standard's guards.
 *
 *   twostate::              what it is                                    stands for, in C
 *   lock, iolock, iopair    owners: the C struct, not copied, not moved   _init, _destroy
 *   guard_a, guard_b        one or more holds of a state                  twostate_lock_acquire, _release
 *   freeze_guard            a freeze                                      twostate_lock_freeze, _thaw
 *   shared_guard            a shared hold of an IOLOCK                    twostate_iolock_acquire, _release
 *   exclusive_guard         an exclusive one                              the same; and _demote
 *   scoped_a, _b, _freeze,  what lock_guard is to unique_lock: for clang's analysis
 *   _shared, _exclusive
 *   io_hold                 what a request holds of a pair                twostate_iopair_begin, _end
 *   io_completion           what it holds after its submission            twostate_iopair_complete
 *   state_a, state_b        views: a lock, seen as a mutex                twostate_lock_acquire, _release
 *   frozen                  the same: locked is frozen                    twostate_lock_freeze, _thaw
 *   iolock_mutex            an IOLOCK, seen as a shared mutex             twostate_iolock_acquire, _release
 *
 * What a lock promises is in the C headers. Owners are C structs too, and guards and views take any C
 * struct, so the two languages mix: what is not here is called by its C name, with &lock.
 *
 * Guards move and are not copied, give back what they hold when they end, and may be empty (false).
 * Every constructor that takes a lock is one way to acquire:
 *
 *     guard_a guard(lock);                           // waits
 *     guard_a guard(lock, std::try_to_lock);         // empty if it would wait
 *     guard_a guard(lock, std::chrono::seconds(1));  // or a time point of any clock, or a timespec *
 *     guard_a guard(lock, std::adopt_lock);          // held already; by disown() of another guard,
 *                                                    // or by what async.h granted
 * A guard that is empty because of an error says which: error() is 0 or negative, as in C.
 *
 * Views have no state but the lock's address, and must outlive the standard's guards that use them:
 *
 *     twostate::state_a readers(lock);
 *     std::unique_lock<twostate::state_a> guard(readers, std::chrono::seconds(1));
 *
 * Holders of a state share it, so there lock and lock_shared are one thing, and either shape fits. Views
 * meet SharedTimedMutex, but that states and freezes are shared by those who lock them.
 *
 * Errors: nothing here throws, but what clocks of the program throw. (The standard's guards do, of
 * misuse.) Misuse stops the program, as in C.
 * Threads: as in C; a guard itself is for one thread at a time. A guard that ends in another thread
 * than it began is handed over: the validator and ThreadSanitizer want to be told, by disown.
 * Deadlines: steady_clock is CLOCK_MONOTONIC, and exact; a deadline of another clock is looked at again
 * when it should have come. Durations are rounded up; more than a century is for ever.
 * Clang's thread-safety analysis (thread_safety.h) follows scoped_*, which hold from their line to the
 * end of the block and can do nothing else. Guards and views are invisible to it, as the standard's
 * guards are: twostate_lock_assert_held tells it.
 *
 * Example:
 *
 *     twostate::lock lock;
 *
 *     {
 *         twostate::guard_a guard(lock);                // beside every other guard_a
 *         ...
 *     }                                                 // given back
 *     if (auto frozen = twostate::freeze_guard(lock, std::chrono::milliseconds(10)))
 *         ...                                           // neither state is held, nor can be
 *
 * Requires: C++11. Link with libtwostate.
 */
#ifndef TWOSTATE_TWOSTATE_HPP
#define TWOSTATE_TWOSTATE_HPP

#include <twostate/iolock.hpp>
#include <twostate/iopair.hpp>
#include <twostate/lock.hpp>

#endif
