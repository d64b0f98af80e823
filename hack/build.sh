#!/usr/bin/env bash
# Builds the release program, with its functions in the order of hack/order.txt: build.sh [OPTION of cargo]...
# The linker is that of the program alone. Debug builds, tests, libraries and `cargo build --release` have cc.
set -euo pipefail

cd "$(dirname "$0")/.."
linker=()
# Elsewhere rustc does not link with lld.
[[ $(rustc -vV | sed -n 's/^host: //p') != x86_64-unknown-linux-gnu ]] || linker=(-- -C "linker=$PWD/hack/cc.sh")
exec cargo rustc --release --locked -p rootling --bin rootling "$@" "${linker[@]}"
