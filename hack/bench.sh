#!/usr/bin/env bash
# Runs the benchmark against the release binary. ROOTLING_BIN names the binary,
# ROOTLING_BENCH_RUNS the number of runs of each work.
set -euo pipefail

cd "$(dirname "$0")/.."
ROOTLING_BIN=$(realpath "${ROOTLING_BIN:-$(hack/binary.sh)}")
export ROOTLING_BIN
# shellcheck source=hack/with-user.sh
. hack/with-user.sh
cargo bench --locked -p rootling-tests --bench peers
