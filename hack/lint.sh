#!/usr/bin/env bash
# Runs all checks that do not execute the code.
set -euo pipefail

cd "$(dirname "$0")/.."
step() { printf '\n== %s\n' "$1"; }

step 'cargo fmt'
cargo fmt --all --check
step 'cargo clippy'
cargo clippy --workspace --all-targets --locked -- -D warnings
step 'cargo doc'
RUSTDOCFLAGS='-D warnings' cargo doc --workspace --no-deps --locked --quiet
step 'licences, sources and advisories of crates'
hack/deny.sh
step 'source rules'
hack/check-source.sh
step 'shellcheck'
if command -v shellcheck >/dev/null; then
    shellcheck -x hack/*.sh hack/packages/PKGBUILD hack/ci/*.sh hack/vm/*.sh hack/deb/p* .ci/run
else
    echo 'skipped: shellcheck is not installed'
fi
