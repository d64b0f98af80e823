#!/usr/bin/env bash
# Makes an image of busybox: image.sh DIR
#   DIR/box.tar   a root file system, for `podman import`
set -euo pipefail
dir=${1:?usage: image.sh DIR}
busybox=$(command -v busybox)
root=$dir/box
mkdir -p "$root"/{bin,dev,etc,home/user,proc,root,sys,tmp,var}
chmod 1777 "$root/tmp"
cp "$busybox" "$root/bin/busybox"
for applet in $("$busybox" --list); do [[ -e $root/bin/$applet ]] || ln -s busybox "$root/bin/$applet"; done
printf 'root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000:user:/home/user:/bin/sh\n' >"$root/etc/passwd"
printf 'root:x:0:\nuser:x:1000:\n' >"$root/etc/group"
touch "$root/etc/plain"
tar -C "$root" --owner=0 --group=0 -cf "$dir/box.tar" .
rm -rf "$root"
