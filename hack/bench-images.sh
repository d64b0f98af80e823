#!/usr/bin/env bash
# Compares the time and the memory that `rootling image unpack` and umoci need for Debian's minbase, alternating between
# them:
#   bench-images.sh [TURNS]
# Run it as root, who makes the image with mmdebstrap and umoci; it is unpacked as root and as an ordinary user.
# ROOTLING_BIN names the binary, and ROOTLING_TEST_DEBIAN a root file system that was made before; TMPDIR may name a
# tmpfs, so that no disk is measured. Leaves nothing behind.
set -euo pipefail

cd "$(dirname "$0")/.."
fail() { echo "bench-images: $*" >&2; exit 1; }
turns=${1:-7}
((EUID == 0)) || fail 'only root can unpack as root and as another user: run it as root'
for program in mmdebstrap umoci skopeo; do
    command -v "$program" >/dev/null || fail "$program is not installed: apt-get install --no-install-recommends mmdebstrap umoci skopeo time"
done
[[ -x /usr/bin/time ]] || fail '/usr/bin/time is not installed: apt-get install time'
binary=$(realpath "${ROOTLING_BIN:-$(hack/binary.sh)}")

# shellcheck source=hack/with-user.sh
. hack/with-user.sh
dir=$(mktemp -d "${TMPDIR:-/var/tmp}/rootling-bench-XXXXXX")
on_exit rm -rf "$dir"
chmod 0755 "$dir"
install -m 0755 "$binary" "$dir/rootling"
install -m 0755 "$binary-image" "$dir/rootling-image"
echo 'bench-images: making the image'
# A mirror that lags behind is good enough for a comparison, as is one that seems to on a machine whose clock is ahead.
if [[ -n ${ROOTLING_TEST_DEBIAN:-} ]]; then
    cp "$ROOTLING_TEST_DEBIAN" "$dir/root.tar"
else
    mmdebstrap --quiet --variant=minbase --aptopt='Acquire::Check-Valid-Until "false"' stable "$dir/root.tar"
fi
umoci init --layout "$dir/gzip"
umoci new --image "$dir/gzip:latest"
umoci raw add-layer --image "$dir/gzip:latest" "$dir/root.tar"
skopeo copy --quiet --insecure-policy --dest-compress-format zstd "oci:$dir/gzip:latest" "oci:$dir/zstd:latest"
chmod -R a+rX "$dir/gzip" "$dir/zstd"
install -d -m 0755 -o "$uid" -g "$gid" "$dir/user"
mkdir -m 0755 "$dir/root"

# Each case has a name, a user and a command; $to is the directory that it unpacks to.
# shellcheck disable=SC2016 # what is in single quotes is expanded by run
cases=(
    'umoci gzip|root|umoci unpack --image $dir/gzip:latest $to'
    'rootling gzip|root|$dir/rootling image unpack oci:$dir/gzip $to'
    'rootling zstd|root|$dir/rootling image unpack oci:$dir/zstd $to'
    'umoci gzip, one id|user|umoci unpack --rootless --image $dir/gzip:latest $to'
    'rootling gzip, one id|user|$dir/rootling image unpack --userns single oci:$dir/gzip $to'
    'rootling gzip, ranges of ids|user|$dir/rootling image unpack oci:$dir/gzip $to'
    'rootling zstd, ranges of ids|user|$dir/rootling image unpack oci:$dir/zstd $to'
)
figures=$dir/figures
run() { # run NUMBER: one turn of a case
    local name who command to
    IFS='|' read -r name who command <<<"${cases[$1]}"
    to=$dir/$who/bundle
    eval "command=\"$command\""
    local as=()
    [[ $who == root ]] || as=(as_user)
    # shellcheck disable=SC2086 # words of a command
    "${as[@]}" /usr/bin/time -f '%e %M' -o "$dir/$who/time" $command >/dev/null 2>&1 || fail "$command has failed"
    echo "$1 $(tail -n 1 "$dir/$who/time")" >>"$figures"
    rm -rf "$to" "$dir/$who/time"
}
for ((turn = 0; turn <= turns; turn++)); do
    # The first turn is for warming up.
    ((turn != 1)) || : >"$figures"
    for number in "${!cases[@]}"; do run "$number"; done
done

printf '%-32s %-6s %10s %10s\n' unpack as seconds 'peak MiB'
for number in "${!cases[@]}"; do
    IFS='|' read -r name who _ <<<"${cases[$number]}"
    # The median time, and the highest memory usage of all turns.
    seconds=$(awk -v n="$number" '$1 == n { print $2 }' "$figures" | sort -n | sed -n "$(((turns + 1) / 2))p")
    peak=$(awk -v n="$number" '$1 == n && $3 > most { most = $3 } END { printf "%.1f", most / 1024 }' "$figures")
    printf '%-32s %-6s %10s %10s\n' "$name" "$who" "$seconds" "$peak"
done
