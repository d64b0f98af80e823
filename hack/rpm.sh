#!/usr/bin/env bash
# Makes an RPM package of the program BINARY (target/rootling), with the files that `make install` has.
set -euo pipefail

cd "$(dirname "$0")/.."
target=${CARGO_TARGET_DIR:-target}
binary=$(realpath "${BINARY:-$target/rootling}")
# Where [package.metadata.generate-rpm] of cmd/rootling looks for them, from the root of the workspace.
stage=$PWD/target/rpm
generate=$(hack/cargo-tool.sh cargo-generate-rpm)

rm -rf "$stage"
BINARY=$binary PREFIX=/usr DESTDIR=$stage APPARMOR=yes hack/install.sh install
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
export SOURCE_DATE_EPOCH
triple=${CARGO_BUILD_TARGET:-$(rustc -vV | sed -n 's/^host: //p')}
# A static program needs no library: rpm's own search would only slow this down.
"$generate" generate-rpm --package cmd/rootling --arch "${triple%%-*}" --auto-req disabled \
    --source-date "$SOURCE_DATE_EPOCH" --output "$target/" >&2
rpm=$(find "$target" -maxdepth 1 -name "rootling-*.${triple%%-*}.rpm" -newer "$stage" | head -n 1)
echo "$rpm"
echo "Install it with: sudo dnf install $(realpath --relative-to=. "$rpm" | sed 's|^[^/.]|./&|')"
