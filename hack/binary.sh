#!/usr/bin/env bash
# Prints the path of cargo's release binary, or that of another profile: binary.sh [PROFILE]. CARGO_TARGET_DIR is
# respected. The program for images is in the same directory, with -image appended to its name.
set -euo pipefail

cd "$(dirname "$0")/.."
host=$(rustc -vV | sed -n 's/^host: //p')
echo "${CARGO_TARGET_DIR:-$PWD/target}/${CARGO_BUILD_TARGET:-$host}/${1:-release}/rootling"
