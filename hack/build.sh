#!/usr/bin/env bash
# Builds the release programs, the runtime with its functions in the order of hack/order.txt: build.sh [OPTION of cargo]...
# By two calls of cargo: in one, what the program for images needs of a crate would be built into the runtime as well.
set -euo pipefail

cd "$(dirname "$0")/.."
# The linker is that of the runtime alone. Debug builds, tests, libraries and `cargo build --release` have cc.
linker=()
# Elsewhere rustc does not link with lld. The path is relative, as rustc is started here: it is part of what names the
# program's files, which are to be the same wherever it is built.
[[ $(rustc -vV | sed -n 's/^host: //p') != x86_64-unknown-linux-gnu ]] || linker=(-- -C linker=hack/cc.sh)
cargo rustc --release --locked -p rootling --bin rootling "$@" "${linker[@]}"
cargo build --release --locked "$@" -p rootling-image-command
