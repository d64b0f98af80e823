#!/usr/bin/env bash
# To be sourced by the scripts in hack/vm. Defines paths, and how to communicate with a running VM.
#   ROOTLING_VM_DIR     images and running machines; $XDG_CACHE_HOME/rootling-vm when unset
#   ROOTLING_VM_NAME    the name of the machine, if several run side by side ("default")
#   ROOTLING_VM_ACCEL   kvm or tcg, determined if unset; container: without a machine of its own, see container.sh
#   ROOTLING_VM_ARCH    amd64 or arm64; the architecture of this machine if unset
#   ROOTLING_VM_KERNEL  the release of Debian whose kernel is used; the release of all other packages if unset
#   ROOTLING_VM_LSM     the security module: apparmor, selinux (whose policy permits everything) or selinux-enforcing;
#                       apparmor if unset
#   ROOTLING_VM_SMALL   1: with podman alone, and few tools; its packages are only unpacked, which takes a minute for any
#                       architecture
#   ROOTLING_VM_BOOT    1: the machine is booted at each start, and never saved

set -euo pipefail
vm_scripts=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
vm_dir=${ROOTLING_VM_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/rootling-vm}
vm_fail() { echo "vm: $*" >&2; exit 1; }
case $(uname -m) in
aarch64) vm_native=arm64 ;;
*) vm_native=amd64 ;;
esac
vm_arch=${ROOTLING_VM_ARCH:-$vm_native}
[[ $vm_arch == @(amd64|arm64) ]] || vm_fail "ROOTLING_VM_ARCH is $vm_arch, neither amd64 nor arm64"

# shellcheck disable=SC2034 # for the scripts that source this
vm_suite=trixie
vm_kernel=${ROOTLING_VM_KERNEL:-$vm_suite}
[[ $vm_kernel =~ ^[a-z]+(-backports)?$ ]] || vm_fail "ROOTLING_VM_KERNEL is $vm_kernel, which is no release of Debian, such as bookworm or sid"

vm_lsm=${ROOTLING_VM_LSM:-apparmor}
# The lists of packages.
vm_lists=(packages) vm_small=''
vm_sources=(build.sh customize.sh)
[[ ${ROOTLING_VM_SMALL:-} != 1 ]] || vm_lists=(packages-small) vm_small=-small vm_sources+=(extract.sh)
# Whether the policy of SELinux is enforced is decided at each start, by the same image.
case $vm_lsm in
apparmor) vm_variant='' ;;
selinux | selinux-enforcing) vm_lists+=(packages-selinux) vm_sources+=(selinux.sh) vm_variant=-selinux ;;
*) vm_fail "ROOTLING_VM_LSM is $vm_lsm, none of apparmor, selinux and selinux-enforcing" ;;
esac
vm_sources+=("${vm_lists[@]}")
[[ -z $vm_small || -z $vm_variant ]] || vm_fail "ROOTLING_VM_SMALL: there is no small machine with SELinux, whose files are labelled by its own programs"

# An image is named after what it is made from: a changed script makes another one.
vm_key=$(cd "$vm_scripts" && cat "${vm_sources[@]}" | sha256sum | cut -c 1-12)
vm_kind=$vm_dir/image-$vm_arch-$vm_kernel$vm_variant$vm_small
# shellcheck disable=SC2034 # for the scripts that source this
vm_image=$vm_kind-$vm_key
# One machine: its process, its monitor, its console, and the connections to it.
vm_run=$vm_dir/run/${ROOTLING_VM_NAME:-default}

# vm_mirrors: the package sources of this machine, one "CODENAME URI" per line.
# shellcheck disable=SC2016 # for apt-get to fill in
vm_mirrors() { apt-get indextargets --format '$(CODENAME) $(REPO_URI)' 'Created-By: Packages'; }

# Whether the recorded process is alive and belongs to the machine.
vm_running() { [[ -s $vm_run/pid ]] && grep -qs rootling-vm "/proc/$(<"$vm_run/pid")/cmdline"; }

# vm_qmp COMMAND [ARGUMENTS]: sends a command to QEMU's monitor and prints its answer as JSON.
vm_qmp() {
    local line arguments=${2:-'{}'}
    # Opened for reading and writing, since opening would otherwise wait for the other side forever.
    exec 8<>"$vm_run/monitor.in" 9<>"$vm_run/monitor.out"
    jq -nc --arg command "$1" --argjson arguments "$arguments" '{execute: $command, $arguments}' >&8
    for _ in {1..100}; do
        if ! IFS= read -r -t 1 line <&9; then
            vm_running || break
            continue
        fi
        # Besides answers there are a greeting and events.
        if jq -e 'has("return")' <<<"$line" >/dev/null; then
            jq -c .return <<<"$line"
            return
        elif jq -e 'has("error")' <<<"$line" >/dev/null; then
            echo "vm: QEMU refused $1: $(jq -r .error.desc <<<"$line")" >&2
            return 1
        fi
    done
    echo "vm: QEMU does not answer $1" >&2
    return 1
}

# vm_ssh USER COMMAND...: as with ssh, COMMAND is a line for the user's shell. The connection stays open for the next
# command, since a new one costs seconds without KVM.
vm_ssh() {
    local user=$1 way=(-p "$(cat "$vm_run/port" 2>/dev/null)")
    shift
    # shellcheck source=hack/vm/container.sh
    [[ ! -e $vm_run/container.log ]] || way=(-o "ProxyCommand=bash -c '. $(printf %q "$vm_scripts")/lib.sh; . $(printf %q "$vm_scripts")/container.sh; vm_rootling exec vm nc 127.0.0.1 22'")
    ssh -F none -i "$vm_run/key" "${way[@]}" -o BatchMode=yes -o ConnectTimeout=10 \
        -o ServerAliveInterval=30 -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR \
        -o ControlMaster=auto -o ControlPath="$vm_run/ssh-%r" -o ControlPersist=600 "$user@127.0.0.1" "$@"
}

# Closes the connections that stay open.
vm_hang_up() {
    local socket
    for socket in "$vm_run"/ssh-*; do
        [[ ! -S $socket ]] || ssh -F none -o ControlPath="$socket" -O exit vm 2>/dev/null || true
    done
}
