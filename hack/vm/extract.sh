#!/usr/bin/env bash
# Makes a directory into which Debian packages were only unpacked a system that boots: extract.sh DIR INITRD.
# It does what the packages' own scripts would, without running any program of the directory: by emulation they take
# more than ten minutes. INITRD is made for the kernel whose modules are there.
set -euo pipefail
umask 022
root=$1 initrd=$2
put() { mkdir -p "$(dirname "$root$1")" && cat >"$root$1"; } # put FILE: from standard input

# Accounts; systemd-sysusers adds those of services at the first boot.
for file in passwd group; do put "/etc/$file" <"$root/usr/share/base-passwd/$file.master"; done
cut -d : -f 1 "$root/etc/passwd" | sed 's/$/:*:20000:0:99999:7:::/' | put /etc/shadow
cut -d : -f 1 "$root/etc/group" | sed 's/$/:*::/' | put /etc/gshadow
chmod 640 "$root/etc/shadow" "$root/etc/gshadow"
printf 'passwd: files\ngroup: files\nshadow: files\nhosts: files dns\n' | put /etc/nsswitch.conf
put /etc/profile <"$root/usr/share/base-files/profile"

# Logins.
put /etc/pam.d/common-auth <<'F'
auth sufficient pam_unix.so
auth requisite pam_deny.so
F
echo 'account required pam_unix.so' | put /etc/pam.d/common-account
echo 'password required pam_unix.so' | put /etc/pam.d/common-password
echo 'session required pam_unix.so' | put /etc/pam.d/common-session-noninteractive
printf 'session required pam_unix.so\nsession optional pam_systemd.so\n' | put /etc/pam.d/common-session
put /etc/ssh/sshd_config <"$root/usr/share/openssh/sshd_config"
ssh-keygen -A -f "$root" >/dev/null
# Names from before /run, which some packages have as directories.
rm -rf "${root:?}/var/run" "${root:?}/var/lock"
ln -s /run "$root/var/run"
ln -s /run/lock "$root/var/lock"
# Alternatives, which have no link.
ln -sf gawk "$root/usr/bin/awk"
ln -sf nc.openbsd "$root/usr/bin/nc"
ln -sf iptables-nft "$root/usr/sbin/iptables"
# Databases of hardware and of messages, which are made anew where /etc has no .updated.
for unit in systemd-hwdb-update.service systemd-journal-catalog-update.service ldconfig.service; do
    ln -sf /dev/null "$root/etc/systemd/system/$unit"
done

# The initial RAM disk: what finds the disk, in the order in which it has to be loaded.
version=$(ls "$root/usr/lib/modules")
depmod -b "$root" "$version"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/bin" "$work/dev" "$work/modules" "$work/root" "$work/sys"
cp "$root/usr/bin/busybox" "$work/bin/busybox"
# Not as this machine's configuration would have it. What is built into the kernel has no file.
for module in virtio_pci virtio_blk ext4; do
    modprobe -C /dev/null -d "$root" -S "$version" --show-depends "$module"
done >"$work/order"
if grep -Ev '^(insmod|builtin) ' "$work/order"; then
    echo "extract.sh: modprobe has said something else, see above" >&2
    exit 1
fi
number=100
while read -r path; do
    name=$work/modules/$number-$(basename "$path")
    number=$((number + 1))
    case $path in
    *.xz) xz -dc "$path" >"${name%.xz}" ;;
    *.zst) zstd -dcq "$path" >"${name%.zst}" ;;
    *) cp "$path" "$name" ;;
    esac
done < <(sed -n 's/^insmod //p' "$work/order" | sed 's/ $//' | awk '!seen[$0]++')
rm "$work/order"
cat >"$work/init" <<'F'
#!/bin/busybox sh
/bin/busybox mount -t devtmpfs dev /dev
for module in /modules/*; do /bin/busybox insmod "$module"; done
for try in $(/bin/busybox seq 600); do
    ! /bin/busybox mount -t ext4 -o rw,noatime /dev/vda /root 2>/dev/null || break
    # The first process ends, and the kernel with it.
    [ "$try" != 600 ] || exit 1
    /bin/busybox sleep 0.1
done
/bin/busybox umount /dev
exec /bin/busybox switch_root /root /sbin/init
F
chmod 755 "$work/init"
(cd "$work" && find . | cpio --quiet -o -H newc -R 0:0 | zstd -q) >"$initrd"
