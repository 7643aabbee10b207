#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# sqlite3 with a write-ahead log and with a rollback journal. First its writer is killed, then the file
# system: every time the database is whole, and has all that was acknowledged (synchronous=FULL).
# usage: sqlite.sh PROGRAM kernel|user [--long]
# shellcheck source=tests/fuse/common.sh disable=SC2119
. "$(dirname "$0")/common.sh"
need sqlite3

rounds=${long:+5}
rounds=${rounds:-1}
least=15 # rows that are to be acknowledged before the kill

# One row a transaction, with its number and what the rest of it follows from; until an error.
write_rows() # from, journal
{
    {
        # First of all, as the next one needs the database, which a reader may be recovering.
        echo "pragma busy_timeout=100000; pragma journal_mode=$2; pragma synchronous=FULL;"
        seq "$1" 100000 |
            sed "s/.*/insert into t values(&, hex(zeroblob(& * 7919 % 3000)), & * 7919); select 'row &';/"
    } | stdbuf -oL sqlite3 -bail "$mount/$2.db" >>"$work/acknowledged" 2>>"$work/sqlite"
}

acknowledged()
{
    grep -c '^row ' "$work/acknowledged" || true
}

# Waits for rows, with a reader beside the writer, and kills the one or the other.
kill_it() # journal, writer | daemon, rows before
{
    local writer

    write_rows $(($3 + 1)) "$1" 2>/dev/null &
    writer=$!
    while [ "$(acknowledged)" -lt $(($3 + least)) ]; do
        kill -0 $writer 2>/dev/null || { cat "$work/sqlite"; fail "the writer ended"; }
        sqlite3 -cmd '.timeout 100000' "$mount/$1.db" 'select count(*) from t' >/dev/null ||
            fail "the reader"
    done
    if [ "$2" = daemon ]; then
        crash
    else
        pkill -9 -P $writer sqlite3 || fail "no writer"
    fi
    wait $writer 2>/dev/null || true
    if [ "$2" = daemon ]; then
        start
    fi
}

check() # journal, rows at least
{
    local rows

    [ "$(sqlite3 "$mount/$1.db" 'pragma integrity_check')" = ok ] || fail "$1: not whole"
    rows=$(sqlite3 "$mount/$1.db" "select count(*) from t where length(a) = 2 * (b % 3000) and b = n * 7919")
    [ "$rows" = "$(sqlite3 "$mount/$1.db" 'select max(n) from t')" ] || fail "$1: rows are missing"
    [ "$rows" -ge "$2" ] || fail "$1: $2 rows were acknowledged, $rows are there"
    echo "$1: $2 acknowledged, $rows there"
    number=$rows
}

start
for journal in wal delete; do
    sqlite3 "$mount/$journal.db" "pragma journal_mode=$journal; create table t(n integer primary key, a, b)"
    : >"$work/acknowledged"
    number=0
    for _ in $(seq "$rounds"); do
        for victim in writer daemon; do
            # What was committed and not acknowledged counts from now on.
            for i in $(seq $((number - $(acknowledged)))); do echo "row $i"; done >>"$work/acknowledged"
            kill_it $journal $victim "$number"
            check $journal "$(acknowledged)"
        done
    done
done
stop
sqlite3 "$data/wal.db" 'pragma integrity_check' | grep -qx ok || fail "not whole below"
