#!/usr/bin/env bash
# Scenarios of podman.sh: pods, systemd, images, and what is left at the end.
# shellcheck disable=SC2016 # commands are for the shell of the scenario

pods() {
    check 'create' status=0 'podman pod create --name pod --share net,ipc,uts,pid --hostname ph'
    check 'first' status=0 'podman run -d --pod pod --name first box sleep 1000'
    check 'second: host name' '^ph$' 'podman run --rm --pod pod box sh -c "hostname; ps"'
    also 'second sees the first' 'sleep 1000'
    check 'second is in the namespaces of the first' '^4$' '
        show="for i in net ipc uts pid; do readlink /proc/self/ns/\$i; done"
        { podman exec first sh -c "$show"; podman run --rm --pod pod box sh -c "$show"; } | sort | uniq -d | wc -l'
    check 'pause, unpause' '^Running$' 'podman pod pause pod && podman pod unpause pod
        podman pod inspect --format "{{.State}}" pod'
    check 'top, stats' 'sleep' 'podman pod top pod && podman pod stats --no-stream pod'
    check 'stop, rm' status=0 'podman pod stop -t 0 pod && podman pod rm pod'
}

kube() {
    cat >"$DIR/kube.yaml" <<F
apiVersion: v1
kind: Pod
metadata: {name: kube}
spec:
  restartPolicy: Never
  containers:
  - name: c
    image: localhost/box:latest
    imagePullPolicy: Never
    command: [sh, -c, 'id; cat /data/file; echo \$WHO; touch /x; cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/cpu.max; exec sleep 1000']
    env: [{name: WHO, value: from-kube}]
    resources: {limits: {memory: 64Mi, cpu: 500m}}
    securityContext: {runAsUser: 1000, readOnlyRootFilesystem: true, capabilities: {drop: [ALL]}}
    volumeMounts: [{name: data, mountPath: /data, readOnly: true}]
  volumes:
  - name: data
    hostPath: {path: $DIR/ro}
F
    check 'play' status=0 'podman kube play "$DIR/kube.yaml"'
    soon 'environment' '^from-kube$' 'podman logs kube-c'
    soon 'read-only' '/x: Read-only file system' 'podman logs kube-c'
    also 'user' '^uid=1000'
    also 'volume' '^from-host$'
    soon 'CPU' '^50000 100000$' 'podman logs kube-c'
    also 'memory' '^67108864$'
    check 'generate' 'kind: Pod' 'podman kube generate kube'
    check 'down' status=0 'podman kube down "$DIR/kube.yaml"'
}

# Through a generator of systemd, and the unit that podman prints.
units() {
    local units=$XDG_RUNTIME_DIR/containers/systemd
    export UNIT=${DIR##*/}
    mkdir -p "$units"
    cat >"$units/$UNIT.container" <<F
[Quadlet]
DefaultDependencies=false
[Container]
Image=localhost/box:latest
ContainerName=quadlet
Network=none
StopTimeout=9
Exec=sh -c 'trap "exit 0" TERM; echo from-quadlet; while :; do sleep 0.2; done'
[Service]
Environment=CONTAINERS_CONF=$CONTAINERS_CONF CONTAINERS_STORAGE_CONF=$CONTAINERS_STORAGE_CONF
F
    check 'quadlet' '^active$' 'systemctl $OF daemon-reload; systemctl $OF start "$UNIT"; systemctl $OF is-active "$UNIT"'
    soon 'quadlet: logs' '^from-quadlet$' 'podman logs quadlet'
    check 'quadlet: stop' '^inactive$' 'systemctl $OF stop "$UNIT"; systemctl $OF is-active "$UNIT"'
    rm -f "$units/$UNIT.container"
    check 'generate systemd' '^ExecStart=' 'systemctl $OF daemon-reload
        podman create --name unit box sleep 1000 && podman generate systemd --new --name unit && podman rm unit'
}

build() {
    mkdir -p "$DIR/context"
    echo data >"$DIR/context/data"
    cat >"$DIR/context/Containerfile" <<F
FROM localhost/box
COPY data /data
RUN id -u >/built && cat /data >>/built
USER 1000
WORKDIR /tmp
RUN id -u >made
F
    check 'podman build' status=0 'podman build -q --network none -t built "$DIR/context"'
    check 'RUN as a user' '^1000$' 'podman run --rm --net none built cat made /built'
    also 'RUN as root' '^0$'
    check 'buildah bud' status=0 'buildah bud --network none --isolation oci --no-cache -t built2 "$DIR/context"'
    check 'buildah run' '^from-host$' 'c=$(buildah from localhost/box)
        buildah run --network none -t --cap-drop all -v "$DIR/ro:/ro:ro" "$c" cat /ro/file; buildah rm "$c"'
}

left() {
    check 'one is still running' status=0 'podman run -d --name last box sleep 1000'
    check 'system reset' status=0 'podman system reset --force'
    soon 'no process' '^none$' 'pgrep -af "$DIR|$RUN" | grep -v pgrep | grep . || echo none'
    # The first process of `last`, and podman's programs, whose command lines do not name its directories.
    soon 'no process by its name' '^none$' 'pgrep -u "$UID" -ax "conmon|pasta.*|slirp4netns|aardvark-dns|sleep" || echo none'
    soon 'no network' '^none$' 'ls "$XDG_RUNTIME_DIR/netns" 2>/dev/null | grep . || echo none'
    # podman's namespace lives on in a process that waits.
    check 'no mount' '^none$' 'own=$(cat "$RUN/tmp/pause.pid" 2>/dev/null)
        grep -e "$DIR" -e "$RUN" /proc/self/mountinfo || grep -s /merged "/proc/${own:-none}/mountinfo" || echo none'
    check 'no state' '^none$' 'ls "$XDG_RUNTIME_DIR/${RUNTIME##*/}" | grep . || echo none'
    # Other users have theirs.
    soon 'no cgroup' '^none$' 'cd /sys/fs/cgroup; ((!UID)) || cd "user.slice/user-$UID.slice"
        find . -path ./user.slice -prune -o -name "libpod-*" -print | grep . || echo none'
}
