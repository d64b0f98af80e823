#!/usr/bin/env bash
# Makes a busybox bundle: bundle.sh DIR [--config [ARG...]]
# --config writes a config.json as well, by `rootling spec`, that runs ARGs (sh when none);
# ROOTLING_BIN names the rootling to ask; without it that is target/rootling, else the one in PATH.
set -euo pipefail

dir=${1:?usage: bundle.sh DIR [--config [ARG...]]}
shift
busybox=$(command -v busybox) || { echo 'bundle.sh: busybox is not installed: install busybox-static' >&2; exit 1; }

mkdir -p "$dir"/rootfs/{bin,etc,proc,sys,dev,root,tmp,usr}
chmod 1777 "$dir/rootfs/tmp"
if [[ ! -e $dir/rootfs/bin/busybox ]]; then
    cp "$busybox" "$dir/rootfs/bin/busybox"
    # Hard links, made by one process.
    "$dir/rootfs/bin/busybox" --install "$dir/rootfs/bin"
fi
ln -sfn ../bin "$dir/rootfs/usr/bin"
ln -sfn bin "$dir/rootfs/sbin"
printf '%s\n' 'root:x:0:0:root:/root:/bin/sh' 'nobody:x:65534:65534:nobody:/:/bin/false' >"$dir/rootfs/etc/passwd"
printf '%s\n' 'root:x:0:' 'nogroup:x:65534:' >"$dir/rootfs/etc/group"

if [[ ${1:-} == --config ]]; then
    shift
    (($#)) || set -- sh
    rootling=${ROOTLING_BIN:-$(dirname "$0")/../target/rootling}
    [[ -x $rootling || -n ${ROOTLING_BIN:-} ]] || rootling=$(command -v rootling) || {
        echo 'bundle.sh: there is no rootling: run make build, or name one in ROOTLING_BIN' >&2
        exit 1
    }
    rootless=()
    ((EUID == 0)) || rootless=(--rootless)
    rm -f "$dir/config.json"
    "$rootling" spec "${rootless[@]}" -b "$dir"
    "$(dirname "$0")/configure.sh" "$dir" "$@"
fi
