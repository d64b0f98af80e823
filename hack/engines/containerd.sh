#!/usr/bin/env bash
# Scenarios for containerd, with ctr: containerd.sh RUNTIME [GROUP...]
# Of root on the host, of an ordinary user in the user namespace of rootlesskit. RUNTIME is the path of
# rootling or of another runtime. All is in a directory that is removed at the end.
#   ROOTLING_ENGINES_MANY   containers that run at the same time (50)
# shellcheck disable=SC2016 # commands are for the shell of the scenario
# shellcheck source=hack/engines/lib.sh
. "$(dirname "$0")/lib.sh"

RUNTIME=$(realpath "${1:?usage: containerd.sh RUNTIME [GROUP...]}")
shift
name=${RUNTIME##*/}
XDG_RUNTIME_DIR=/run
((EUID == 0)) || XDG_RUNTIME_DIR=/run/user/$EUID
DIR=$(mktemp -d /var/tmp/rootling-containerd.XXXXXX)
RUN=$XDG_RUNTIME_DIR/${DIR##*/}
mkdir -m 0700 "$RUN"
MANY=${ROOTLING_ENGINES_MANY:-50}
export RUNTIME XDG_RUNTIME_DIR DIR RUN MANY PATH=$PATH:/usr/sbin:/sbin

# The last part is what Kubernetes' RuntimeClass names as its handler.
cat >"$DIR/config.toml" <<F
version = 2
root = "$DIR/root"
state = "$RUN/state"
[grpc]
address = "$RUN/containerd.sock"
[plugins."io.containerd.internal.v1.opt"]
path = "$DIR/opt"
[plugins."io.containerd.grpc.v1.cri".containerd]
default_runtime_name = "$name"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.$name]
runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.$name.options]
BinaryName = "$RUNTIME"
SystemdCgroup = true
F

daemon=(containerd --config "$DIR/config.toml" --log-level warn)
IN='' CTR="ctr --connect-timeout 2m --address $RUN/containerd.sock" SLICE=system.slice
if ((EUID)); then
    # Clients and shims take /run/containerd for granted, which may be there and root's. The namespaces stay while
    # the daemon is restarted, until there is a file `stop`.
    daemon=(rootlesskit --state-dir "$RUN/rootlesskit" --net slirp4netns --disable-host-loopback
        --copy-up /etc --copy-up /run --copy-up /var/lib
        sh -c 'rm -f /run/containerd; until [ -e "$RUN/stop" ]; do "$@" || sleep 1; done' sh "${daemon[@]}")
    SLICE=user.slice
fi
export IN CTR SLICE

start_daemon() {
    if ((EUID == 0)) || [[ ! -e $RUN/rootlesskit/child_pid ]]; then
        setsid "${daemon[@]}" >>"$DIR/log" 2>&1 </dev/null &
        daemon_process=$!
    fi
    for _ in {1..240}; do
        # Clients have to be in the namespaces of rootlesskit, though the socket can be seen from outside.
        if ((EUID)); then
            [[ -s $RUN/rootlesskit/child_pid ]] || { sleep 0.5; continue; }
            IN="nsenter --user --mount --net --preserve-credentials -t $(<"$RUN/rootlesskit/child_pid")"
            CTR="$IN ctr --connect-timeout 2m --address $RUN/containerd.sock"
        fi
        # shellcheck disable=SC2086 # words
        timeout 30 $CTR version >/dev/null 2>&1 && return
        sleep 0.5
    done
    echo 'engines: containerd does not come up:' >&2
    tail -n 20 "$DIR/log" >&2
    return 1
}

# The daemon itself, which may be below rootlesskit.
daemon_pid() { pgrep -xf "containerd --config $DIR/config.toml .*"; }

stop_daemon() {
    local pid
    pid=$(daemon_pid) || return 0
    kill "$pid"
    for _ in {1..120}; do
        kill -0 "$pid" 2>/dev/null || return 0
        sleep 0.5
    done
    kill -KILL "$pid"
}

