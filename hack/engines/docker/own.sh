#!/usr/bin/env bash
# Scenarios of docker.sh: what is Docker's own.
# shellcheck disable=SC2016 # commands are for the shell of the scenario

build() {
    mkdir -p "$DIR/context"
    echo data >"$DIR/context/data"
    cat >"$DIR/context/Dockerfile" <<F
FROM box
COPY data /data
RUN id -u >/built && cat /data >>/built
USER 1000
WORKDIR /tmp
RUN id -u >made
F
    check 'docker build' status=0 'docker build -q --network none -t built "$DIR/context"'
    check 'RUN as a user' '^1000$' 'docker run --rm --net none built cat made /built'
    also 'RUN as root' '^0$'
}

health() {
    web
    soon 'healthy' '^healthy$' 'docker inspect --format "{{.State.Health.Status}}" web'
    check 'rm -f' status=0 'docker rm -f web'
}

# A container goes on without its daemon. In the namespaces of rootlesskit, which end with the daemon,
# it is started again.
restart() {
    check 'run -d --restart' status=0 'docker run -d --name stays --net none --restart always box sh -c "
        echo \$RANDOM >/tmp/once; while :; do sleep 1; done"'
    local before
    before=$(docker inspect --format '{{.State.Pid}}' stays)
    stop_daemon
    start_daemon
    soon 'runs after the restart' '^true' 'docker inspect --format "{{.State.Running}} {{.State.Pid}}" stays'
    ((EUID)) || also 'is the same process' "^true $before\$"
    check 'exec' status=0 'docker exec stays cat /tmp/once'
    check 'stop' status=0 'docker stop -t 1 stays'
    check 'rm' status=0 'docker rm stays'
}

# The daemon of another configuration, with a user namespace for containers and no systemd for their cgroups.
remap() {
    local user=${ROOTLING_ENGINES_REMAP:-rootling} first
    first=$(awk -F: -v user="$user" '$1 == user { print $2; exit }' /etc/subuid)
    stop_daemon
    start_daemon --userns-remap "$user" --exec-opt native.cgroupdriver=cgroupfs
    check 'cgroup driver' '^cgroupfs$' 'docker info --format "{{.CgroupDriver}}"'
    check 'import' status=0 'docker import --change "CMD [\"sh\"]" "$DIR/box.tar" box'
    check 'map' "^ +0 +$first +[0-9]+\$" 'docker run --rm --net none box cat /proc/self/uid_map'
    check '--userns host' '^ +0 +0 +4294967295$' 'docker run --rm --net none --userns host box cat /proc/self/uid_map'
    check 'a user, a volume, limits' '^1000 from-host 67108864$' 'docker run --rm --net none -u 1000 -m 64m -v "$DIR/ro:/ro:ro" box sh -c "
        echo \$(id -u) \$(cat /ro/file) \$(cat /sys/fs/cgroup/memory.max)"'
    check '--device' status=0 'docker run --rm --net none --device /dev/fuse box sh -c ": <>/dev/fuse"'
    check 'exec' status=5 'docker run -d --name mapped box sleep 1000; docker exec mapped sh -c "exit 5"'
    check 'rm -f' status=0 'docker rm -f mapped'
    stop_daemon
    start_daemon
}

# Of more clients at once on a slow machine some give up.
many() {
    ROOTLING_ENGINES_STEP=600 check "$MANY at the same time" status=0 'seq "$MANY" | xargs -P 10 -I{} \
        docker run -d --net none --label many box sleep 10000 >/dev/null'
    check 'all run' '^yes$' '[[ $(docker ps -q --filter label=many | wc -l) == "$MANY" ]] && echo yes'
    ROOTLING_ENGINES_STEP=400 check 'removed together' status=0 'docker rm -f $(docker ps -aq --filter label=many)'
}

left() {
    check 'no container' '^none$' 'docker ps -aq | grep . || echo none'
    check 'no state of the runtime' '^none$' 'ls "$RUN"/exec/*/moby "$XDG_RUNTIME_DIR/${RUNTIME##*/}" 2>/dev/null |
        grep -E "[0-9a-f]{64}" || echo none'
    check 'no shim' '^none$' 'pgrep -af "containerd-shim.*$RUN" | grep -v pgrep || echo none'
    # Other users have theirs.
    check 'no cgroup' '^none$' 'cd /sys/fs/cgroup; ((!UID)) || cd "user.slice/user-$UID.slice"
        find . -path ./user.slice -prune -o -type d -path "*docker*" -print | grep -E "[0-9a-f]{64}" || echo none'
}
