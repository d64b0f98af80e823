#!/usr/bin/env bash
# Stops the test VM; the contents of its disk are lost. Succeeds if none is running. --forget also removes what is kept
# of it: its console and its log.
# shellcheck source=hack/vm/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=hack/vm/container.sh
. "$vm_scripts/container.sh"

vm_hang_up
if vm_running; then
    pid=$(<"$vm_run/pid")
    kill "$pid"
    for _ in {1..50}; do
        vm_running || break
        sleep 0.1
    done
    ! vm_running || kill -KILL "$pid"
    echo "vm: process $pid ended"
fi
vm_remove_cgroup
[[ ${1:-} != --forget ]] || rm -rf "$vm_run"
rm -f "$vm_run"/{disk,booted,pid,port,monitor.in,monitor.out}
