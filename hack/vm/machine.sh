#!/usr/bin/env bash
# To be sourced after lib.sh by scripts that run tests in a VM of their own: it ends with the script.
# shellcheck disable=SC2154 # vm_dir and vm_scripts are lib.sh's

# A machine of our own, whoever else runs one.
export ROOTLING_VM_NAME=${ROOTLING_VM_NAME:-test-$$}
vm_run=$vm_dir/run/$ROOTLING_VM_NAME

# step COMMAND...: runs it in the background, in a process group of its own, and waits: a signal to
# this script is acted upon at once, and reaches all of the step.
set -m
job=''
step() {
    local status=0
    "$@" </dev/null &
    job=$!
    wait "$job" || status=$?
    job=''
    return "$status"
}

# A directory for what goes into the machine.
stage=$(mktemp -d)
# shellcheck disable=SC2317 # called by the trap
cleanup() {
    [[ -z $job ]] || kill -- "-$job" 2>/dev/null || true
    rm -rf "$stage"
    "$vm_scripts/stop.sh" || true
    rm -rf "$vm_run"
}
trap cleanup EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
