#!/usr/bin/env bash
# Runs test programs inside the VM, as whoever calls it: suite.sh [OPTION]... DIR RESULTS
#   DIR               has rootling, hack, docs/cli, docs/embedding.md, the tests in tests/ and their probe
#   RESULTS           gets a log a program, and `summary`: program, passed, failed, skipped
#   --only PATTERNS   programs whose name matches one of them, such as 'exec* run'
#   --without STRING  no tests with STRING in their name
#   --seconds N       for all of it (3600); what does not fit is reported as cut, and is a failure
#   --leaf            moves into a cgroup below its own first: in a cgroup that is delegated to us
#                     there may be no process where containers' cgroups are to get controllers
set -euo pipefail

only=('*') without=() seconds=3600 leaf=false
while [[ ${1:-} == --* ]]; do
    case $1 in
    --only) read -ra only <<<"${2//$'\n'/ }"; shift ;;
    --without) without=(--skip "$2"); shift ;;
    --seconds) seconds=$2; shift ;;
    --leaf) leaf=true ;;
    *) echo "suite.sh: unknown option $1" >&2; exit 2 ;;
    esac
    shift
done
dir=${1:?usage: suite.sh [OPTION]... DIR RESULTS} results=${2:?usage: suite.sh [OPTION]... DIR RESULTS}
# One program must not use up the time of all others.
limit=600
end=$((SECONDS + seconds))

if $leaf; then
    own=/sys/fs/cgroup$(sed -n 's/^0:://p' /proc/self/cgroup)
    mkdir "$own/suite"
    echo $$ >"$own/suite/cgroup.procs"
fi

mkdir -p "$results"
export ROOTLING_BIN=$dir/rootling ROOTLING_SOURCE=$dir
# Counts that an emulated processor gets through.
export ROOTLING_STRESS=${ROOTLING_STRESS:-50:64}
# On the disk, whose I/O can be throttled, and with devices, which /tmp refuses.
export TMPDIR=/var/tmp
export ROOTLING_TEST_RUN=rootling-vm$$ ROOTLING_TEST_SKIPS=$results/skips
: >"$ROOTLING_TEST_SKIPS"
: >"$results/summary"

count() { grep -cE "$1" "$2" || true; }
names() { cut -f 2 "$ROOTLING_TEST_SKIPS" | sort -u | wc -l; }

run() { # run PROGRAM: its tests to the end of it or of the time
    local name=${1##*/} log=$results/${1##*/}.log start=$SECONDS left=$((end - SECONDS)) skipped status=0
    local note=''
    skipped=$(names)
    if ((left > 0)); then
        timeout -k 10 "$((left < limit ? left : limit))" "$1" "${without[@]}" >"$log" 2>&1 </dev/null || status=$?
    else
        status=124
        : >"$log"
    fi
    skipped=$(($(names) - skipped))
    local passed failed
    passed=$(($(count '^test .* \.\.\. ok$' "$log") - skipped))
    failed=$(count '^test .* \.\.\. FAILED$' "$log")
    if ((status == 124 || status == 137)); then
        note=', cut by its time'
        ((failed += 1))
    elif ((status != 0 && failed == 0)); then
        note=", ended with $status"
        failed=1
    fi
    printf '%s\t%s\t%s\t%s\n' "$name" "$passed" "$failed" "$skipped" >>"$results/summary"
    printf '  %-18s %3d passed, %d failed, %d skipped, %d s%s\n' \
        "$name" "$passed" "$failed" "$skipped" "$((SECONDS - start))" "$note"
    ((failed == 0)) || sed -n '/^failures:$/,$p' "$log" | head -n 200 | sed 's/^/    /'
}

shopt -s nullglob
selected() { # selected NAME
    local pattern
    [[ $1 != zz_nothing_left ]] || return 1
    # shellcheck disable=SC2053 # it is a pattern
    for pattern in "${only[@]}"; do [[ $1 != $pattern ]] || return 0; done
    return 1
}

for program in "$dir"/tests/*; do
    ! selected "${program##*/}" || run "$program"
done
# The last one, in any case.
run "$dir/tests/zz_nothing_left"

if [[ -s $ROOTLING_TEST_SKIPS ]]; then
    cut -f 1 "$ROOTLING_TEST_SKIPS" | sort | uniq -c | sort -rn | sed 's/^/  skipped:/'
fi
# Nothing run is no success.
awk -F '\t' '{ passed += $2; failed += $3 } END { exit failed || !passed }' "$results/summary"
