#!/usr/bin/env bash
# Runs the benchmark on what `make build` installs: the file that the linker itself writes is scattered over the page
# cache, and executing it costs 10 % more. ROOTLING_BIN names another binary, ROOTLING_BENCH_RUNS the number of runs of
# each work, ROOTLING_BENCH_ONLY the works by the beginning of their names, and ROOTLING_BENCH_CHART the file for the
# chart of the ratios (target/bench.svg).
set -euo pipefail

cd "$(dirname "$0")/.."
ROOTLING_BIN=$(realpath "${ROOTLING_BIN:-${CARGO_TARGET_DIR:-target}/rootling}")
# The benchmark runs in another directory.
ROOTLING_BENCH_CHART=$(realpath -m "${ROOTLING_BENCH_CHART:-${CARGO_TARGET_DIR:-target}/bench.svg}")
export ROOTLING_BIN ROOTLING_BENCH_CHART
# shellcheck source=hack/with-user.sh
. hack/with-user.sh
cargo bench --locked -p rootling-tests --bench peers
