#!/usr/bin/env bash
# The linker of the release program, for hack/build.sh: it runs cc and makes it place the functions in hack/order.txt
# next to each other, in that order. It fails if too few of them are in the program, since the program would start more
# slowly without anybody noticing.
set -euo pipefail

hack=$(dirname "${BASH_SOURCE[0]}")
# The percentage of the functions that must be found. A change of the program renames some of them.
least=90

# fail WHY: rustc shows what a linker that fails has printed.
fail() { echo "cc.sh: $1; \`cargo build --release\` links the program without that order" >&2; exit 1; }

objects=() lld=''
for argument; do
    case $argument in
    *.rcgu.o) objects+=("$argument") ;;
    -fuse-ld=lld) lld=yes ;;
    esac
done
if [[ -z $lld && $* == *-musl* ]]; then
    # rustc links with its lld by default for glibc alone.
    lld=$(rustc --print sysroot)/lib/rustlib/$(rustc -vV | sed -n 's/^host: //p')/bin/gcc-ld
    [[ ! -e $lld/ld.lld ]] || set -- "$@" -fuse-ld=lld "-B$lld"
fi
[[ -n $lld ]] || fail 'rustc does not link with lld, which alone can put functions in the order of hack/order.txt'
command -v nm >/dev/null || fail 'nm, which finds the functions of hack/order.txt in the program, is not installed: install binutils'
((${#objects[@]})) || fail 'there is no object file among the arguments that rustc gives to its linker'

order=$(mktemp)
trap 'rm -f "$order" "$order.names"' EXIT
nm --defined-only --format=posix "${objects[@]}" | awk 'NF > 1 { print $1 }' >"$order.names"
# C names belong to libraries, and lld ignores those that do not exist. Each of the Rust names should be in the object.
read -r found all <<<"$(sed -Ef "$hack/symbols.sed" "$order.names" | paste - "$order.names" | awk -F'\t' -v order="$order" '
    NR == FNR { full[$1] = ($1 in full ? full[$1] "\n" : "") $2; next }
    /^#/ { next }
    /^_(R|ZN)/ { all++; found += $0 in full }
    { print ($0 in full ? full[$0] : $0) >order }
    END { print found + 0, all + 0 }' - "$hack/order.txt")"
((found * 100 >= all * least && found)) ||
    fail "the program has $found of the $all Rust functions that hack/order.txt names, and $least % is the least: renew the list by \`make order\`, as root"
cc "$@" -Wl,--symbol-ordering-file="$order" -Wl,--no-warn-symbol-ordering
