#!/usr/bin/env bash
# Makes each system call of the runtime fail once with each plausible error, as the ordinary user and, if started by
# root, as root as well: see docs/testing.md. ROOTLING_BIN names the runtime, which may be runc or crun. Arguments are
# passed to the program: fault.sh --sample 1000, fault.sh --command exec, fault.sh --only CASE.
set -euo pipefail

cd "$(dirname "$0")/.."
ROOTLING_BIN=$(realpath "${ROOTLING_BIN:-$(hack/binary.sh)}")
export ROOTLING_BIN
export ROOTLING_TEST_RUN=rootling-fault$$
# shellcheck source=hack/with-user.sh
. hack/with-user.sh
cargo build --locked -p rootling-tests --bins
"$(dirname "$(hack/binary.sh debug)")/fault" "$@"
