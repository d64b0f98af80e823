#!/usr/bin/env bash
# Copies the contents of a directory out of the VM as USER: get.sh USER DIR-IN-VM DIR
# shellcheck source=hack/vm/lib.sh
. "$(dirname "$0")/lib.sh"

(($# == 3)) || vm_fail 'usage: get.sh USER DIR-IN-VM DIR'
mkdir -p "$3"
"$vm_scripts/run.sh" "$1" "tar -C $(printf %q "$2") -cf - ." | tar -C "$3" --no-same-owner -xf -
