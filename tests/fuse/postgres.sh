#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# PostgreSQL: initdb, pgbench, an immediate stop and recovery, and the file system killed under it.
# Only the long form: postgres.sh PROGRAM kernel|user --long
# shellcheck source=tests/fuse/common.sh disable=SC2119
. "$(dirname "$0")/common.sh"

[ -n "$long" ] || skip "PostgreSQL is for --long"
bin=$(find /usr/lib/postgresql -name pgbench -printf '%h\n' 2>/dev/null | sort -V | tail -n 1)
[ -x "$bin/initdb" ] || skip "no PostgreSQL"
getent passwd postgres >/dev/null || skip "no user postgres"
need runuser

as() { (cd / && runuser -u postgres -- "$@"); }
server() { as "$bin/pg_ctl" -s -w -D "$mount/pg" -l "$mount/pg/log" -o "-k $mount/pg -h ''" "$@"; }
sql() { as "$bin/psql" -qAtX -h "$mount/pg" -d postgres -c "$1"; }
bench() { as "$bin/pgbench" -h "$mount/pg" "$@" postgres; }

# pgbench changes three balances by the same in one transaction, and notes it.
balanced()
{
    [ "$(sql 'select (select sum(abalance) from pgbench_accounts) = (select sum(delta) from pgbench_history)
        and (select sum(bbalance) from pgbench_branches) = (select sum(delta) from pgbench_history)')" = t ] ||
        fail "$1: the balances are wrong"
    echo "$1: $(sql 'select count(*) from pgbench_history') transactions, balanced"
}

start
mkdir "$mount/pg"
chown postgres: "$mount/pg"
as "$bin/initdb" -D "$mount/pg" --data-checksums -A trust >"$work/initdb" || { cat "$work/initdb"; fail "initdb"; }
server start
bench -i -q -s 5 2>/dev/null
bench -n -c 4 -j 2 -T 10 | grep -E '^tps|number of transactions' || fail "pgbench"
balanced "run"
server -m immediate stop
server start
balanced "recovered"
bench -n -c 4 -T 20 >/dev/null 2>&1 &
client=$!
sleep 5
acknowledged=$(sql 'select count(*) from pgbench_history')
crash
wait $client || true
pkill -9 postgres || true
sleep 1
start
rm -f "$mount/pg/postmaster.pid"
server start
balanced "after the file system was killed"
[ "$(sql 'select count(*) from pgbench_history')" -ge "$acknowledged" ] || fail "transactions are lost"
server -m fast stop
as "$bin/pg_checksums" --check -D "$mount/pg" | grep -i bad || fail "checksums"
stop
as "$bin/pg_checksums" --check -D "$data/pg" >/dev/null || fail "checksums below"
