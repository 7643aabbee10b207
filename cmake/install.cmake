# What `cmake --install` puts in place: libraries, headers, programs, the CMake package and the
# pkg-config files. Everything finds its neighbours relative to itself, so the prefix can be moved.
# All of it, or `cmake --install --component`: runtime (the libraries), development, tools, fuse,
# nbdkit-plugin.
include(CMakePackageConfigHelpers)
set(CMAKE_INSTALL_DEFAULT_COMPONENT_NAME development)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/twostate)
set(pkgconfig_dir ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
cmake_path(IS_ABSOLUTE CMAKE_INSTALL_LIBDIR libdir_is_absolute)

# The pkg-config files' prefix: relative to the files, unless the library directory is not below it or
# the prefix is for good, as a distribution's is: then pkg-config can see that it needs no options.
option(TWOSTATE_RELOCATABLE "pkg-config files that find the prefix from where they lie" ON)
if(TWOSTATE_RELOCATABLE AND NOT libdir_is_absolute)
  file(RELATIVE_PATH up "/${pkgconfig_dir}" "/")
  string(REGEX REPLACE "/$" "" up "${up}")
  set(PC_PREFIX "\${pcfiledir}/${up}")
else()
  set(PC_PREFIX ${CMAKE_INSTALL_PREFIX})
endif()
if(libdir_is_absolute)
  set(PC_LIBDIR ${CMAKE_INSTALL_LIBDIR})
else()
  set(PC_LIBDIR "\${prefix}/${CMAKE_INSTALL_LIBDIR}")
endif()
cmake_path(IS_ABSOLUTE CMAKE_INSTALL_INCLUDEDIR includedir_is_absolute)
if(includedir_is_absolute)
  set(PC_INCLUDEDIR ${CMAKE_INSTALL_INCLUDEDIR})
else()
  set(PC_INCLUDEDIR "\${prefix}/${CMAKE_INSTALL_INCLUDEDIR}")
endif()

# A deadline is a struct timespec, the same for the library and its users.
set(PC_DEFINITIONS "")
if(CMAKE_SIZEOF_VOID_P EQUAL 4)
  set(PC_DEFINITIONS " -D_FILE_OFFSET_BITS=64 -D_TIME_BITS=64")
endif()

# twostate_install(module export target...): one library, as a CMake export and a pkg-config module.
function(twostate_install module export)
  install(TARGETS ${ARGN} EXPORT ${export}
    LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT runtime NAMELINK_COMPONENT development
    ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
  install(EXPORT ${export} NAMESPACE twostate:: DESTINATION ${package_dir})
  configure_file(pkgconfig/${module}.pc.in ${module}.pc @ONLY)
  install(FILES ${PROJECT_BINARY_DIR}/${module}.pc DESTINATION ${pkgconfig_dir})
endfunction()

# twostate_program(target component): a program that finds the libraries wherever the prefix is.
# (-DCMAKE_SKIP_INSTALL_RPATH=ON leaves that out, as distributions want it.)
file(RELATIVE_PATH from_bin ${CMAKE_INSTALL_FULL_BINDIR} ${CMAKE_INSTALL_FULL_LIBDIR})
function(twostate_program target component)
  if(TARGET ${target})
    set_target_properties(${target} PROPERTIES INSTALL_RPATH "\$ORIGIN/${from_bin}")
    install(TARGETS ${target} RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT ${component})
  endif()
endfunction()

twostate_install(twostate twostate-targets twostate_shared twostate_static)
install(DIRECTORY include/twostate DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} PATTERN io.h EXCLUDE)

if(TWOSTATE_IO)
  set_target_properties(twostate_io_shared PROPERTIES INSTALL_RPATH "\$ORIGIN")
  twostate_install(twostate-io twostate-io-targets twostate_io_shared twostate_io_static)
  install(FILES include/twostate/io.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/twostate)
  twostate_program(twostate-io tools)
  twostate_program(twostate-fuse fuse)
endif()

configure_package_config_file(cmake/twostate-config.cmake.in twostate-config.cmake
  INSTALL_DESTINATION ${package_dir} NO_SET_AND_CHECK_MACRO)
write_basic_package_version_file(twostate-config-version.cmake COMPATIBILITY SameMajorVersion)
install(FILES ${PROJECT_BINARY_DIR}/twostate-config.cmake
  ${PROJECT_BINARY_DIR}/twostate-config-version.cmake DESTINATION ${package_dir})
