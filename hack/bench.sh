#!/usr/bin/env bash
# Runs the benchmark against what `make build` installs: the linker's own file lies in the page cache
# in pieces, and costs 10 % more to execute. ROOTLING_BIN names another binary, ROOTLING_BENCH_RUNS the
# number of runs of each work, ROOTLING_BENCH_ONLY the works by the start of their names, ROOTLING_BENCH_CHART
# the file for the chart of the ratios (target/bench.svg).
set -euo pipefail

cd "$(dirname "$0")/.."
ROOTLING_BIN=$(realpath "${ROOTLING_BIN:-${CARGO_TARGET_DIR:-target}/rootling}")
# The benchmark runs in another directory.
ROOTLING_BENCH_CHART=$(realpath -m "${ROOTLING_BENCH_CHART:-${CARGO_TARGET_DIR:-target}/bench.svg}")
export ROOTLING_BIN ROOTLING_BENCH_CHART
# shellcheck source=hack/with-user.sh
. hack/with-user.sh
cargo bench --locked -p rootling-tests --bench peers
