#!/usr/bin/env bash
# Demonstrates containers of an ordinary user: one to look around in, and one through its whole life. ROOTLING_BIN names
# the binary. Leaves nothing behind.
# shellcheck disable=SC2016 # what is in single quotes is for other shells to expand
set -euo pipefail

cd "$(dirname "$0")/.."
binary=$(realpath "${ROOTLING_BIN:-$(hack/binary.sh)}")
bold='' plain=''
if [[ -t 1 ]]; then bold=$'\e[1m' plain=$'\e[0m'; fi
say() { printf '\n%s%s%s\n' "$bold" "$*" "$plain"; }

# shellcheck source=hack/with-user.sh
. hack/with-user.sh

# The ordinary user may not be able to read this checkout, so work in another directory.
dir=$(mktemp -d /tmp/rootling-demo-XXXXXX)
on_exit rm -rf "$dir"
chmod 0755 "$dir"
install -m 0755 "$binary" "$dir/rootling"
install -m 0755 "$binary-image" "$dir/rootling-image"
install -d -m 0700 "$dir/work"
bundle=$dir/work/bundle
ROOTLING_BIN=$dir/rootling hack/bundle.sh "$bundle"
((EUID != 0)) || chown -R "$uid:$gid" "$dir/work"
rootling() { as_user "$dir/rootling" --root "$dir/work/state" "$@"; }
rootling spec --rootless -b "$bundle"
configure() { hack/configure.sh "$bundle" "$@"; }
on_exit rootling delete -f demo

say "A container of $(as_user id -un), uid $(as_user id -u), no privileges:"
configure sh -c '
    echo "  id         $(id)"
    echo "  hostname   $(hostname)"
    echo "  process 1  $(cat /proc/1/comm)"
    echo "  mounts     $(grep -c . /proc/mounts), among them:"
    grep -E " (/|/proc|/sys|/dev|/dev/pts|/dev/shm) " /proc/mounts | cut -d " " -f 2-4 | sed "s/^/    /"'
rootling run -b "$bundle" demo

say 'One through its life:'
configure sh -c 'echo "    the program speaks, and waits"; sleep 1000'
step() {
    printf '  rootling %s\n' "${*//"$bundle"/BUNDLE}"
    rootling "$@"
}
status() { rootling state demo | jq -r '"    \(.status), process \(.pid)"'; }
step create -b "$bundle" demo
status
step start demo
sleep 0.2
status
step kill demo KILL
for _ in {1..100}; do
    [[ $(rootling state demo | jq -r .status) != stopped ]] || break
    sleep 0.02
done
status
step delete demo
echo "  containers left: $(rootling list -q | wc -l)"

configure true
runs=20
milliseconds=$(for _ in $(seq "$runs"); do
    # Without a subshell and env in between, which would take longer than the container itself.
    as_user bash -c 'start=$EPOCHREALTIME; "$@"; end=$EPOCHREALTIME
        echo $(((${end/./} - ${start/./})))' bash "$dir/rootling" --root "$dir/work/state" run -b "$bundle" demo
done | sort -n | awk '{ t[NR] = $1 } END { printf "%.1f", t[int((NR + 1) / 2)] / 1000 }')
say "A container of /bin/true took $milliseconds ms from start to end (median of $runs runs)."
