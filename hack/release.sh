#!/usr/bin/env bash
# Makes what a release consists of, in target/release-VERSION: tarballs, Debian and RPM packages of each architecture, a bill
# of materials, and the checksums of all. Each tarball is built twice, in two directories, and has to be the same.
# docs/releasing.md has the steps before and after.
set -euo pipefail

cd "$(dirname "$0")/.."
fail() { echo "release: $*" >&2; exit 1; }
step() { printf '\n== %s\n' "$1"; }

version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
[[ -z $(git status --porcelain) ]] || fail 'the working tree has changes: commit or remove them'
grep -qE "^## \[$version\] - [0-9]{4}-[0-9]{2}-[0-9]{2}$" CHANGELOG.md ||
    fail "CHANGELOG.md has no section '## [$version] - YYYY-MM-DD': give the version its date"
! grep -rq 'rootling\.invalid' cmd/rootling/Cargo.toml hack/packages ||
    fail "the maintainer's address is not filled in: replace rootling.invalid, see docs/releasing.md"
grep -qx "pkgver=$version" hack/packages/PKGBUILD || fail "hack/packages/PKGBUILD is not for version $version: change pkgver"

out=$PWD/target/release-$version
rm -rf "$out"
mkdir -p "$out"
clone=$(mktemp -d)
trap 'rm -rf "$clone"' EXIT
git clone -q --no-hardlinks . "$clone/rootling"

for arch in amd64 arm64; do
    step "$arch"
    make --no-print-directory deb rpm dist ARCH="$arch"
    (cd "$clone/rootling" && make --no-print-directory dist ARCH="$arch")
    target=target
    [[ $arch == "$(dpkg --print-architecture)" ]] || target=target/$arch
    tarball=$(basename "$target"/dist/rootling-*.tar.xz)
    cmp "$target/dist/$tarball" "$clone/rootling/$target/dist/$tarball" || fail "$tarball is not the same when it is built again"
    cp "$target/dist/$tarball" "$target"/rootling_*_"$arch".deb "$target"/rootling-*.rpm "$out"
done

step 'bill of materials'
cyclonedx=$(hack/cargo-tool.sh cargo-cyclonedx)
# In the clone, since a file is written beside the manifest of each crate of the workspace.
for package in rootling rootling-image; do
    manifest=$clone/rootling/cmd/$package
    target=x86_64-unknown-linux-gnu
    [[ $package == rootling-image ]] || target=$(hack/target.sh)
    "$cyclonedx" cyclonedx --manifest-path "$manifest/Cargo.toml" --format json --target "$target" \
        --override-filename "$package.cdx"
    mv "$manifest/$package.cdx.json" "$out/$package-$version.cdx.json"
done

step "packages"
ROOTLING_TEST_PACKAGES=$out cargo test --quiet --locked -p rootling-tests --test packages

(cd "$out" && sha256sum -- * >SHA256SUMS)
step "$out"
cat "$out/SHA256SUMS"
echo "Next: docs/releasing.md, from step 5"
