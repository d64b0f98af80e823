#!/usr/bin/env bash
# Runs the scenarios of the engines in the VM: test.sh [--compare] [RUN...]
# The runs, all where none is named, are listed below. --compare runs each with crun too and says where the two
# differ; only what fails with rootling is a failure then. ROOTLING_ENGINES_RUNS='deb podman' is another list for where
# none is named, ROOTLING_ENGINES_ONLY='exec*' and ROOTLING_ENGINES_BUT='@(nested|many)' select groups of scenarios,
# ROOTLING_ENGINES_MANY (50) says how many containers are to run at a time, ROOTLING_ENGINES_MINUTES (90, and twice
# that to compare) bounds all of it but the building of image, package and program.
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
run podman-cgroupfs rootling 'podman.sh RUNTIME cgroupfs run networks limits lifecycle execs own pods kube units build'
run podman-root root 'podman.sh RUNTIME systemd run networks limits lifecycle execs own build'
run docker root 'docker.sh RUNTIME'
run docker-rootless rootling 'docker.sh RUNTIME'
run containerd root 'containerd.sh RUNTIME'
run containerd-rootless rootling 'containerd.sh RUNTIME'
# Of the package, on a machine that has nothing of rootling else: its program is the only one in the PATH.
run deb root 'deb.sh PACKAGE'
names=(deb podman podman-cgroupfs podman-root docker docker-rootless containerd containerd-rootless)

runtimes=(/opt/rootling/bin/rootling) minutes=${ROOTLING_ENGINES_MINUTES:-90}
if [[ ${1:-} == --compare ]]; then
    runtimes+=(/usr/bin/crun)
    ((minutes *= 2))
    export ROOTLING_VM_LIFETIME=$((minutes + 10))m
    shift
fi
runs=("$@")
(($#)) || read -ra runs <<<"${ROOTLING_ENGINES_RUNS:-${names[*]}}"
for run in "${runs[@]}"; do
    [[ -n ${users[$run]:-} ]] || vm_fail "no run is called $run; there are ${names[*]}"
done
selected=()
for name in ROOTLING_ENGINES_{ONLY,BUT,MANY}; do [[ -z ${!name:-} ]] || selected+=("$name=$(printf %q "${!name}")"); done
results=${CARGO_TARGET_DIR:-$PWD/target}/engines
binary=$(realpath "${ROOTLING_BIN:-$(hack/binary.sh)}")

step hack/vm/build.sh
install -D -m 0755 "$binary" "$stage/bin/rootling"
install -D -m 0755 "$binary-image" "$stage/bin/rootling-image"
cp -r hack/engines "$stage/engines"
if [[ " ${runs[*]} " == *' deb '* ]]; then
    echo 'engines: making the package'
    # Where its tool is not there yet it is built first.
    step timeout -k 10 20m env BINARY="$binary" hack/deb.sh >"$stage/made"
    install -m 0644 "$(head -n 1 "$stage/made")" "$stage/rootling.deb"
    rm "$stage/made"
fi
rm -rf "$results"
mkdir -p "$results"

# one RUN RUNTIME: its scenarios, to the end of them or of the time. Its log is in the results; how far it is and
# what fails is printed.
one() {
    local run=$1 log=$results/$1-${2##*/} left=$((end - SECONDS)) script=${scripts[$1]/RUNTIME/$2}
    if ((left > 0)); then
        timeout -k 10 "$((left + 60))" hack/vm/run.sh "${users[$run]}" \
            "ROOTLING_ENGINES_TIME=$left ${selected[*]} ROOTLING_ENGINES_INNER=${runtimes[0]}" \
            "/opt/rootling/engines/${script/PACKAGE//opt/rootling/rootling.deb}" \
            2>&1 </dev/null || echo "$run" >>"$results/failed-${2##*/}"
    else
        echo "FAILED $run: no time is left to run it"
        echo "$run" >>"$results/failed-${2##*/}"
    fi | tee "$log" | sed -u "/^ok /d; s/^/$run: /"
}

# lane USER: the runs of this user. A package has no other runtime.
lane() {
    local run runtime
    for runtime in "${runtimes[@]}"; do
        for run in "${runs[@]}"; do
            [[ ${users[$run]} != "$1" || ($run == deb && ${runtime##*/} != rootling) ]] || one "$run" "$runtime"
        done
    done
}

both_lanes() {
    lane root &
    lane rootling
    wait
}

step hack/vm/start.sh
step timeout 120 hack/vm/put.sh root /opt/rootling "$stage"/*
start=$SECONDS end=$((SECONDS + minutes * 60))
step both_lanes

for run in "${runs[@]}"; do
    [[ ${#runtimes[@]} != 1 && $run != deb ]] || continue
    printf '\n== %s: where rootling (-) and crun (+) differ\n' "$run"
    # diff's status is that of their difference.
    differences=$(diff -U 0 <(grep -E '^(ok|FAILED)' "$results/$run-rootling") <(grep -E '^(ok|FAILED)' "$results/$run-crun") |
        grep -E '^[-+](ok|FAILED)' || true)
    echo "${differences:-nowhere}"
done
printf '\nTime in the VM: %d s. Logs: %s\n' "$((SECONDS - start))" "$results"
cat "$results"/*-rootling | grep -E ' passed, [0-9]+ failed, [0-9]+ s$' | grep -v '^--' || true
cat "$results"/*-rootling | grep -oE '^(ok|FAILED)' | sort | uniq -c
# What has failed once more, at the end, where it is looked for.
grep -H -A 26 '^FAILED' "$results"/*-rootling | grep -E -- '-rootling(:FAILED|- +\|)' | sed "s|^$results/||" || true
[[ ! -e $results/failed-rootling ]]
