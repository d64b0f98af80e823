#!/usr/bin/env bash
# Prints where cargo puts the release binary, or that of another profile: binary.sh [PROFILE]. CARGO_TARGET_DIR counts.
# The program for images lies beside it, with -image behind its name.
set -euo pipefail

cd "$(dirname "$0")/.."
host=$(rustc -vV | sed -n 's/^host: //p')
echo "${CARGO_TARGET_DIR:-$PWD/target}/${CARGO_BUILD_TARGET:-$host}/${1:-release}/rootling"
