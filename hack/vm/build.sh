#!/usr/bin/env bash
# Builds the image of the test VM: Debian with systemd, cgroup v2, an ordinary user, engines.
# Quick and silent when it is there. Needs root. ROOTLING_VM_DIR says where it goes (see lib.sh).
# shellcheck source=hack/vm/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=hack/vm/qemu.sh
. "$vm_scripts/qemu.sh"

suite=$vm_suite
disk_size=16G

[[ ! -e $vm_image/complete ]] || exit 0
((EUID == 0)) || vm_fail "no image in $vm_image yet; run: sudo ROOTLING_VM_DIR=$(printf %q "$vm_dir") $vm_scripts/build.sh"
command -v apt-get >/dev/null || vm_fail 'the image is built with mmdebstrap and apt-get, which this machine has not'

packages=(mmdebstrap debian-archive-keyring "$vm_qemu_package" openssh-client zstd e2fsprogs jq)
# The programs of its packages are run while it is built.
if [[ -n $vm_small ]]; then
    packages+=(kmod cpio xz-utils)
elif [[ $vm_arch != "$vm_native" ]]; then
    packages+=(qemu-user-static arch-test)
fi
missing=()
for package in "${packages[@]}"; do dpkg -s "$package" >/dev/null 2>&1 || missing+=("$package"); done
if ((${#missing[@]})); then
    echo "vm: installing ${missing[*]}"
    export DEBIAN_FRONTEND=noninteractive
    apt-get -qq update
    apt-get -qq install -y --no-install-recommends "${missing[@]}" >/dev/null
fi

# Has the kernel run the programs of another architecture by QEMU: systemd-binfmt.service does it, where there is a systemd.
vm_register() {
    local name misc=/proc/sys/fs/binfmt_misc
    case $vm_arch in
    arm64) name=qemu-aarch64 ;;
    amd64) name=qemu-x86_64 ;;
    esac
    [[ -e $misc/register ]] || mount -t binfmt_misc binfmt_misc "$misc"
    if [[ ! -e $misc/$name ]]; then
        cat "/usr/lib/binfmt.d/$name.conf" >"$misc/register"
        registered=$misc/$name
    fi
}
# Other programs of this machine see the same list: it is left as it was.
registered=''
trap '[[ -z $registered ]] || echo -1 >"$registered"' EXIT
[[ $vm_arch == "$vm_native" || -n $vm_small ]] || vm_register

mkdir -p "$vm_dir"
exec 9>"$vm_dir/build.lock"
flock 9
[[ ! -e $vm_image/complete ]] || exit 0

# Ubuntu and others have other mirrors than Debian's.
mirror_of() { vm_mirrors | awk -v name="$1" '$1 ~ name && /debian/ { print $2; exit }'; }
mirror=$(mirror_of '^[a-z]+$') security=$(mirror_of '-security$')
: "${mirror:=http://deb.debian.org/debian}" "${security:=http://deb.debian.org/debian-security}"

echo "vm: building the image (Debian $suite, $vm_arch, kernel of $vm_kernel${vm_variant:+, ${vm_variant#-}}${vm_small:+, small}) in $vm_image"
start=$SECONDS
work=$vm_image.new
# mmdebstrap leaves proc and others mounted there when it is killed. Nothing of this machine may be removed by that.
clean() {
    awk -v dir="$work/" 'index($2, dir) == 1 { print $2 }' /proc/self/mounts | sort -r | xargs -r -n 1 umount || true
    rm -rf --one-file-system "$work"
}
clean
mkdir -p "$work"
trap 'clean; [[ -z $registered ]] || echo -1 >"$registered"' EXIT
ssh-keygen -q -t ed25519 -N '' -C rootling-vm -f "$work/key"
cat >"$work/sources.list" <<S
deb $mirror $suite main
deb $mirror $suite-updates main
deb $security $suite-security main
S
# The kernel of another release, and of that no more than the kernel needs. Only its own packages are preferred: with
# linux-image-ARCH/RELEASE apt would take whatever they depend on from there, even where this release has it.
kernel=linux-image-$vm_arch
: >"$work/preferences"
if [[ $vm_kernel != "$suite" ]]; then
    echo "deb $mirror $vm_kernel main" >>"$work/sources.list"
    # Some releases get newer kernels from there alone.
    [[ $vm_kernel != @(bullseye|bookworm) ]] || echo "deb $security $vm_kernel-security main" >>"$work/sources.list"
    cat >"$work/preferences" <<P
Package: *
Pin: release n=$vm_kernel*
Pin-Priority: 100

Package: src:linux src:linux-signed-$vm_arch src:linux-base
Pin: release n=$vm_kernel*
Pin-Priority: 990
P
fi

# Its packages, as mmdebstrap takes them.
vm_packages() { sed "s/#.*//; s|KERNEL|$kernel|" "${vm_lists[@]/#/$vm_scripts/}" | xargs | tr ' ' ','; }

options=()
# shellcheck disable=SC2016 # $1 is the root directory, for mmdebstrap's shell to fill in
if [[ -n $vm_small ]]; then
    options+=(--variant=extract --include="?narrow(?codename(^$suite\$), ?essential)")
else
    # The initial RAM disk has to find the disk, and no more.
    options+=(--variant=minbase --essential-hook='mkdir -p "$1/etc/initramfs-tools/conf.d"
        printf "MODULES=list\nCOMPRESS=zstd\nFSTYPE=ext4\nRESUME=none\n" >"$1/etc/initramfs-tools/conf.d/vm.conf"
        printf "virtio_pci\nvirtio_blk\next4\n" >"$1/etc/initramfs-tools/modules"')
fi
if [[ -n $vm_variant ]]; then
    # shellcheck disable=SC2016
    options+=("--essential-hook=$(printf '%q essential "$1"' "$vm_scripts/${vm_variant#-}.sh")")
fi
# systemd's database of hardware takes minutes by emulation, and there is no hardware.
export SYSTEMD_HWDB_UPDATE_BYPASS=1
if ! timeout --foreground -k 60 55m mmdebstrap --mode=root --architectures="$vm_arch" --include="$(vm_packages)" \
    --aptopt="Dir::Etc::Preferences \"$work/preferences\"" --aptopt='Acquire::Check-Valid-Until "false"' --aptopt='Acquire::Retries "3"' \
    --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
    --dpkgopt='path-exclude=/usr/share/doc/*' "${options[@]}" \
    "$suite" "$work/root" "$work/sources.list" >"$work/log" 2>&1; then
    tail -n 30 "$work/log" >&2
    vm_fail 'mmdebstrap failed, see above'
fi
# In sid, the kernel is with its modules.
for file in "$work"/root/boot/vmlinuz-* "$work"/root/usr/lib/modules/*/vmlinuz; do
    [[ ! -f $file ]] || cp "$file" "$work/kernel"
done
[[ -e $work/kernel ]] || vm_fail "the package $kernel of $vm_kernel has put no vmlinuz into /boot or /usr/lib/modules"
if [[ -n $vm_small ]]; then
    "$vm_scripts/extract.sh" "$work/root" "$work/initrd"
else
    cp "$work"/root/boot/initrd.img-* "$work/initrd"
    chroot "$work/root" dpkg-query -W >"$work/versions"
fi
"$vm_scripts/customize.sh" "$work/root" "$work/key.pub"
# The very last, so that no file is made after it. mke2fs keeps the attributes.
[[ -z $vm_variant ]] || "$vm_scripts/${vm_variant#-}.sh" label "$work/root" >>"$work/log" 2>&1
mke2fs -q -t ext4 -L root -E lazy_itable_init=1 -d "$work/root" "$work/disk" "$disk_size" >>"$work/log" 2>&1
rm -rf --one-file-system "$work/root"

vm_find_qemu
if ! vm_new_enough "$(vm_qemu_version "${vm_qemu[@]}")" && ! vm_kvm_boots "$work/kernel"; then
    echo "vm: unpacking a QEMU newer than $(vm_qemu_version "${vm_qemu[@]}")"
    # Without one, start.sh emulates with one thread.
    vm_unpack_qemu >/dev/null || echo "vm: there is none in this machine's backports; the installed one will be slower"
fi

# The one who calls sudo starts the machine.
chown -R "${SUDO_UID:-0}:${SUDO_GID:-0}" "$work"
((${SUDO_UID:-0} == 0)) || chown "$SUDO_UID:$SUDO_GID" "$vm_dir"
touch "$work/complete"
# Images that no script makes any more.
rm -rf "$vm_dir"/image-???????????? "$vm_kind-"????????????
mv "$work" "$vm_image"
echo "vm: image built in $((SECONDS - start)) s, $(du -h "$vm_image/disk" | cut -f 1)"