# shellcheck disable=SC2317 # called by the trap
cleanup() {
    local task
    for task in $($CTR task ls -q); do $CTR task rm -f "$task"; done >/dev/null 2>&1
    touch "$RUN/stop"
    stop_daemon
    wait "$daemon_process"
    ((EUID == 0)) || rootlesskit rm -rf "$DIR/root" >/dev/null 2>&1
    rm -rf "$DIR" "$RUN"
}
trap cleanup EXIT

"$engines/image.sh" "$DIR" || exit
mkdir "$DIR/ro"
echo from-host >"$DIR/ro/file"
start_daemon || exit

# ctr's options to use the runtime, with a cgroup of systemd's called after user and container.
with() { echo "--runc-binary $RUNTIME --runc-systemd-cgroup --cgroup $SLICE:ctr$UID:$1"; }

image() {
    check import status=0 '$CTR image import --no-unpack "$DIR/oci.tar" && $CTR image ls'
    # In a user namespace it would need more configuration than the runtime.
    ((EUID)) || check 'plugin for Kubernetes knows the runtime' 'io.containerd.grpc.v1.*cri.* ok' '$CTR plugins ls'
}

run() {
    check 'exit code' status=7 "\$CTR run --rm $(with one) box one sh -c 'echo out; exit 7'"
    also stdout '^out$'
    check 'many options' status=0 "\$CTR run --rm $(with two) --env E=one --cwd /home/user --user 1000:1000 --read-only \
        --mount type=bind,src=\$DIR/ro,dst=/ro,options=rbind:ro --seccomp box two sh -c '
            echo E=\$E; pwd; id; cat /ro/file; touch /ro/x; touch /x; grep Seccomp: /proc/self/status'"
    also '--env' '^E=one$'
    also '--cwd' '^/home/user$'
    also '--user' '^uid=1000'
    also '--mount' '^from-host$'
    also '--mount ro' '/ro/x: Read-only'
    also '--read-only' '/x: Read-only'
    also '--seccomp' '^Seccomp:.2$'
    check '-t' 'terminal$' "script -qec \"\$CTR run --rm -t $(with three) box three sh -c 'test -t 1 && echo terminal'\" /dev/null"
    check '--privileged' '^CapEff:.000001ffffffffff$' "\$CTR run --rm --privileged $(with four) box four grep CapEff /proc/self/status"
    check '--net-host' '^lo$' "\$CTR run --rm --net-host $(with five) box five ls /sys/class/net"
    check 'program missing' '/no/such.*(no such file|not found)' "\$CTR run --rm $(with six) box six /no/such"
}

