#!/usr/bin/env bash
# Checks the licences and sources of all crates that are built in and, with cargo-deny, their known vulnerabilities.
# deny.toml has the rules and the reason for each exception.
set -euo pipefail

cd "$(dirname "$0")/.."

if command -v cargo-deny >/dev/null; then
    if git ls-remote --exit-code https://github.com/RustSec/advisory-db HEAD >/dev/null 2>&1; then
        exec cargo deny --locked --config hack/deny.toml check
    fi
    echo 'skipped: advisories: https://github.com/RustSec/advisory-db is not to be reached'
    exec cargo deny --locked --config hack/deny.toml check licenses bans sources
fi
echo 'skipped: advisories: cargo-deny is not installed: cargo install --locked cargo-deny'

# The licence expressions as crates write them: somebody reviews a new one and adds it here and to deny.toml.
allowed='0BSD OR MIT OR Apache-2.0
Apache-2.0
Apache-2.0 / MIT
Apache-2.0 AND ISC
Apache-2.0 OR BSL-1.0
Apache-2.0 OR ISC OR MIT
Apache-2.0 OR MIT
Apache-2.0 WITH LLVM-exception
Apache-2.0 WITH LLVM-exception OR Apache-2.0 OR MIT
BSD-3-Clause
BSD-3-Clause AND BSD-2-Clause
ISC
MIT
MIT OR Apache-2.0
MIT OR Zlib OR Apache-2.0
MIT/Apache-2.0
(MIT OR Apache-2.0) AND Apache-2.0
(MIT OR Apache-2.0) AND Unicode-3.0
Unicode-3.0
Unlicense OR MIT
Unlicense/MIT
Zlib
Zlib OR Apache-2.0 OR MIT
pathrs: MPL-2.0 OR LGPL-3.0-or-later
rust-criu: null'

failed=0
for target in x86_64-unknown-linux-gnu x86_64-unknown-linux-musl aarch64-unknown-linux-gnu; do
    # The licence, and the source if that is not the registry; nothing for the crates of the workspace.
    found=$(cargo metadata --locked --format-version 1 --filter-platform "$target" | jq -r '
        [.resolve.nodes[].id] as $built | .packages[] | select(.id | IN($built[])) | select(.source != null)
        | if .source == "registry+https://github.com/rust-lang/crates.io-index" then empty
          else "error: \(.name) \(.version) is from \(.source)" end,
          "\(.license)\t\(.name): \(.license)"')
    while IFS=$'\t' read -r licence named; do
        if [[ $licence == error:* ]]; then
            echo "deny.sh: $licence" >&2
            failed=1
        elif ! grep -qxF -e "$licence" -e "$named" <<<"$allowed"; then
            echo "deny.sh: the licence of $named is not among those that are allowed" >&2
            failed=1
        fi
    done <<<"$found"
done
exit "$failed"
