#!/usr/bin/env bash
# The quick way: boots the disk of the test VM as a system container on this machine's kernel, by rootling itself, where
# emulation would take ten times as long. What needs controllers, security modules or another kernel needs the VM.
# Needs root. To be sourced after lib.sh; run as a program, it is the first process of the container's machine.
# All that it makes is in a mount and a pid namespace of its own, and ends with the process that is recorded.
# shellcheck disable=SC2154 # vm_dir, vm_image and vm_run are lib.sh's

# The cgroup of a machine, below the root of cgroup v2.
vm_cgroup() { echo "rootling-vm-$(basename "$1")"; }

# Cgroup v2 alone, as systemd wants it, also where this machine has version 1 beside it.
vm_only_cgroup2() {
    umount -R /sys/fs/cgroup
    mount -t cgroup2 cgroup2 /sys/fs/cgroup
}

# vm_rootling COMMAND...: as the machine's own mount namespace sees it.
vm_rootling() {
    local pid
    pid=$(<"$vm_run/pid")
    nsenter -t "$pid" --mount "--pid=/proc/$pid/ns/pid_for_children" -- "$vm_run/rootling" --root "$vm_run/state" "$@"
}

vm_start_container() {
    local binary=${ROOTLING_BIN:-$vm_scripts/../../target/rootling}
    ((EUID == 0)) || vm_fail 'a system container needs root: leave ROOTLING_VM_ACCEL unset for the virtual machine'
    [[ -x $binary ]] || vm_fail "no $binary, which boots the system container: run make build"
    [[ $vm_arch == "$vm_native" ]] || vm_fail "a system container of $vm_arch needs a machine of it"
    rm -rf "$vm_run"
    mkdir -p "$vm_run/root" "$vm_run/bundle"
    # The one that boots the system is not the one that is tested in it.
    cp "$binary" "$vm_run/rootling"
    cp "$vm_image/key" "$vm_run/key"
    cp --sparse=always "$vm_image/disk" "$vm_run/disk"
    setsid unshare --mount --pid --fork --kill-child --mount-proc \
        bash "$vm_scripts/container.sh" "$vm_run" "${ROOTLING_VM_LIFETIME:-3h}" rootling-vm </dev/null >"$vm_run/container.log" 2>&1 7>&- 8>&- 9>&- &
    echo $! >"$vm_run/pid"
    for _ in {1..600}; do
        [[ ! -e $vm_run/booted ]] || return 0
        # Not vm_running: the process may not yet be what it is about to execute.
        kill -0 "$(<"$vm_run/pid")" 2>/dev/null || break
        sleep 0.1
    done
    cat "$vm_run/container.log" >&2
    "$vm_scripts/stop.sh" >/dev/null
    vm_fail 'the system container does not start, see above'
}

# A cgroup can only be removed when its last process is gone.
vm_remove_cgroup() {
    [[ -e $vm_run/container.log ]] || return 0
    # shellcheck disable=SC2016 # for the shell in the namespace
    unshare --mount bash -c '. "$1"; vm_only_cgroup2; cd /sys/fs/cgroup
        for _ in {1..50}; do
            [[ -d $2 ]] || exit 0
            find "$2" -depth -type d -exec rmdir {} + 2>/dev/null || sleep 0.1
        done' bash "${BASH_SOURCE[0]}" "$(vm_cgroup "$vm_run")"
}

# The configuration: all that a system needs which manages services and starts containers itself.
vm_write_bundle() {
    "$vm_run/rootling" spec -b "$vm_run/bundle" --rootfs "$vm_run/root" --hostname vm --userns host --cgroupns private \
        --network private --cap-add ALL --security-opt apparmor=unconfined --security-opt seccomp=unconfined -e container=oci \
        --tmpfs /run:mode=755,exec --tmpfs /tmp:mode=1777,exec --device-cgroup-rule 'a *:* rwm' --device /dev/fuse \
        --device /dev/net/tun -- /sbin/init
    jq --arg cgroup "/$(vm_cgroup "$vm_run")/c" '
        .process.rlimits = [] | .process.noNewPrivileges = false |
        .linux.maskedPaths = [] | .linux.readonlyPaths = [] |
        .linux.rootfsPropagation = "rshared" | .linux.cgroupsPath = $cgroup |
        (.mounts[] | select(.destination | startswith("/sys")) | .options) -= ["ro"]' \
        "$vm_run/bundle/config.json" >"$vm_run/bundle/new"
    mv "$vm_run/bundle/new" "$vm_run/bundle/config.json"
}

vm_boot_container() {
    vm_only_cgroup2
    # Of its own, so that stop.sh finds what is to be removed.
    mkdir "/sys/fs/cgroup/$(vm_cgroup "$vm_run")"
    mount -o loop,noatime "$vm_run/disk" "$vm_run/root"
    vm_write_bundle
    "$vm_run/rootling" --root "$vm_run/state" run -d -b "$vm_run/bundle" vm
    # A network that leads nowhere, as the virtual machine's.
    "$vm_run/rootling" --root "$vm_run/state" exec vm sh -c 'ip link add eth0 type veth peer name outside && ip link set outside up'
    : >"$vm_run/booted"
    exec sleep "$1"
}

if [[ ${BASH_SOURCE[0]} == "$0" ]]; then
    set -euo pipefail
    vm_run=$1
    vm_boot_container "$2"
fi
