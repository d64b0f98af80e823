#!/usr/bin/env bash
# Prints the path of the release program, or that of another profile: binary.sh [PROFILE]. CARGO_TARGET_DIR is
# respected. The program for images is in the same directory, with -image appended to its name.
set -euo pipefail

cd "$(dirname "$0")/.."
profile=${1:-release}
if [[ $profile == release ]]; then
    target=$(hack/target.sh)
else
    target=${CARGO_BUILD_TARGET:-$(rustc -vV | sed -n 's/^host: //p')}
fi
echo "${CARGO_TARGET_DIR:-$PWD/target}/$target/$profile/rootling"
