#!/usr/bin/env bash
# Edits a bundle's config.json to run ARGs, without a terminal: configure.sh DIR ARG...
set -euo pipefail

config=${1:?usage: configure.sh DIR ARG...}/config.json
shift
# One by one, since jq's --args would take an ARG such as -c for its own option.
args='[]'
for arg; do args=$(jq -c --arg arg "$arg" '. + [$arg]' <<<"$args"); done
spec=$(jq --argjson args "$args" \
    '.process.terminal = false | .root.readonly = false | .process.args = $args' "$config")
printf '%s\n' "$spec" >"$config"
