# 32-bit x86 by the compiler of a 64-bit Debian: gcc-12-multilib and libc6-dev-i386. (The package
# gcc-multilib would do, too, but it can't be installed beside another port's compiler. All it has
# is a link to the kernel's headers, hence -idirafter.) The other libraries are in TWOSTATE_FOREIGN:
# scripts/foreign_packages.sh i386.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR i686)
set(CMAKE_C_COMPILER gcc-12)
set(CMAKE_C_FLAGS_INIT "-m32")
include(${CMAKE_CURRENT_LIST_DIR}/foreign.cmake)
foreign(i386-linux-gnu)
string(APPEND CMAKE_C_FLAGS_INIT " -idirafter /usr/include/x86_64-linux-gnu")
