#!/usr/bin/env bash
# To be sourced by the scripts of hack/engines: scenarios and their results.
#   ROOTLING_ENGINES_ONLY   a pattern, `exec*`: groups of scenarios whose name matches
#   ROOTLING_ENGINES_BUT    a pattern, `@(nested|many)`: groups that are left out
#   ROOTLING_ENGINES_STEP   seconds for one command (240)
#   ROOTLING_ENGINES_TIME   seconds for all of them (3600): what does not fit is a failure

set -uo pipefail
# shellcheck disable=SC2034 # for the scripts that source this
engines=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
passed=0 failed=0 output=''

fail() { echo "engines: $*" >&2; exit 2; }

# check NAME PATTERN COMMAND: a command line for bash, in the background of no terminal. It is well
# when PATTERN, an extended regular expression, matches a line of what it prints or of its exit
# code, `status=0`.
check() {
    try "$3"
    also "$1" "$2"
}

# soon NAME PATTERN COMMAND: as check, for what comes about by itself a moment later: the command, which has to change
# nothing, is repeated until it is well, for a minute at most.
soon() {
    local end=$((SECONDS + 60))
    try "$3"
    until matches "$2" || ((SECONDS >= end)); do
        sleep 0.5
        try "$3"
    done
    also "$1" "$2"
}

# try COMMAND: what it prints and its exit code are in $output.
try() {
    local status=0 limit=${ROOTLING_ENGINES_STEP:-240} left
    left=$((${ROOTLING_ENGINES_TIME:-3600} - SECONDS))
    if ((left > 0)); then
        output=$(timeout -k 5 "$((left < limit ? left : limit))" bash -c "$1" </dev/null 2>&1) || status=$?
    else
        output='no time is left' status=124
    fi
    output+=$'\n'status=$status
}

# A terminal's lines end otherwise.
matches() { grep -qE -- "$1" <<<"${output//$'\r'/}"; }

# also NAME PATTERN: looks at what the last command printed once more.
also() {
    local name="$group: $1" pattern=$2 result=ok
    if matches "$pattern"; then
        ((passed += 1))
    else
        result=FAILED
        ((failed += 1))
    fi
    printf '%-6s %s\n' "$result" "$name"
    [[ $result == ok ]] || printf '%s\n' "expected: $pattern" "$output" | tail -n 25 | sed 's/^/       | /'
}

# scenarios GROUP...: runs the functions of these names. The first, `image`, is there for all others.
# A line after each says how far that is.
scenarios() {
    local before_passed before_failed begin
    for group; do
        declare -F "$group" >/dev/null || fail "there are no scenarios called $group"
        # shellcheck disable=SC2053 # patterns
        [[ $group == image || ($group == ${ROOTLING_ENGINES_ONLY:-*} && $group != ${ROOTLING_ENGINES_BUT:-}) ]] || continue
        before_passed=$passed before_failed=$failed begin=$SECONDS
        "$group"
        printf -- '-- %s: %d passed, %d failed, %d s\n' "$group" $((passed - before_passed)) $((failed - before_failed)) $((SECONDS - begin))
    done
}

# The last line; the exit code says whether all was well.
summary() {
    printf '%s: %d passed, %d failed, %d s\n' "$1" "$passed" "$failed" "$SECONDS"
    ((failed == 0 && passed > 0))
}
