#!/usr/bin/env bash
# Prints where a program of a crate is, built into the target directory where it is not there yet: cargo-tool.sh CRATE.
set -euo pipefail

cd "$(dirname "$0")/.."
crate=${1:-}
case $crate in
cargo-deb) version=3.8.0 ;;
cargo-generate-rpm) version=0.21.1 ;;
cargo-cyclonedx) version=0.5.9 ;;
*) echo "cargo-tool.sh: CRATE is none of cargo-deb, cargo-generate-rpm, cargo-cyclonedx" >&2; exit 1 ;;
esac

tools=$(realpath -m "${ROOTLING_TOOLS:-${CARGO_TARGET_DIR:-target}/tools}")
program=$tools/bin/$crate
if ! grep -qsF "\"$crate $version " "$tools/.crates.toml" || [[ ! -x $program ]]; then
    echo "cargo-tool.sh: building $crate $version into $tools" >&2
    # Built quickly rather than well: each of them runs for a second.
    export CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 CARGO_PROFILE_RELEASE_OPT_LEVEL=1
    # Elsewhere, since .cargo/config.toml is for the program; what it is built from is not needed again.
    (cd / && env -u CARGO_TARGET_DIR -u CARGO_BUILD_TARGET -u RUSTC cargo install --quiet --locked --root "$tools" --version "=$version" "$crate") >&2
fi
echo "$program"
