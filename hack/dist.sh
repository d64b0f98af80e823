#!/usr/bin/env bash
# Makes target/dist/rootling-VERSION-ARCH.tar.xz, which has the files of `make install` below one directory, and
# SHA256SUMS. For the same commit, compiler and libseccomp it is identical byte for byte wherever it is built: names are
# sorted, owners are 0, times are SOURCE_DATE_EPOCH or the commit's, and paths of the machine are replaced.
set -euo pipefail

cd "$(dirname "$0")/.."
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
dist=$target/dist
# A separate directory, so that programs with other paths in them are not rebuilt each time.
export CARGO_TARGET_DIR=$target/dist-build
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
export SOURCE_DATE_EPOCH

# The last match counts.
remap=''
for pair in "${CARGO_HOME:-$HOME/.cargo}=/cargo" "$PWD=/rootling" "$CARGO_TARGET_DIR=/target"; do
    remap+="${remap:+, }'--remap-path-prefix=$pair'"
done
hack/build.sh --config "target.'cfg(all())'.rustflags = [$remap]"
binary=$(hack/binary.sh)

triple=${CARGO_BUILD_TARGET:-$(rustc -vV | sed -n 's/^host: //p')}
name=rootling-$(${ROOTLING_RUNNER:-} "$binary" --version | sed -n '1s/.* //p')-${triple%%-*}
rm -rf "$dist"
mkdir -p "$dist"
# The AppArmor profile contains the path of the program: whoever unpacks this makes it with `rootling profile`.
BINARY=$binary PREFIX=/$name DESTDIR=$dist APPARMOR=no hack/install.sh install
tar --create --directory "$dist" --format=ustar --sort=name --owner=0 --group=0 --numeric-owner \
    --mtime="@$SOURCE_DATE_EPOCH" "$name" | xz -9 --threads=1 >"$dist/$name.tar.xz"
rm -r "${dist:?}/$name"
cd "$dist"
sha256sum "$name.tar.xz" >SHA256SUMS
echo "$dist/$name.tar.xz"
cat SHA256SUMS
