#!/bin/sh
# SPDX-License-Identifier: MIT
# usage: install.sh libraries | pkgconfig | cmake, with the environment that CMakeLists.txt sets.
# Installs the build into a prefix, moves the prefix, and uses what is there. Leaves nothing behind.
# With PREFIX set, uses what is already installed there; PREFIX=/usr: as the system finds it.
set -eu
here=$SOURCE/tests/install
work=$(mktemp -d "${TMPDIR:-/tmp}/twostate-install.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

if [ -n "${PREFIX:-}" ]; then
    prefix=$PREFIX
else
    prefix=$work/prefix
    "$CMAKE" --install "$BUILD" --prefix "$work/first" >"$work/log" || { cat "$work/log"; exit 1; }
    mv "$work/first" "$prefix"
fi
libdir=$prefix/$LIBDIR
modules=twostate
if [ "$WITH_IO" = 1 ]; then
    modules='twostate twostate-io'
fi

fail()
{
    echo "FAILED: $*"
    exit 1
}

# run COMMAND...: says what it runs, so that a failure explains itself.
run()
{
    echo "+ $*"
    "$@"
}

# Names, sonames and exported symbols: what the headers declare, all of it, and nothing else.
test_libraries()
{
    for module in $modules; do
        library=$libdir/lib$module.so.$VERSION
        test -f "$libdir/lib$module.a" || fail "no lib$module.a"
        test "$(readlink "$libdir/lib$module.so")" = "lib$module.so.$MAJOR" || fail 'link for linking'
        test "$(readlink "$libdir/lib$module.so.$MAJOR")" = "lib$module.so.$VERSION" ||
            fail 'link for running'
        readelf -d "$library" | grep -q "SONAME.*\[lib$module.so.$MAJOR\]" || fail "soname of $module"
        readelf -d "$library" | grep -E 'RPATH|RUNPATH' | grep -v '\[$ORIGIN\]' &&
            fail "$module looks for libraries elsewhere than beside itself"
        for header in "$prefix"/include/twostate/*.h; do
            case $module:$(basename "$header") in
            twostate:io.h) continue ;;
            twostate:* | twostate-io:io.h) ;;
            *) continue ;;
            esac
            tr '\n' ' ' <"$header" | grep -o 'TWOSTATE_API[^;]*;' |
                grep -o 'twostate_[a-z0-9_]*(' | tr -d '('
        done | sort >"$work/declared"
        nm -D --defined-only --without-symbol-versions "$library" | awk '$2 != "A" { print $3 }' |
            sort >"$work/exported"
        test -s "$work/exported" || fail "$module exports nothing"
        diff "$work/declared" "$work/exported" || fail "$module: declared (<) is not exported (>)"
    done
    (cd "$prefix/include/twostate" && ls) | sort >"$work/headers"
    (cd "$SOURCE/include/twostate" && ls) | if [ "$WITH_IO" = 1 ]; then cat; else grep -vx io.h; fi |
        sort | diff - "$work/headers" || fail 'installed headers'
    if [ "$WITH_IO" = 1 ]; then
        run "$prefix/bin/twostate-io" --help >"$work/log" || fail 'the tool does not run'
    fi
}

# build_and_run MODULE LANGUAGE SOURCE OPTION...: one program against one pkg-config module.
build_and_run()
{
    module=$1 language=$2 source=$3
    shift 3
    case $language in
    c++*) compiler=$CXX kind=c++ ;;
    *) compiler=$CC kind=c ;;
    esac
    libraries=$(pkg-config --cflags --libs "$@" "$module")
    extra=
    case $* in *--static*) extra=-static ;; esac
    # shellcheck disable=SC2086 # FLAGS, extra and libraries are lists of words
    run "$compiler" -x $kind -std="$language" -Wall -Wextra -Wpedantic -Werror $FLAGS -pthread \
        "$here/$source" -x none $extra $libraries -o "$work/program"
    run "$work/program" "$work/file"
}

test_pkgconfig()
{
    if [ "$prefix" != /usr ]; then
        export PKG_CONFIG_PATH="$libdir/pkgconfig" LD_LIBRARY_PATH="$libdir"
    fi
    for module in $modules; do
        test "$(pkg-config --modversion "$module")" = "$VERSION" || fail "version of $module"
    done
    static=--static
    case $FLAGS in
    *-fsanitize=*) echo 'left out: static programs: sanitizers do not link statically' && static= ;;
    esac
    if ! echo 'int main(void) { return 0; }' | "$CC" -x c -static - -o "$work/program"; then
        echo 'left out: static programs: this machine has no static C library' && static=
    fi
    for option in '' $static; do
        build_and_run twostate c99 consumer.c $option
        test -z "$CXX" || build_and_run twostate c++11 consumer.cc $option
        if [ "$WITH_IO" = 1 ]; then
            build_and_run twostate-io c99 consumer_io.c $option
            test -z "$CXX" || build_and_run twostate-io c++11 consumer_io.c $option
        fi
    done
    if [ "$WITH_IO" = 1 ]; then
        case $(pkg-config --libs twostate-io) in *uring*) fail 'a shared link names liburing' ;; esac
    fi
}

# configure WITH_IO: the project outside the tree, against the prefix.
configure()
{
    run "$CMAKE" -S "$here/project" -B "$work/build" -G Ninja -DCMAKE_PREFIX_PATH="$prefix" \
        -DCMAKE_C_COMPILER="$CC" -DCMAKE_CXX_COMPILER="$CXX" -DCMAKE_C_FLAGS="$FLAGS" \
        -DCMAKE_CXX_FLAGS="$FLAGS" -DSOURCES="$here" -DWITH_IO="$1" >"$work/log" ||
        { cat "$work/log" && fail configure; }
}

test_cmake()
{
    test -n "$CXX" || { echo 'left out: no C++ compiler' && return; }
    configure "$WITH_IO"
    run "$CMAKE" --build "$work/build" >"$work/log" || { cat "$work/log" && fail build; }
    programs=0
    for program in "$work/build"/consumer_*; do
        run "$program" "$work/file"
        programs=$((programs + 1))
    done
    test "$programs" -eq $((4 + 4 * WITH_IO)) || fail "only $programs programs"
    test -z "${PREFIX:-}" || return 0
    # What the package says where the engine was not installed.
    rm -f "$libdir"/cmake/twostate/twostate-io-targets*.cmake
    configure 0
}

"test_$1"
