#!/usr/bin/env bash
# Builds the release programs, the runtime with its functions in the order of hack/order.txt: build.sh [OPTION of cargo]...
# This takes two runs of cargo: in a single one, the features of crates that the program for images needs would be built
# into the runtime as well.
set -euo pipefail

cd "$(dirname "$0")/.."
# Only the runtime uses this linker. Debug builds, tests, libraries and `cargo build --release` use cc.
linker=()
# On other platforms rustc does not link with lld. The path is relative, since rustc is started here, and it becomes
# part of the names of the program's files, which must be the same wherever it is built.
[[ ${CARGO_BUILD_TARGET:-$(rustc -vV | sed -n 's/^host: //p')} != x86_64-unknown-linux-gnu ]] || linker=(-- -C linker=hack/cc.sh)
cargo rustc --release --locked -p rootling --bin rootling "$@" "${linker[@]}"
cargo build --release --locked "$@" -p rootling-image-command
