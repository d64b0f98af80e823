#!/usr/bin/env bash
# Makes an image of busybox: image.sh DIR
#   DIR/box.tar   a root file system, for `podman import` and `docker import`
#   DIR/oci.tar   an OCI image layout with it, called `box`, for `ctr image import`
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

oci=$dir/oci
mkdir -p "$oci/blobs/sha256"
# blob TYPE [MORE]: standard input as a blob; prints its descriptor, with the members MORE.
blob() {
    local digest size
    cat >"$oci/blob"
    digest=$(sha256sum "$oci/blob" | cut -c 1-64)
    size=$(stat -c %s "$oci/blob")
    mv "$oci/blob" "$oci/blobs/sha256/$digest"
    printf '{"mediaType": "application/vnd.oci.image.%s", "digest": "sha256:%s", "size": %s%s}' "$1" "$digest" "$size" "${2:-}"
}
layer=$(blob layer.v1.tar <"$dir/box.tar")
diff=$(sha256sum "$dir/box.tar" | cut -c 1-64)
config=$(blob config.v1+json <<E2
{"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": ["sha256:$diff"]},
 "config": {"Cmd": ["sh"], "Env": ["PATH=/bin"]}}
E2
)
manifest=$(blob manifest.v1+json ', "annotations": {"org.opencontainers.image.ref.name": "box", "io.containerd.image.name": "box"}' <<E2
{"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "config": $config, "layers": [$layer]}
E2
)
echo '{"imageLayoutVersion": "1.0.0"}' >"$oci/oci-layout"
echo "{\"schemaVersion\": 2, \"manifests\": [$manifest]}" >"$oci/index.json"
tar -C "$oci" -cf "$dir/oci.tar" .
rm -rf "$root" "$oci"
