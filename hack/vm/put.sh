#!/usr/bin/env bash
# Copies files and directories into the VM, to be owned by USER: put.sh USER DIR-IN-VM PATH...
# shellcheck source=hack/vm/lib.sh
. "$(dirname "$0")/lib.sh"

(($# > 2)) || vm_fail 'usage: put.sh USER DIR-IN-VM PATH...'
user=$1 dir=$(printf %q "$2")
shift 2
arguments=()
for path; do arguments+=(-C "$(dirname "$(realpath "$path")")" "$(basename "$(realpath "$path")")"); done
tar -cf - "${arguments[@]}" |
    "$vm_scripts/run.sh" "$user" "mkdir -p $dir && tar -C $dir --no-same-owner -xpf -"
