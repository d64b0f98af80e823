#!/usr/bin/env bash
# Installs what building and testing need, for the architecture ARCH if that is set (see cross.sh). Quick and silent if
# everything is installed already.
set -euo pipefail

# The first release whose `build.target` understands "host-tuple" (.cargo/config.toml).
rust_min=1.91

missing=()
need() { # need PACKAGE CHECK...: note the package when the check fails
    local package=$1
    shift
    "$@" >/dev/null 2>&1 || missing+=("$package")
}
has() { command -v "$1" || [[ -x /usr/sbin/$1 ]]; }
has_static_busybox() { has busybox && ! ldd "$(command -v busybox)"; }
has_static_libseccomp() { compgen -G '/usr/lib*/libseccomp.a' || compgen -G '/usr/lib/*/libseccomp.a'; }
has_libc_headers() { [[ -e /usr/include/stdlib.h ]]; }

need gcc has gcc
need binutils has nm
need libc6-dev has_libc_headers
need make has make
need pkg-config has pkg-config
need libseccomp-dev has_static_libseccomp
need uidmap has newuidmap
need busybox-static has_static_busybox
need jq has jq
need strace has strace
need util-linux has setpriv
need passwd has useradd
need attr has getfattr
need libcap2-bin has getcap
need shellcheck has shellcheck
need slirp4netns has slirp4netns
if [[ -n ${ARCH:-} ]]; then
    case $ARCH in
    arm64) gnu=aarch64-linux-gnu compiler=gcc-aarch64-linux-gnu emulator=qemu-aarch64 ;;
    amd64) gnu=x86_64-linux-gnu compiler=gcc-x86-64-linux-gnu emulator=qemu-x86_64 ;;
    *)
        echo "deps: ARCH=$ARCH: is none of amd64, arm64" >&2
        exit 1
        ;;
    esac
    has_libc() { [[ -e /usr/$gnu/lib/libc.a ]]; }
    has_emulator() { has "$emulator-static" || has "$emulator"; }
    need "$compiler" has "$gnu-gcc"
    need "libc6-dev-$ARCH-cross" has_libc
    need qemu-user-static has_emulator
fi

if ((${#missing[@]})); then
    install="apt-get install -y --no-install-recommends ${missing[*]}"
    if ((EUID == 0)); then
        sudo=()
    elif sudo -n true 2>/dev/null; then
        sudo=(sudo -n)
    else
        echo "deps: missing: ${missing[*]}; run: sudo $install" >&2
        exit 1
    fi
    if ! has apt-get >/dev/null; then
        echo "deps: this machine has no apt-get; install by hand what Debian calls: ${missing[*]}" >&2
        exit 1
    fi
    echo "deps: installing ${missing[*]}"
    # The package list of a fresh machine is empty or old: update it before installing.
    "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive sh -c "apt-get -qq update && $install -qq" >/dev/null
fi

# The compilers that distributions package are older than what the sources need.
rustup="curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- -y --profile default"
if ! has cargo >/dev/null; then
    has curl >/dev/null || { ((EUID)) || apt-get install -y -qq curl ca-certificates >/dev/null; }
    echo "deps: installing Rust for $(id -un) with rustup"
    if ! sh -c "$rustup" >/dev/null; then
        echo "deps: no Rust toolchain, and rustup could not be had; when the network is up, run: $rustup" >&2
        exit 1
    fi
    PATH=$PATH:$HOME/.cargo/bin
fi
found=$(cargo --version | sed -E 's/^cargo ([0-9]+\.[0-9]+).*/\1/')
if [[ $(printf '%s\n' "$rust_min" "$found" | sort -V | head -n1) != "$rust_min" ]]; then
    echo "deps: Rust $found is too old, $rust_min is needed; update with: rustup update stable, or $rustup" >&2
    exit 1
fi
