#!/usr/bin/env bash
# To be sourced after lib.sh: determines which QEMU to use for vm_arch, and whether KVM works with it.
# shellcheck disable=SC2154 # vm_dir, vm_image, vm_arch and vm_native are lib.sh's

# Emulation with several threads is reliable from 8.1 on: before, a processor could run code that another one was
# changing, which crashed Linux now and then.
vm_qemu_min=8.1

vm_qemu_version() { "$@" --version 2>/dev/null | sed -nE '1s/.*version ([0-9]+\.[0-9]+).*/\1/p'; }
vm_new_enough() { [[ -n $1 && $(printf '%s\n' "$vm_qemu_min" "$1" | sort -V | head -n 1) == "$vm_qemu_min" ]]; }

# Debian's packages, the program, the kind of machine with its console, and what it emulates best.
# The fewer instruction set extensions, the less there is to emulate: containers start in two thirds of the time that they
# take with `max`. Pointer authentication alone, which a Cortex-A72 has not, takes a third.
# shellcheck disable=SC2034
case $vm_arch in
amd64)
    vm_qemu_package=qemu-system-x86 vm_qemu_firmware=seabios
    vm_qemu_program=qemu-system-x86_64 vm_console=ttyS0 vm_cpu=Nehalem
    vm_machine=(-machine pc)
    ;;
arm64)
    vm_qemu_package=qemu-system-arm vm_qemu_firmware=''
    vm_qemu_program=qemu-system-aarch64 vm_console=ttyAMA0 vm_cpu=cortex-a72
    vm_machine=(-machine "virt,gic-version=3")
    ;;
esac

# Sets vm_qemu: the command with the options that it needs to find its firmware.
vm_find_qemu() {
    local own=$vm_dir/qemu-$vm_arch/usr
    vm_qemu=("$vm_qemu_program")
    if [[ -x $own/bin/$vm_qemu_program ]]; then
        vm_qemu=("$own/bin/$vm_qemu_program" -L "$own/share/qemu" -L "$own/share/seabios")
    fi
}

# Boots this kernel, which finds no root file system and stops the machine. Nothing less would be sufficient: there are
# hosts, themselves virtual machines, on which /dev/kvm can be opened but runs no guest, or runs one until it reaches an
# unsupported instruction.
vm_kvm_boots() {
    [[ -w /dev/kvm && $vm_arch == "$vm_native" ]] || return 1
    local console status=0
    console=$(mktemp)
    timeout -k 1 20 "${vm_qemu[@]}" "${vm_machine[@]}" -accel kvm -cpu host -nodefaults -no-user-config -no-reboot -display none -m 256 \
        -kernel "$1" -append "console=$vm_console panic=-1" -serial "file:$console" >/dev/null 2>&1 </dev/null || status=$?
    grep -q 'Kernel panic' "$console" || status=1
    rm -f "$console"
    ((status == 0))
}

# Sets vm_accel: kvm or tcg. The result is valid until this machine boots again.
vm_find_accel() {
    local boot known=''
    vm_accel=${ROOTLING_VM_ACCEL:-}
    [[ -z $vm_accel ]] || return 0
    # Another user may have had a different result.
    if [[ ! -w /dev/kvm || $vm_arch != "$vm_native" ]]; then
        vm_accel=tcg
        return
    fi
    boot=$(</proc/sys/kernel/random/boot_id)
    read -r known vm_accel 2>/dev/null <"$vm_image/accel" || true
    [[ $known != "$boot" ]] || return 0
    if vm_kvm_boots "$vm_image/kernel"; then vm_accel=kvm; else vm_accel=tcg; fi
    # The image may belong to another user.
    { echo "$boot $vm_accel" >"$vm_image/accel"; } 2>/dev/null || true
}

# Unpacks a newer QEMU next to the images, without installing it, if Debian's backports have one. It uses the libraries
# of the installed one.
vm_unpack_qemu() (
    local work=$vm_dir/qemu-$vm_arch.new mirror codename options
    codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
    mirror=$(vm_mirrors | awk -v name="$codename" '$1 == name { print $2; exit }')
    rm -rf "$work"
    mkdir -p "$work"/{lists/partial,cache/archives/partial,root}
    for suite in "$codename" "$codename-backports"; do
        echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $suite main"
    done >"$work/sources.list"
    options=(-qq -o "Dir::State::lists=$work/lists" -o "Dir::Cache=$work/cache" -o Dir::Etc::sourceparts=/dev/null
        -o "Dir::Etc::sourcelist=$work/sources.list" -o Dir::Etc::preferencesparts=/dev/null -o APT::Sandbox::User=root)
    apt-get "${options[@]}" update || exit
    cd "$work/cache" || exit
    apt-get "${options[@]}" -t "$codename-backports" download "$vm_qemu_package" qemu-system-common qemu-system-data ${vm_qemu_firmware:+"$vm_qemu_firmware"} || exit
    for package in *.deb; do dpkg-deb -x "$package" "$work/root" || exit; done
    vm_new_enough "$(vm_qemu_version "$work/root/usr/bin/$vm_qemu_program")" || exit
    rm -rf "$vm_dir/qemu-$vm_arch"
    mv "$work/root" "$vm_dir/qemu-$vm_arch"
    rm -rf "$work"
)
