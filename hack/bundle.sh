#!/usr/bin/env bash
# Makes a busybox bundle: bundle.sh DIR [--config [ARG...]]
# --config leaves config.json in it, which runs the ARGs (sh without any); without it there is none.
# It is made by the rootling-image next to ROOTLING_BIN, or else by target/rootling-image, or else by the rootling in PATH.
set -euo pipefail

fail() { echo "bundle.sh: $*" >&2; exit 1; }
dir=${1:-}
[[ -n $dir ]] || fail 'usage: bundle.sh DIR [--config [ARG...]]'
shift
config=
case ${1-} in
--config) config=yes && shift ;;
?*) fail "$1: only --config may follow the directory" ;;
esac

# Another runtime that is being tested has none.
if [[ -x ${ROOTLING_BIN:-}-image ]]; then
    image=("$ROOTLING_BIN-image")
elif [[ -x $(dirname "$0")/../target/rootling-image ]]; then
    image=("$(dirname "$0")/../target/rootling-image")
elif found=$(command -v rootling); then
    image=("$found" image)
elif found=$(command -v rootling-image); then
    image=("$found")
else
    fail 'there is no rootling: run make build, or install it'
fi
[[ ! -e $dir/config.json ]] || fail "$dir/config.json: there is one already; remove it, or name another directory"
if [[ -e $dir/rootfs ]]; then
    [[ -n $config ]] || { echo "bundle.sh: $dir/rootfs: is there already, and is left as it is" >&2; exit 0; }
    fail "$dir/rootfs: there is one already, to which \`rootling spec -b $dir\` adds a config.json"
fi

mkdir -p "$(dirname "$dir")" || fail "$(dirname "$dir"): cannot be made"
own=()
((EUID == 0)) || own=(--userns single)
"${image[@]}" unpack busybox: "$dir" "${own[@]}" -- "$@" || fail "${image[*]} unpack busybox: $dir has failed, see above"
# The bundle contains no secrets, and tests pass it to other users.
chmod 0755 "$dir" || fail "$dir: its mode cannot be set"
[[ -n $config ]] || rm "$dir/config.json" || fail "$dir/config.json: cannot be removed"
