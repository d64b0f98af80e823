#!/usr/bin/env bash
# Runs the scenarios of the engines in the VM: test.sh [--compare] [RUN...]
# The runs, all where none is named, are listed below. --compare runs each with crun too and says
# where the two differ. ROOTLING_ENGINES_ONLY='exec*' selects groups of scenarios,
# ROOTLING_ENGINES_MINUTES (60) bounds all of it but the building of image and program.
# The logs come to target/engines.
# shellcheck source=hack/vm/lib.sh
. "$(dirname "$0")/../vm/lib.sh"
# shellcheck source=hack/vm/machine.sh
. "$vm_scripts/machine.sh"
cd "$vm_scripts/../.."

# RUN: the user, and the script with its arguments. Runs of one user follow one another, those of
# the two users go on at the same time.
declare -A users scripts
run() { users[$1]=$2 scripts[$1]=$3; }
run podman rootling 'podman.sh RUNTIME systemd'
run podman-cgroupfs rootling 'podman.sh RUNTIME cgroupfs limits lifecycle'
run podman-root root 'podman.sh RUNTIME systemd run networks limits lifecycle build'
run docker root 'docker.sh RUNTIME'
run docker-rootless rootling 'docker.sh RUNTIME'
run containerd root 'containerd.sh RUNTIME'
run containerd-rootless rootling 'containerd.sh RUNTIME'
names=(podman podman-cgroupfs podman-root docker docker-rootless containerd containerd-rootless)

runtimes=(/usr/local/bin/rootling)
if [[ ${1:-} == --compare ]]; then
    runtimes+=(/usr/bin/crun)
    shift
fi
runs=("$@")
(($#)) || runs=("${names[@]}")
for run in "${runs[@]}"; do
    [[ -n ${users[$run]:-} ]] || vm_fail "no run is called $run; there are ${names[*]}"
done
results=${CARGO_TARGET_DIR:-$PWD/target}/engines
binary=$(realpath "${ROOTLING_BIN:-$(hack/binary.sh)}")

step hack/vm/build.sh
install -m 0755 "$binary" "$stage/rootling"
rm -rf "$results"
mkdir -p "$results"

# one RUN RUNTIME: its scenarios, to the end of them or of the time.
one() {
    local run=$1 log=$results/$1-${2##*/} left=$((end - SECONDS))
    ((left > 0)) || left=1
    timeout -k 10 "$((left + 60))" hack/vm/run.sh "${users[$run]}" \
        "ROOTLING_ENGINES_TIME=$left ROOTLING_ENGINES_ONLY=$(printf %q "${ROOTLING_ENGINES_ONLY:-*}")" \
        "/opt/rootling/engines/${scripts[$run]/RUNTIME/$2}" >"$log" 2>&1 </dev/null || echo "$run" >>"$results/failed"
    printf '\n== %s with %s\n%s\n' "$run" "${2##*/}" "$(grep -v '^ok' "$log")"
}

# lane USER: the runs of this user.
lane() {
    local run runtime
    for runtime in "${runtimes[@]}"; do
        for run in "${runs[@]}"; do
            [[ ${users[$run]} != "$1" ]] || one "$run" "$runtime"
        done
    done
}

both_lanes() {
    lane root &
    lane rootling
    wait
}

step hack/vm/start.sh
step timeout 120 hack/vm/put.sh root /usr/local/bin "$stage/rootling"
step timeout 120 hack/vm/put.sh root /opt/rootling hack/engines
start=$SECONDS end=$((SECONDS + ${ROOTLING_ENGINES_MINUTES:-60} * 60))
step both_lanes

for run in "${runs[@]}"; do
    ((${#runtimes[@]} > 1)) || break
    printf '\n== %s: where rootling (-) and crun (+) differ\n' "$run"
    diff -U 0 <(grep -E '^(ok|FAILED)' "$results/$run-rootling") <(grep -E '^(ok|FAILED)' "$results/$run-crun") |
        grep -E '^[-+](ok|FAILED)' || echo nowhere
done
printf '\nTime in the VM: %d s. Logs: %s\n' "$((SECONDS - start))" "$results"
cat "$results"/*-rootling | grep -oE '^(ok|FAILED)' | sort | uniq -c
[[ ! -e $results/failed ]]
