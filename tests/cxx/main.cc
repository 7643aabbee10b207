/* SPDX-License-Identifier: MIT */
/*
 * The tests of the C++ headers, one after the other; a watchdog ends what waits for ever. One
 * translation unit, for most of the time to compile them goes into the standard's headers.
 */
#include <unistd.h>

// NOLINTBEGIN(bugprone-suspicious-include): one translation unit, see above
#include "deadlines.cc"
#include "guards.cc"
#include "pairs.cc"
#include "views.cc"
// NOLINTEND(bugprone-suspicious-include)

int main()
{
    alarm(50);
    test_deadlines();
    test_guards();
    test_views();
    test_pairs();
    std::printf("C++%ld: all as it should be\n", __cplusplus / 100 % 100);
    return 0;
}
