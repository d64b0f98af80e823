#!/usr/bin/env bash
# Scenarios of every engine with podman's and Docker's command line: rootling in the engine's containers.
# What is relaxed is what the message of the scenario before names. Beside the variables of run.sh:
#   INNER    rootling's path, whatever runtime the engine has
#   UNMASK   the engine's option of --security-opt that leaves /proc uncovered
# shellcheck disable=SC2016 # commands are for the shell of the scenario

# A bundle that leaves ids to the runtime; `limited` asks for limits beside.
bundles() {
    mkdir -p "$DIR/inner/rootfs" "$DIR/limited"
    tar -C "$DIR/inner/rootfs" -xf "$DIR/box.tar"
    cat >"$DIR/inner/config.json" <<'F'
{"ociVersion": "1.2.0", "hostname": "inner", "root": {"path": "/inner/rootfs"},
 "process": {"cwd": "/", "user": {"uid": 0, "gid": 0}, "env": ["PATH=/bin"], "args": ["sh", "-c",
   "echo inside $(id -u); hostname; ps | grep -c [s]ibling; ls -l /dev/null; cat /sys/fs/cgroup/memory.max; exec true"]},
 "mounts": [
   {"destination": "/proc", "type": "proc", "source": "proc"},
   {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755", "size=64k"]},
   {"destination": "/dev/pts", "type": "devpts", "source": "devpts", "options": ["nosuid", "noexec", "newinstance"]},
   {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["nosuid", "noexec", "nodev", "ro"]},
   {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["nosuid", "noexec", "nodev", "ro"]}],
 "linux": {"namespaces": [{"type": "pid"}, {"type": "ipc"}, {"type": "uts"}, {"type": "mount"}, {"type": "network"},
   {"type": "cgroup"}]}}
F
    sed 's/"linux": {/&"resources": {"memory": {"limit": 67108864}, "pids": {"limit": 50}}, /' \
        "$DIR/inner/config.json" >"$DIR/limited/config.json"
}

# inside NAME PATTERN [OPTION...]: a container of rootling in one of the engine's with these options. Prints how
# many warnings there were, too; `sibling` is a process of the outer container.
bundle=inner
inside() {
    local name=$1 pattern=$2 options=''
    shift 2
    (($# == 0)) || printf -v options '%q ' "$@"
    check "$name" "$pattern" '$ENGINE run --rm --net none -v "$INNER:/rootling:ro" -v "$DIR/inner:/inner" \
        -v "$DIR/limited:/limited" '"$options"'box sh -c "sh -c \"sleep 100; : sibling\" & \
            /rootling --root /tmp/state run -b /'"$bundle"' c >/tmp/out 2>&1; echo inner=\$?
            cat /tmp/out; echo warnings=\$(grep -c warning: /tmp/out); ls -A /tmp/state"'
}

nested() {
    local open=(--security-opt "$UNMASK" --security-opt seccomp=unconfined)
    bundles
    "nested_$ENGINE"
    inside 'nothing in the way' '^inner=0$' "${open[@]}"
    also 'nothing in the way: no warning' '^warnings=0$'
    also 'nothing in the way: its name' '^inner$'
    also 'nothing in the way: its own processes' '^0$'
    inside '--privileged' '^inner=0$' --privileged
    also '--privileged: no warning' '^warnings=0$'
    bundle=limited
    inside 'limits with --privileged' '^inner=0$' --privileged
    also 'limits with --privileged: set' '^67108864$'
    bundle=inner
}

nested_podman() {
    inside 'default' '^inner=0$'
    also 'default: root' '^inside 0$'
    also 'default: device' '^c.* 1, +3 .*/dev/null$'
    also 'default: what uncovers /proc' 'warning: .* /proc: .*unmask=ALL \(podman\)'
    also 'default: what gives a name' 'warning: hostname .*--security-opt seccomp=unconfined'
    inside 'uncovered /proc' '^warnings=1$' --security-opt "$UNMASK"
    also 'uncovered /proc: own processes' '^0$'
    inside 'no filter' '^inner$' --security-opt seccomp=unconfined
    inside 'one id' '^inner=0$' --uidmap 0:0:1 --gidmap 0:0:1
    inside 'no capability' '^rootling: run "c": .*--cap-add SETFCAP' --cap-drop all
    also 'no capability: one error' '^inner=1$'
    inside 'the capability that was named' '^inner=0$' --cap-drop all --cap-add SETFCAP
    inside 'read-only' '^inner=0$' --read-only --tmpfs /tmp
    if ((EUID)); then
        inside 'keep-id' '^inner=0$' --userns keep-id
        also 'keep-id: ids that there are' 'add the line "[^:]*:1001:[0-9]+" to /etc/subuid'
    else
        inside 'a user' '^inner=0$' -u 1000
    fi
    bundle=limited
    inside 'limits' '^rootling: run "c": .*memory.limit .*--security-opt unmask=/sys/fs/cgroup'
    also 'limits: one error' '^inner=1$'
    inside 'limits with writable cgroups' '^67108864$' --security-opt unmask=/sys/fs/cgroup
    bundle=inner
    check 'life of a container' '^from-exec$' '$ENGINE run --rm --net none -v "$INNER:/rootling:ro" -v "$DIR/inner:/inner" \
        box sh -c "cd /tmp; mkdir b; sed \"s/exec true/exec sleep 100/\" /inner/config.json >b/config.json
            r=\"/rootling --root /tmp/state\"; \$r create -b b c >/tmp/out 2>&1 && \$r start c && \$r exec c echo from-exec
            \$r kill c KILL; until \$r state c | grep -q stopped; do sleep 0.1; done; \$r delete c; ls -A /tmp/state"'
    also 'life of a container: its end' '^status=0$'
}

# Docker forbids an ordinary container namespaces and mounts, by its filter and, for root, by AppArmor.
nested_docker() {
    open+=(--security-opt apparmor=unconfined)
    inside 'default' '^rootling: run "c": .*--security-opt seccomp=unconfined'
    also 'default: one error' '^inner=1$'
    if ((EUID == 0)) && [[ $(docker info --format '{{.SecurityOptions}}') == *apparmor* ]]; then
        also 'default: AppArmor too' '^rootling: run "c": .*--security-opt apparmor=unconfined'
        inside 'no filter' '^rootling: run "c": .*--security-opt apparmor=unconfined' --security-opt seccomp=unconfined
        inside 'CAP_SYS_ADMIN' '^rootling: run "c": .*read-only.*--privileged' --cap-add SYS_ADMIN
    fi
    inside 'what was named' '^inner=0$' --security-opt seccomp=unconfined --security-opt apparmor=unconfined
    also 'what was named: what uncovers /proc' 'warning: .* /proc: .*systempaths=unconfined \(Docker\)'
    inside 'a user' '^inner=0$' -u 1000 "${open[@]}"
}
