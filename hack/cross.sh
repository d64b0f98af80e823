#!/usr/bin/env bash
# Prepares to build for another architecture, named as dpkg --print-architecture does. `cross.sh ARCH` prints the
# environment for that, as commands for the shell to eval: nothing for the architecture of this machine.
# `cross.sh ARCH COMMAND...` runs the command in it.
# The compiler is rustup's, where it has the target or can get it, and else one of Debian's that is unpacked below the
# target directory: a package of it would replace the compiler of this machine.
set -euo pipefail

cd "$(dirname "$0")/.."
fail() { echo "cross: $*" >&2; exit 1; }

arch=${1:-}
(($# == 0)) || shift
host=$(rustc -vV | sed -n 's/^host: //p')
case $arch in
amd64) gnu=x86_64-linux-gnu ;;
arm64) gnu=aarch64-linux-gnu ;;
*) fail "ARCH=$arch: is none of amd64, arm64" ;;
esac
triple=${gnu/-linux/-unknown-linux}
if [[ $triple == "$host" ]]; then
    (($# == 0)) || exec "$@"
    exit 0
fi

target=$(realpath -m "${CARGO_TARGET_DIR:-target}")/$arch
tools=$target/tools
declare -A set=()

# fetch DIR PACKAGE...: unpacks packages of this machine's sources, of any architecture, without installing them.
fetch() {
    local dir=$1 work=$tools/apt options
    shift
    [[ ! -e $dir ]] || return 0
    command -v apt-get >/dev/null || return 1
    echo "cross: unpacking $* into $dir" >&2
    rm -rf "$work" "$dir.new"
    mkdir -p "$work"/{lists/partial,cache/archives/partial} "$dir.new"
    options=(-qq -o "Dir::State::lists=$work/lists" -o "Dir::Cache=$work/cache" -o APT::Sandbox::User=root
        -o "APT::Architectures::=$(dpkg --print-architecture)" -o "APT::Architectures::=$arch")
    (
        apt-get "${options[@]}" update && cd "$work/cache" && apt-get "${options[@]}" download "$@" || exit
        for package in *.deb; do dpkg-deb -x "$package" "$dir.new" || exit; done
    ) >&2 || return 1
    rm -rf "$work"
    mv "$dir.new" "$dir"
}

has_target() { [[ -d $(rustc --print sysroot)/lib/rustlib/$triple/lib ]]; }
if ! has_target && command -v rustup >/dev/null; then
    timeout 120 rustup --quiet target add "$triple" >/dev/null 2>&1 || true
fi
if ! has_target; then
    first() { sed -nE "s/$1/\1/p" | head -n 1; } # first PATTERN: what its group matches first
    rust=$tools/rust
    library=libstd-rust-web-$(apt-cache show rustc-web 2>/dev/null | first '^Version: ([0-9]+\.[0-9]+).*')
    llvm=$(apt-cache depends "$library" 2>/dev/null | first '.*Depends: (libllvm[0-9]+)$')
    # Of those of LLVM, what not every machine has.
    llvm_libraries=(libedit2 libxml2 libz3-4)
    { [[ -n $llvm ]] && fetch "$rust" rustc-web "$library" "libstd-rust-web-dev" "libstd-rust-web-dev:$arch" "$llvm" "${llvm_libraries[@]}"; } ||
        fail "there is no Rust for $triple: neither rustup nor the package rustc-web has it; once the network is up, run: rustup target add $triple"
    printf '#!/bin/sh\nLD_LIBRARY_PATH=%q exec %q "$@"\n' "$rust/usr/lib/${host/-unknown/}" "$rust/usr/bin/rustc" >"$rust/rustc"
    chmod +x "$rust/rustc"
    set[RUSTC]=$rust/rustc
fi

libraries=/usr/lib/$gnu
if [[ ! -e $libraries/libseccomp.a ]]; then
    fetch "$tools/libseccomp" "libseccomp-dev:$arch" ||
        fail "there is no libseccomp.a for $arch: install libseccomp-dev:$arch, after dpkg --add-architecture $arch and apt-get update"
    libraries=$tools/libseccomp$libraries
fi

name=${triple^^}
set[CARGO_BUILD_TARGET]=$triple
set[CARGO_TARGET_DIR]=$target
set[CARGO_TARGET_${name//-/_}_LINKER]=$gnu-gcc
set[LIBSECCOMP_LIB_PATH]=$libraries
# Where programs for this machine are, and what runs those for the other one, as for their manual pages.
set[ROOTLING_TOOLS]=$(dirname "$target")/tools
set[ROOTLING_RUNNER]=$(command -v "qemu-${triple%%-*}-static" || command -v "qemu-${triple%%-*}" || true)
for variable in "${!set[@]}"; do
    if (($#)); then
        export "$variable=${set[$variable]}"
    else
        printf 'export %s=%q\n' "$variable" "${set[$variable]}"
    fi
done
(($# == 0)) || exec "$@"
