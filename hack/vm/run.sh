#!/usr/bin/env bash
# Runs a command line in the VM, in a login session of USER (root or rootling): run.sh USER COMMAND...
# Without COMMAND it starts a login shell. ROOTLING_VM_TTY=1 gives the command a terminal.
# shellcheck source=hack/vm/lib.sh
. "$(dirname "$0")/lib.sh"

user=${1:?usage: run.sh USER COMMAND...}
shift
vm_running || vm_fail "does not run; start it with $vm_scripts/start.sh"
terminal=(-T)
(($#)) || terminal=(-t)
[[ -z ${ROOTLING_VM_TTY:-} ]] || terminal=(-tt)
vm_ssh "$user" "${terminal[@]}" -- "$@"
