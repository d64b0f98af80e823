#!/usr/bin/env bash
# Makes a Debian package of the program BINARY (target/rootling) with the files that `make install` installs.
set -euo pipefail

cd "$(dirname "$0")/.."
target=${CARGO_TARGET_DIR:-target}
binary=$(realpath "${BINARY:-$target/rootling}")
# [package.metadata.deb] of cmd/rootling looks for the files there.
stage=$PWD/target/deb
cargo_deb=$(hack/cargo-tool.sh cargo-deb)

rm -rf "$stage"
BINARY=$binary PREFIX=/usr DESTDIR=$stage APPARMOR=yes hack/install.sh install
# Debian has its own directory for zsh completions, and puts the licence into the file of copyrights.
mkdir -p "$stage/usr/share/zsh/vendor-completions"
mv "$stage"/usr/share/zsh/site-functions/_rootling{,-image} "$stage/usr/share/zsh/vendor-completions/"
rmdir "$stage/usr/share/zsh/site-functions"
rm "$stage/usr/share/doc/rootling/LICENSE"
install -D -m 0644 hack/deb/lintian-overrides "$stage/usr/share/lintian/overrides/rootling"

SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
export SOURCE_DATE_EPOCH
metadata=cmd/rootling/Cargo.toml
version=$(${ROOTLING_RUNNER:-} "$binary" --version | sed -n '1s/.* //p')
cat >"$stage/changelog" <<F
rootling ($version-1) unstable; urgency=medium

  * Changes are in /usr/share/doc/rootling/CHANGELOG.md.

 -- $(sed -n 's/^maintainer = "\(.*\)"/\1/p' "$metadata")  $(date -uRd "@$SOURCE_DATE_EPOCH")
F

# The program is already stripped. cargo-deb temporarily makes a directory with the package's name in the target
# directory, where the program has the same name: so it gets another target directory.
deb=$(CARGO_TARGET_DIR=$stage/work "$cargo_deb" deb --quiet --no-build --no-strip --locked ${CARGO_BUILD_TARGET:+--target "$CARGO_BUILD_TARGET"} --manifest-path "$metadata" --output "$target/" | tail -n 1)
rm -r "$stage/work"
echo "$deb"
echo "Install it with: sudo apt install $(realpath --relative-to=. "$deb" | sed 's|^[^/.]|./&|')"
