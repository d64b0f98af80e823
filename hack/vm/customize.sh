#!/bin/sh
# Makes a Debian root directory the test VM's: customize.sh DIR PUBLIC-KEY-FILE.
# build.sh calls it when the packages are in. It runs no program of the directory, which may be for another processor.
set -eu
umask 022
root=$1 key=$2
put() { mkdir -p "$(dirname "$root$1")" && cat >"$root$1"; } # put FILE: from standard input

echo vm | put /etc/hostname
echo '127.0.0.1 localhost vm' | put /etc/hosts
echo '/dev/vda / ext4 rw,noatime 0 0' | put /etc/fstab
echo 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' | put /etc/environment
: >"$root/etc/motd"
# An identity, or every start would be a first boot.
tr -d - </proc/sys/kernel/random/uuid | put /etc/machine-id

# The ordinary user: subordinate ids, a user manager without a login, all controllers delegated.
# Logins by key only, for root too. `*` is no password, and unlike `!` no lock.
useradd --prefix "$root" --uid 1000 --user-group --create-home --shell /bin/bash --password '*' rootling
sed -i 's/^root:[^:]*:/root:*:/' "$root/etc/shadow"
echo 'rootling:100000:65536' | put /etc/subuid
echo 'rootling:100000:65536' | put /etc/subgid
: | put /var/lib/systemd/linger/rootling
put /etc/systemd/system/user@.service.d/delegate.conf <<'F'
[Service]
Delegate=cpu cpuset io memory pids
F
echo 'rootling ALL=(ALL) NOPASSWD:ALL' | put /etc/sudoers.d/rootling
chmod 440 "$root/etc/sudoers.d/rootling"

for home in /root /home/rootling; do
    put "$home/.ssh/authorized_keys" <"$key"
    chmod -R go= "$root$home/.ssh"
done
chown -R 1000:1000 "$root/home/rootling"
put /etc/ssh/sshd_config.d/vm.conf <<'F'
UseDNS no
PasswordAuthentication no
PermitRootLogin prohibit-password
MaxSessions 100
F

# The network of QEMU's user mode.
put /etc/systemd/network/vm.network <<'F'
[Match]
Name=eth0
[Network]
Address=10.0.2.15/24
Gateway=10.0.2.2
LinkLocalAddressing=no
IPv6AcceptRA=no
F
rm -f "$root/etc/resolv.conf"
echo 'nameserver 10.0.2.3' | put /etc/resolv.conf

put /etc/systemd/journald.conf.d/vm.conf <<'F'
[Journal]
Storage=volatile
RateLimitIntervalSec=0
F
printf 'overlay\nfuse\ntun\n' | put /etc/modules-load.d/vm.conf
# Enough for many engines, and the log for everybody.
printf 'fs.inotify.max_user_instances=1024\nkernel.dmesg_restrict=0\n' | put /etc/sysctl.d/vm.conf

# On a busy machine all of it takes many times as long: nothing is given up or ended for that.
for manager in system user; do
    printf '[Manager]\nDefaultTimeoutStartSec=15min\nDefaultTimeoutStopSec=5min\nDefaultDeviceTimeoutSec=15min\n' |
        put "/etc/systemd/$manager.conf.d/vm.conf"
done
for unit in systemd-journald systemd-logind systemd-networkd systemd-udevd systemd-machined; do
    printf '[Service]\nWatchdogSec=0\nTimeoutStartSec=15min\n' | put "/etc/systemd/system/$unit.service.d/vm.conf"
done

wanted() { mkdir -p "$root/etc/systemd/system/$2.wants" && ln -sf "/usr/lib/systemd/system/$1" "$root/etc/systemd/system/$2.wants/$1"; }
wanted systemd-networkd.service multi-user.target
wanted systemd-networkd.socket sockets.target
wanted ssh.service multi-user.target
# Engines, which not every image has, are started by the tests that need them.
for unit in docker.service docker.socket containerd.service podman.service podman.socket podman-auto-update.timer \
    podman-restart.service podman-clean-transient.service; do
    find "$root/etc/systemd/system" "$root/etc/systemd/user" -type l -name "$unit" -delete
done
# Costs time at boot, or wakes up in the middle of a test. AppArmor is on in the kernel all the same:
# what is masked would load profiles of desktop programs.
for unit in apparmor.service apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer \
    e2scrub_reap.service fstrim.timer systemd-networkd-wait-online.service systemd-timesyncd.service \
    getty@tty1.service systemd-pstore.service nftables.service systemd-firstboot.service; do
    ln -sf /dev/null "$root/etc/systemd/system/$unit"
done
rm -rf "$root"/var/lib/apt/lists/* "$root"/var/cache/apt/*.bin
