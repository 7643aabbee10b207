# What the machine's own pkg-config knows is of another architecture.
set(ENV{PKG_CONFIG_LIBDIR} ${CMAKE_CURRENT_LIST_DIR}/none)
set(TWOSTATE_FOREIGN "" CACHE PATH "Where scripts/foreign_packages.sh has put the port's libraries")
list(APPEND CMAKE_TRY_COMPILE_PLATFORM_VARIABLES TWOSTATE_FOREIGN)

# foreign(triplet): they are found there.
function(foreign triplet)
  if(TWOSTATE_FOREIGN)
    set(ENV{PKG_CONFIG_LIBDIR} ${TWOSTATE_FOREIGN}/usr/lib/${triplet}/pkgconfig)
    set(ENV{PKG_CONFIG_SYSROOT_DIR} ${TWOSTATE_FOREIGN})
    set(ENV{PKG_CONFIG_ALLOW_SYSTEM_CFLAGS} 1)
    set(ENV{PKG_CONFIG_ALLOW_SYSTEM_LIBS} 1)
    set(CMAKE_C_FLAGS_INIT "${CMAKE_C_FLAGS_INIT} -idirafter ${TWOSTATE_FOREIGN}/usr/include/${triplet}"
      PARENT_SCOPE)
  endif()
endfunction()
