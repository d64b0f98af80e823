#!/usr/bin/env bash
# Builds the release programs: build.sh [OPTION...], each of which is one of cargo's.
# By two calls of cargo: in one, what the program for images needs of a crate would be built into the runtime as well.
set -euo pipefail

cd "$(dirname "$0")/.."
cargo build --release --locked "$@" -p rootling
cargo build --release --locked "$@" -p rootling-image-command
