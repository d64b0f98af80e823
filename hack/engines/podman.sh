#!/usr/bin/env bash
# Scenarios for podman and buildah, as whoever calls it: podman.sh RUNTIME MANAGER [GROUP...]
# RUNTIME is the path of rootling or of another runtime, MANAGER is systemd or cgroupfs. Images,
# containers and configuration are in a directory that is removed at the end.
# shellcheck source=hack/engines/lib.sh
. "$(dirname "$0")/lib.sh"

RUNTIME=$(realpath "${1:?usage: podman.sh RUNTIME MANAGER [GROUP...]}") manager=${2:?MANAGER is missing}
shift 2
name=${RUNTIME##*/}
XDG_RUNTIME_DIR=/run
((EUID == 0)) || XDG_RUNTIME_DIR=/run/user/$EUID
# Files, and what must not outlive a boot.
DIR=$(mktemp -d /var/tmp/rootling-podman.XXXXXX)
RUN=$XDG_RUNTIME_DIR/${DIR##*/}
mkdir -m 0700 "$RUN"
export RUNTIME XDG_RUNTIME_DIR DIR RUN
export ENGINE=podman RM='podman rm -f -t 0' RUNTIME_FIELD=.OCIRuntime HEALTH_INTERVAL=disable MISSING=127
# Within containers it is always rootling that runs.
INNER=$RUNTIME UNMASK=unmask=ALL
[[ $name == rootling ]] || INNER=${ROOTLING_ENGINES_INNER:-/usr/local/bin/rootling}
OTHER=${ROOTLING_ENGINES_OTHER:-/usr/bin/crun}
OF=--user
((EUID)) || OF=--system
export INNER UNMASK OF
export CONTAINERS_CONF=$DIR/containers.conf CONTAINERS_STORAGE_CONF=$DIR/storage.conf BUILDAH_RUNTIME=$RUNTIME

# shellcheck disable=SC2317 # called by the trap
cleanup() {
    podman system reset --force >/dev/null 2>&1
    [[ ! -e $RUN/tmp/pause.pid ]] || kill "$(<"$RUN/tmp/pause.pid")"
    podman unshare rm -rf "$DIR" 2>/dev/null
    rm -rf "$DIR" "$RUN"
}
trap cleanup EXIT

# The name `runtime_supports_nocgroup` is not that of containers.conf(5), but what podman reads.
cat >"$CONTAINERS_CONF" <<F
[engine]
runtime = "$name"
cgroup_manager = "$manager"
runtime_supports_json = ["$name"]
runtime_supports_nocgroup = ["$name"]
events_logger = "file"
tmp_dir = "$RUN/tmp"

[engine.runtimes]
$name = ["$RUNTIME"]
F
cat >"$CONTAINERS_STORAGE_CONF" <<F
[storage]
driver = "overlay"
graphroot = "$DIR/storage"
rootless_storage_path = "$DIR/storage"
runroot = "$RUN/storage"
F
"$engines/image.sh" "$DIR" || exit
mkdir "$DIR"/{ro,rw}
echo from-host >"$DIR/ro/file"

image() {
    # shellcheck disable=SC2016 # for the shell of the scenario
    check import status=0 'podman import --change CMD=sh "$DIR/box.tar" box'
    check 'the runtime is the one' "^$name\$" 'podman info --format "{{.Host.OCIRuntime.Name}}"'
}

# shellcheck source=hack/engines/scenarios/run.sh
. "$engines/scenarios/run.sh"
# shellcheck source=hack/engines/scenarios/lifecycle.sh
. "$engines/scenarios/lifecycle.sh"
# shellcheck source=hack/engines/scenarios/nested.sh
. "$engines/scenarios/nested.sh"
# shellcheck source=hack/engines/scenarios/pairs.sh
. "$engines/scenarios/pairs.sh"
# shellcheck source=hack/engines/podman/own.sh
. "$engines/podman/own.sh"
# shellcheck source=hack/engines/podman/together.sh
. "$engines/podman/together.sh"

# shellcheck disable=SC2034 # for pairs
RUN_WITH=("--runtime=$RUNTIME" "--runtime=$OTHER")
groups=("$@")
(($#)) || groups=(run networks limits lifecycle execs own pods kube units build nested)
scenarios image "${groups[@]}" left
summary "podman $manager $name"
