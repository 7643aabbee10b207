/* SPDX-License-Identifier: MIT */
/*
 * What the compiler refuses: an error in each line that ends in "refused", and nowhere else. In those
 * that end in "nodiscard" only since C++17, where warnings are errors.
 */
#include <twostate/twostate.hpp>

using namespace twostate;

void refuse(lock &states, iolock &io, iopair &pair, guard_a &guard, guard_b &other,
            shared_guard &shared, exclusive_guard &alone, freeze_guard &ice, io_hold &hold,
            io_completion &completion);
void refuse(lock &states, iolock &io, iopair &pair, guard_a &guard, guard_b &other,
            shared_guard &shared, exclusive_guard &alone, freeze_guard &ice, io_hold &hold,
            io_completion &completion)
{
    const lock constant;

    // clang-format off
    guard_a copied(guard);                          // refused
    guard_a from_the_other_state(std::move(other)); // refused
    guard_a implicit = states;                      // refused
    guard_a of_a_constant(constant);                // refused
    guard_a of_an_iolock(io);                       // refused
    guard_a of_a_temporary((lock()));               // refused
    guard_a with_a_number(states, 3);               // refused
    guard = guard;                                  // refused
    guard = std::move(other);                       // refused
    int converted = guard;                          // refused
    shared_guard of_a_lock(states);                 // refused
    shared_guard of_an_exclusive(std::move(alone)); // refused
    shared = shared;                                // refused
    shared.demote();                                // refused
    io.drain();                                     // refused
    freeze_guard copied_freeze(ice);                // refused
    lock copied_lock(states);                       // refused
    lock moved_lock(std::move(states));             // refused
    states = lock();                                // refused
    iolock moved_iolock(std::move(io));             // refused
    iopair moved_pair(std::move(pair));             // refused
    io_hold moved_hold(std::move(hold));            // refused
    hold = io_hold();                               // refused
    io_completion moved(std::move(completion));     // refused
    hold.submitting(hold);                          // refused
    hold.begin(pair);                               // refused
    state_a view = states;                          // refused
    state_a view_of_an_iolock(io);                  // refused
    iolock_mutex view_of_a_lock(states);            // refused
    std::unique_lock<state_a> not_a_view(states);   // refused
    ice.try_thaw_to<guard_b>();                     // nodiscard
    guard.switch_state();                           // nodiscard
    guard.split(2);                                 // nodiscard
    alone.demote();                                 // nodiscard
    hold.try_begin(pair, TWOSTATE_DIRECT);          // nodiscard
    states.drain(std::chrono::seconds(1));          // nodiscard
    // clang-format on
}