lifecycle() {
    check 'run -d' status=0 "\$CTR run -d --memory-limit 67108864 --cpus 0.5 --log-uri file://\$DIR/web.log $(with web) box web sh -c '
        trap \"echo got-usr1\" USR1; trap \"exit 3\" TERM; echo started; while :; do sleep 0.2; done'"
    check '--memory-limit' '^67108864$' 'cd "$(find /sys/fs/cgroup -name "ctr$UID-web.scope")" && cat memory.max cpu.max'
    also '--cpus' '^50000 100000$'
    check 'task ls' '^web +[0-9]+ +RUNNING' '$CTR task ls'
    soon 'logs' '^started$' 'cat "$DIR/web.log"'
    check 'exec' status=5 '$CTR task exec --exec-id e1 web sh -c "exit 5"'
    check 'exec -t' 'terminal$' 'script -qec "$CTR task exec -t --exec-id e2 web sh -c \"test -t 0 && echo terminal\"" /dev/null'
    check 'exec --user --cwd' '^1000 /tmp$' '$CTR task exec --exec-id e3 --user 1000 --cwd /tmp web sh -c "echo \$(id -u) \$PWD"'
    check 'exec -d' '^detached$' '$CTR task exec -d --exec-id e5 web sh -c "echo detached >/tmp/detached" && sleep 2 &&
        $CTR task exec --exec-id e6 web cat /tmp/detached'
    check 'exec: program missing' '/no/such.*(no such file|not found)' '$CTR task exec --exec-id e4 web /no/such'
    check 'metrics' '^memory.usage_in_bytes|^memory.usage|usage_limit.*67108864|memory.usage_limit' '$CTR task metrics web'
    # ctr has no such command; this is what the shim calls for Kubernetes.
    check 'update' '^33554432$' 'echo "{\"memory\": {\"limit\": 33554432}, \"pids\": {\"limit\": 40}}" |
            $IN "$RUNTIME" --root /run/containerd/runc/default --systemd-cgroup update --resources - web
        cd "$(find /sys/fs/cgroup -name "ctr$UID-web.scope")" && cat memory.max pids.max'
    also 'update: pids' '^40$'
    check 'ps' '^[0-9]+' '$CTR task ps web'
    check 'pause' 'PAUSED' '$CTR task pause web && $CTR task ls'
    check 'resume' 'RUNNING' '$CTR task resume web && $CTR task ls'
    check 'kill -s USR1' status=0 '$CTR task kill -s SIGUSR1 web'
    soon 'kill -s USR1: the program got it' '^got-usr1$' 'cat "$DIR/web.log"'
    check 'kill' status=0 '$CTR task kill web'
    soon 'kill: it has stopped' 'STOPPED' '$CTR task ls'
    calls
    check 'task rm' 'non-zero exit code 3' '$CTR task rm web'
    check 'the runtime has forgotten it' 'does not exist' "$CALL state web"
    check 'task start again' 'RUNNING' '$CTR task start -d web && $CTR task ls'
    check 'task rm -f' status=0 '$CTR task rm -f web; $CTR container rm web'
}

# The words by which the shim tells that a process has ended from a failure, asked of the runtime itself.
calls() {
    CALL="\$IN \"\$RUNTIME\" --root /run/containerd/runc/default"
    check 'state of what has ended' '"status": ?"stopped"' "$CALL state web"
    check 'kill of what has ended' 'container not running|[Nn]o such process' "$CALL kill web TERM"
    check 'kill 0 of what has ended' 'container not running|[Nn]o such process' "$CALL kill web 0"
}

# A container goes on without its daemon.
restart() {
    check 'run -d' status=0 "\$CTR run -d $(with stays) box stays sleep 1000"
    local before
    before=$(daemon_pid)
    stop_daemon
    start_daemon
    check 'another daemon' '^yes$' "pgrep -xf 'containerd --config $DIR/config.toml .*' | grep -qvx $before && echo yes"
    check 'runs after the restart' '^stays +[0-9]+ +RUNNING' '$CTR task ls'
    check 'exec' status=0 '$CTR task exec --exec-id e stays true'
    check 'task rm -f' status=0 '$CTR task rm -f stays; $CTR container rm stays'
}

# Of more clients at once on a slow machine some give up.
many() {
    ROOTLING_ENGINES_STEP=600 check "$MANY at the same time" status=0 'seq "$MANY" | xargs -P 10 -I{} \
        $CTR run -d --runc-binary "$RUNTIME" --runc-systemd-cgroup --cgroup "$SLICE:ctr$UID:m{}" box m{} sleep 10000'
    check 'all run' '^yes$' '[[ $($CTR task ls | grep -c RUNNING) == "$MANY" ]] && echo yes'
    ROOTLING_ENGINES_STEP=400 check 'removed together' status=0 'all=$($CTR container ls -q | grep "^m")
        $CTR task rm -f $all; $CTR container rm $all'
}

left() {
    check 'no task' '^none$' '$CTR task ls -q | grep . || echo none'
    check 'no shim' '^none$' 'pgrep -af "containerd-shim.*$RUN" | grep -v pgrep || echo none'
    check 'no cgroup' '^none$' 'find /sys/fs/cgroup -name "ctr$UID-*" | grep . || echo none'
}

groups=("$@")
(($#)) || groups=(run lifecycle restart many)
scenarios image "${groups[@]}" left
summary "containerd$( ((EUID == 0)) || echo ' rootless') $name"
