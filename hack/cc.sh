#!/usr/bin/env bash
# The linker that .cargo/config.toml names: cc, which for the release program is told to put the functions
# of hack/order.txt side by side, in that order. Anything else it links as cc does.
set -euo pipefail

hack=$(dirname "${BASH_SOURCE[0]}")
objects=() arguments=() output='' lld='' previous=''
for argument; do
    # hack/order.sh needs the names in a program of the release's own profile: with another profile the
    # crates have other hashes, and with those LTO makes other functions of the same sources.
    if [[ -n ${ROOTLING_LINK_SYMBOLS:-} && $argument == -Wl,--strip-all ]]; then
        continue
    fi
    arguments+=("$argument")
    case $argument in
    *.rcgu.o) objects+=("$argument") ;;
    -fuse-ld=lld) lld=yes ;;
    esac
    [[ $previous != -o ]] || output=$argument
    previous=$argument
done

# Only lld knows the option; fat LTO, which only the release build has, leaves a single object.
if [[ -z $lld || ${#objects[@]} != 1 || ! ${output##*/} =~ ^rootling-[0-9a-f]+$ ]]; then
    exec cc "${arguments[@]}"
fi
if ! command -v nm >/dev/null; then
    echo 'cc.sh: no nm (binutils): linked without the order of hack/order.txt, starts will be slower' >&2
    exec cc "${arguments[@]}"
fi

order=$(mktemp)
trap 'rm -f "$order" "$order.names"' EXIT
nm --defined-only --format=posix "${objects[0]}" | cut -d' ' -f1 >"$order.names"
# A name that the object lacks may be one of the C libraries'; lld passes over those that nothing has.
sed -Ef "$hack/symbols.sed" "$order.names" | paste - "$order.names" | awk -F'\t' '
    NR == FNR { full[$1] = ($1 in full ? full[$1] "\n" : "") $2; next }
    /^#/ { next }
    { print ($0 in full ? full[$0] : $0) }' - "$hack/order.txt" >"$order"
cc "${arguments[@]}" -Wl,--symbol-ordering-file="$order" -Wl,--no-warn-symbol-ordering
