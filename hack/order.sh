#!/usr/bin/env bash
# Rewrites hack/order.txt: builds the program with its symbols, in a separate target directory, and traces which
# functions the commands execute. Run it as root: tracing must continue across changes of ids.
set -euo pipefail

cd "$(dirname "$0")/.."
if ((EUID != 0)); then
    echo 'order.sh: only root can trace a program through its changes of ids: run it as root' >&2
    exit 1
fi
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/target}/order
ROOTLING_STRIP=none hack/build.sh
ROOTLING_BIN=$(realpath "$(hack/binary.sh)")
export ROOTLING_BIN
# shellcheck source=hack/with-user.sh
. hack/with-user.sh
found=$(mktemp)
on_exit rm -f "$found"
cargo bench --locked -p rootling-tests --bench order >"$found"
{
    echo '# The functions that the commands execute, in this order: from make order, for hack/cc.sh.'
    sed -Ef hack/symbols.sed "$found" | awk '!seen[$0]++'
} >hack/order.txt
echo "hack/order.txt: $(grep -vc '^#' hack/order.txt) functions"
