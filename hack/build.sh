#!/usr/bin/env bash
# Builds the release programs, the runtime with its functions in the order of hack/order.txt: build.sh [OPTION of cargo]...
# This takes two runs of cargo: in a single one, the features of crates that the program for images needs would be built
# into the runtime as well. ROOTLING_STRIP=none leaves the runtime its symbols.
set -euo pipefail

cd "$(dirname "$0")/.."
target=$(hack/target.sh)
options=()
# Only the runtime uses this linker. Debug builds, tests, libraries and `cargo build --release` use cc. On other platforms
# rustc does not link with lld. The path is relative, since rustc is started here, and it becomes part of the names of the
# program's files, which must be the same wherever it is built.
[[ $target != x86_64-unknown-linux-@(gnu|musl) ]] || options+=(-C linker=hack/cc.sh)
# Passed to rustc directly, since the release profile must stay the same: with another one the crates have other hashes,
# with which LTO makes other functions of the same sources.
[[ -z ${ROOTLING_STRIP:-} ]] || options+=(-C "strip=$ROOTLING_STRIP")
runtime=(cargo rustc --release --locked -p rootling --bin rootling --target "$target" "$@" -- "${options[@]}")
if [[ $target == *-musl ]]; then
    # In a directory of its own: in that of the distribution is glibc, too.
    library=$(realpath -m "${CARGO_TARGET_DIR:-target}")/$target/libseccomp
    mkdir -p "$library"
    cp -p "${LIBSECCOMP_LIB_PATH:-/usr/lib/x86_64-linux-gnu}/libseccomp.a" "$library/"
    # Of the crates in it, only psm has something for a compiler of C: assembly, for which any of them does.
    CC_x86_64_unknown_linux_musl=${CC_x86_64_unknown_linux_musl:-cc} LIBSECCOMP_LIB_PATH=$library "${runtime[@]}"
else
    "${runtime[@]}"
fi
cargo build --release --locked "$@" -p rootling-image-command
# Beside the runtime, which looks for it there.
if [[ $target == *-musl ]]; then
    release=$(dirname "$(hack/binary.sh)")
    install -m 755 "${release%-musl/release}-gnu/release/rootling-image" "$release/"
fi
