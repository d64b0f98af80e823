#!/usr/bin/env bash
# Prints where cargo puts the release binary. CARGO_TARGET_DIR counts.
set -euo pipefail

cd "$(dirname "$0")/.."
host=$(rustc -vV | sed -n 's/^host: //p')
echo "${CARGO_TARGET_DIR:-$PWD/target}/${CARGO_BUILD_TARGET:-$host}/release/rootling"
