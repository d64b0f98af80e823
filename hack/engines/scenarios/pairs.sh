#!/usr/bin/env bash
# How long `run --rm` of `true` takes with the runtime and with another, in turns. Beside the variables of run.sh:
#   OTHER                   the other runtime's path
#   RUN_WITH                ours and theirs: the options of `run` that name the two runtimes
#   ROOTLING_ENGINES_PAIRS  how many of each (20)

# once OPTION...: microseconds.
once() {
    local before=$EPOCHREALTIME
    "$ENGINE" run "$@" --rm --net none box true || return
    echo $((${EPOCHREALTIME/./} - ${before/./}))
}

median() { sort -n | awk '{ all[NR] = $1 } END { print int((all[int((NR + 1) / 2)] + all[int(NR / 2) + 1]) / 2) }'; }

pairs() {
    local i count=${ROOTLING_ENGINES_PAIRS:-20} ours='' theirs='' one two
    # The first of each warms up. Who is first changes.
    for ((i = 0; i <= count; i++)); do
        if ((i % 2)); then
            one=$(once "${RUN_WITH[0]}") two=$(once "${RUN_WITH[1]}")
        else
            two=$(once "${RUN_WITH[1]}") one=$(once "${RUN_WITH[0]}")
        fi
        ((i == 0)) || ours+=$one$'\n' theirs+=$two$'\n'
    done
    ours=$(printf %s "$ours" | median) theirs=$(printf %s "$theirs" | median)
    check "$count of each" "^[0-9.]+ times\$" "awk 'BEGIN { printf \"%.2f times\n\", $ours / $theirs }'"
    # shellcheck disable=SC2154 # lib.sh's
    printf '%s run --rm, median of %d: %d ms with %s, %d ms with %s: %s\n' "$ENGINE" "$count" \
        $((ours / 1000)) "${RUNTIME##*/}" $((theirs / 1000)) "${OTHER##*/}" "${output%%$'\n'*}"
}
