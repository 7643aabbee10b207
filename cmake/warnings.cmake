# twostate_options(target...): the warnings that every file of the project is clean under.
function(twostate_options)
  foreach(target ${ARGN})
    target_compile_definitions(${target} PRIVATE _GNU_SOURCE _FILE_OFFSET_BITS=64
      _TIME_BITS=64)
    target_compile_options(${target} PRIVATE -Wall -Wextra -Wpedantic -Wshadow -Wconversion
      $<$<BOOL:${TWOSTATE_WERROR}>:-Werror>)
  endforeach()
endfunction()
