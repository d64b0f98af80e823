#!/usr/bin/env bash
# Scenarios for Docker: docker.sh RUNTIME [GROUP...]
# Of root a daemon of the host, of an ordinary user one in the user namespace of rootlesskit. RUNTIME
# is the path of rootling or of another runtime. All is in a directory that is removed at the end.
#   ROOTLING_ENGINES_MANY   containers that run at the same time (50)
# shellcheck source=hack/engines/lib.sh
. "$(dirname "$0")/lib.sh"

RUNTIME=$(realpath "${1:?usage: docker.sh RUNTIME [GROUP...]}")
shift
name=${RUNTIME##*/}
XDG_RUNTIME_DIR=/run
((EUID == 0)) || XDG_RUNTIME_DIR=/run/user/$EUID
DIR=$(mktemp -d /var/tmp/rootling-docker.XXXXXX)
RUN=$XDG_RUNTIME_DIR/${DIR##*/}
mkdir -m 0700 "$RUN"
# Root of a user namespace has to pass.
chmod 0711 "$DIR"
MANY=${ROOTLING_ENGINES_MANY:-50}
export RUNTIME XDG_RUNTIME_DIR DIR RUN MANY
export ENGINE=docker RM='docker rm -f' RUNTIME_FIELD=.HostConfig.Runtime HEALTH_INTERVAL=2s MISSING=126
export DOCKER_HOST=unix://$RUN/docker.sock DOCKER_CONFIG=$DIR/client DOCKER_BUILDKIT=0

# Within containers it is always rootling that runs.
INNER=$RUNTIME UNMASK=systempaths=unconfined
[[ $name == rootling ]] || INNER=${ROOTLING_ENGINES_INNER:-/usr/local/bin/rootling}
OTHER=${ROOTLING_ENGINES_OTHER:-/usr/bin/crun}
export INNER UNMASK

# runc is a name that Docker keeps for itself.
cat >"$DIR/daemon.json" <<F
{
  "runtimes": {"$name": {"path": "$RUNTIME"}, "other": {"path": "$OTHER"}},
  "default-runtime": "$name",
  "live-restore": $( ((EUID)) && echo false || echo true)
}
F

daemon=(dockerd)
# shellcheck disable=SC2191
options=(--config-file "$DIR/daemon.json" --data-root "$DIR/data" --exec-root "$RUN/exec" --pidfile "$RUN/docker.pid"
    --host "$DOCKER_HOST" --log-level warn --iptables=false --ip6tables=false)
bridge=docker0
[[ ! -e /sys/class/net/$bridge ]] || bridge=''
if ((EUID)); then
    daemon=(/usr/share/docker.io/contrib/dockerd-rootless.sh)
    # Daemons need the programs of root, and a place for the state of rootlesskit.
    export PATH=$PATH:/usr/sbin:/sbin DOCKERD_ROOTLESS_ROOTLESSKIT_STATE_DIR=$RUN/rootlesskit
fi

# start_daemon [OPTION...]: more than once if need be, since dockerd gives its containerd 15 s to start.
start_daemon() {
    for _ in {1..6}; do
        setsid "${daemon[@]}" "${options[@]}" "$@" >>"$DIR/log" 2>&1 </dev/null &
        daemon_process=$!
        for _ in {1..240}; do
            docker info >/dev/null 2>&1 && return
            kill -0 "$daemon_process" 2>/dev/null || break
            sleep 0.5
        done
    done
    echo 'engines: dockerd does not come up:' >&2
    tail -n 20 "$DIR/log" >&2
    return 1
}

stop_daemon() {
    kill "$(cat "$RUN/docker.pid" 2>/dev/null)" 2>/dev/null
    for _ in {1..120}; do
        kill -0 "$daemon_process" 2>/dev/null || return 0
        sleep 0.5
    done
    kill -KILL "$daemon_process"
}

# shellcheck disable=SC2317 # called by the trap
cleanup() {
    # shellcheck disable=SC2046
    docker rm -f $(docker ps -aq) >/dev/null 2>&1
    stop_daemon
    if ((EUID)); then
        rootlesskit rm -rf "$DIR/data" >/dev/null 2>&1
    else
        umount "$RUN"/exec/netns/* 2>/dev/null
        [[ -z $bridge ]] || ip link delete "$bridge" 2>/dev/null
    fi
    rm -rf "$DIR" "$RUN"
}
trap cleanup EXIT

"$engines/image.sh" "$DIR" || exit
mkdir "$DIR"/{ro,rw}
echo from-host >"$DIR/ro/file"
start_daemon || exit

# shellcheck disable=SC2016 # commands are for the shell of the scenario
image() {
    check import status=0 'docker import --change "CMD [\"sh\"]" "$DIR/box.tar" box'
    check 'the runtime is the one' "^$name\$" 'docker info --format "{{.DefaultRuntime}}"'
    check 'features are known' 'runtime-spec.features.*ociVersionMin' 'docker info --format "{{json .Runtimes}}"'
}

# shellcheck source=hack/engines/scenarios/run.sh
. "$engines/scenarios/run.sh"
# shellcheck source=hack/engines/scenarios/lifecycle.sh
. "$engines/scenarios/lifecycle.sh"
# shellcheck source=hack/engines/scenarios/nested.sh
. "$engines/scenarios/nested.sh"
# shellcheck source=hack/engines/scenarios/pairs.sh
. "$engines/scenarios/pairs.sh"
# shellcheck source=hack/engines/docker/own.sh
. "$engines/docker/own.sh"

# shellcheck disable=SC2034 # for pairs
RUN_WITH=("--runtime=$name" --runtime=other)
# rootlesskit has a network namespace of its own.
((EUID == 0)) || shared=(ipc uts pid)
groups=("$@")
(($#)) || groups=(run networks limits lifecycle execs build health restart many nested)
((EUID || $#)) || groups+=(remap)
scenarios image "${groups[@]}" left
summary "docker$( ((EUID == 0)) || echo ' rootless') $name"
