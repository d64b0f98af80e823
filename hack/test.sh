#!/usr/bin/env bash
# Runs the tests on the release binary: unit tests and real containers, and then the check that nothing is left behind.
# ROOTLING_BIN names the binary. Arguments select integration tests by file name; without any, all tests are run.
set -euo pipefail

cd "$(dirname "$0")/.."
ROOTLING_BIN=$(realpath "${ROOTLING_BIN:-$(hack/binary.sh)}")
export ROOTLING_BIN
# Everything that the tests make carries this marker; the last test looks for it.
export ROOTLING_TEST_RUN=rootling-it$$
ROOTLING_TEST_SKIPS=$(mktemp)
export ROOTLING_TEST_SKIPS

# shellcheck source=hack/with-user.sh
. hack/with-user.sh
on_exit rm -f "$ROOTLING_TEST_SKIPS"

# Of the workspace in each case: with one package alone, cargo would choose other features, and build all of it again.
select=(--workspace)
for file in "$@"; do select+=(--test "$file"); done
last=(--workspace --test zz_nothing_left)

status=0
first_failure() { # first_failure COMMAND...: run it, keep the exit code of the first that failed
    "$@" || { local code=$?; ((status)) || status=$code; }
}
if cargo nextest --version >/dev/null 2>&1; then
    # Half of the time a test waits for something, so there are two for each processor.
    nextest=(cargo nextest run --config-file hack/nextest.toml --no-fail-fast --locked --test-threads "$((2 * $(nproc)))")
    first_failure "${nextest[@]}" "${select[@]}" -E 'not binary(zz_nothing_left)'
    printf '\nIs anything left of all that?\n'
    first_failure "${nextest[@]}" --profile last "${last[@]}"
else
    # In the order of names, packages and files: zz_nothing_left is the last.
    first_failure cargo test --locked --no-fail-fast "${select[@]}"
    (($# == 0)) || first_failure cargo test --locked "${last[@]}"
fi

target=$(hack/target.sh)
# What is different with the C library of the release program.
if [[ $# == 0 && $target == *-musl ]]; then
    first_failure cargo test --quiet --locked --target "$target" -p rootling-sys
fi

if [[ -s $ROOTLING_TEST_SKIPS ]]; then
    echo
    echo "$(wc -l <"$ROOTLING_TEST_SKIPS") tests, or parts of one, were skipped:"
    cut -f1 "$ROOTLING_TEST_SKIPS" | sort | uniq -c | sort -rn
fi
exit "$status"
