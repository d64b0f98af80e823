#!/bin/sh
# Runs a command of a CI job in a container of rootling: container.sh IMAGE COMMAND [ARG...]
# IMAGE is what `rootling image unpack` takes: busybox:, an archive, a layout or docker://REFERENCE. The container has the
# current directory at /src, at most 512 MiB of memory and 256 processes where the host can limit them, and a network of its own;
# NETWORK=host gives it that of the host. Its output is printed and kept in logs, and its exit code is that of this script.
set -u

fail() { echo "container.sh: $*" >&2; exit 125; }
[ $# -ge 2 ] || fail 'usage: container.sh IMAGE COMMAND [ARG...]'
image=$1
shift
mkdir -p logs || fail 'logs: cannot be made here'
rm -f logs/*.log logs/exit-code

rootling doctor >logs/doctor.log 2>&1 || { cat logs/doctor.log >&2; fail 'this host runs no containers, see above'; }

work=$(mktemp -d) || fail 'no temporary directory can be made'
# Its files may belong to subordinate ids.
trap 'rm -rf "$work" 2>/dev/null || unshare --map-auto --map-root-user rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
rootling image unpack "$image" "$work/bundle" --network "${NETWORK:-pasta}" --memory 512m --pids-limit 256 \
    -v "$PWD:/src" -w /src -- "$@" 2>logs/unpack.log || { cat logs/unpack.log >&2; fail "$image cannot be unpacked"; }
cat logs/unpack.log >&2

code=0
rootling --log logs/rootling.log run -b "$work/bundle" >logs/stdout.log 2>logs/stderr.log || code=$?
cat logs/stdout.log
cat logs/stderr.log >&2
echo "$code" >logs/exit-code
exit "$code"
