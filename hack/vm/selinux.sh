#!/bin/sh
# Makes the root directory of the test VM one for SELinux: selinux.sh STEP DIR. build.sh calls it, with the step
# `essential` before most packages are there, and with `label` at the end.
set -eu
step=$1 root=$2
policy=default

case $step in
essential)
    # The package of the policy reads it when it is installed.
    mkdir -p "$root/etc/selinux"
    printf 'SELINUX=permissive\nSELINUXTYPE=%s\n' "$policy" >"$root/etc/selinux/config"
    ;;
label)
    # By the policy in the directory, whatever security module this machine has.
    chroot "$root" setfiles -F "/etc/selinux/$policy/contexts/files/file_contexts" /
    # Or the machine would do the same when it boots, and boot again.
    rm -f "$root/.autorelabel"
    ;;
*)
    echo "selinux.sh: no step is called $step" >&2
    exit 2
    ;;
esac
