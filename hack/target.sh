#!/usr/bin/env bash
# Prints the target that the runtime's release program is built for: with musl on x86-64, where there is a Rust for that.
# glibc asks the processor some seventy times what it is before main (CPUID), and in a virtual machine the hypervisor answers
# each of these questions: docs/performance.md. CARGO_BUILD_TARGET decides, if it is set.
set -euo pipefail

host=$(rustc -vV | sed -n 's/^host: //p')
musl=x86_64-unknown-linux-musl
has_musl() { [[ -d $(rustc --print sysroot)/lib/rustlib/$musl/lib ]]; }
if [[ -z ${CARGO_BUILD_TARGET:-} && $host == x86_64-unknown-linux-gnu ]]; then
    if ! has_musl && command -v rustup >/dev/null; then
        timeout 120 rustup --quiet target add "$musl" >/dev/null 2>&1 || true
    fi
    ! has_musl || host=$musl
fi
echo "${CARGO_BUILD_TARGET:-$host}"
