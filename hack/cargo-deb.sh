#!/usr/bin/env bash
# Prints the path of cargo-deb in this version, which is built into the target directory if it is not there yet.
set -euo pipefail

version=3.8.0

cd "$(dirname "$0")/.."
tools=$(realpath -m "${CARGO_TARGET_DIR:-target}/tools")
program=$tools/bin/cargo-deb
if [[ $("$program" --version 2>/dev/null) != *"$version"* ]]; then
    echo "cargo-deb.sh: building cargo-deb $version into $tools" >&2
    # In another directory, since .cargo/config.toml is for the program; the build files are not needed again.
    (cd / && env -u CARGO_TARGET_DIR cargo install --quiet --locked --root "$tools" --version "=$version" cargo-deb) >&2
fi
echo "$program"
