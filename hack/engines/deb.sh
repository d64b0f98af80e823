#!/usr/bin/env bash
# Installs the Debian package and goes through README.md and docs/engines.md with it: deb.sh PACKAGE [GROUP...]
# As root, in a machine that is thrown away: it changes the configuration of the machine's engines. The lines
# for the engines are taken from the documentation in the package, as they stand there.
#   ROOTLING_ENGINES_USER   the ordinary user (engines); where there is none of this name it is made, and removed
# shellcheck disable=SC2016 # commands are for the shell of the scenario
# shellcheck source=hack/engines/lib.sh
. "$(dirname "$0")/lib.sh"

((EUID == 0)) || fail 'deb.sh needs root'
DEB=$(realpath "${1:?usage: deb.sh PACKAGE [GROUP...]}")
shift
# A directory that apt's own user can read.
DIR=$(mktemp -d /var/tmp/rootling-deb.XXXXXX)
chmod 755 "$DIR"
user=${ROOTLING_ENGINES_USER:-engines} made=false
DOCS=$DIR/package/usr/share/doc/rootling
if ! getent passwd "$user" >/dev/null; then
    # With subordinate ids, which useradd gives by itself.
    useradd --create-home --shell /bin/bash "$user" && loginctl enable-linger "$user" || exit
    made=true
fi
home=$(getent passwd "$user" | cut -d: -f6) uid=$(id -u "$user")
# The user, in the session that lingering has started.
AS="runuser -u $user -- env -C $home HOME=$home USER=$user XDG_RUNTIME_DIR=/run/user/$uid"
AS+=" PWD=$home DBUS_SESSION_BUS_ADDRESS=unix:path=/run/user/$uid/bus"
export DEB DIR DOCS AS DEBIAN_FRONTEND=noninteractive
for _ in {1..240}; do
    [[ ! -S /run/user/$uid/bus ]] || break
    sleep 0.5
done

# shellcheck disable=SC2317 # called by the trap
cleanup() {
    { docker rm -f "$(docker ps -aq)"; } >/dev/null 2>&1
    systemctl stop rootling-dockerd.service docker.service docker.socket containerd.service >/dev/null 2>&1
    rm -rf "$DIR"
    ! $made || { loginctl disable-linger "$user"; loginctl terminate-user "$user"; sleep 2; userdel -rf "$user"; } 2>/dev/null
}
trap cleanup EXIT
# The machine may leave out documentation at installation, as minimal ones do.
dpkg-deb -x "$DEB" "$DIR/package" || exit

# lines FILE HEADING LANGUAGE: the first block in this language below the heading.
lines() {
    awk -v heading="$2" -v fence="\`\`\`$3" '
        inside && /^```/ { exit }
        inside { print }
        /^#+ / && !inside { below = ($0 ~ "^#+ " heading "$") }
        below && $0 == fence { inside = 1 }' "$DOCS/$1"
}

image() {
    # As Debian's package linux-sysctl-defaults has it, which a minimal machine lacks.
    sysctl -q -w net.ipv4.ping_group_range='0 2147483647'
    check 'the package installs' status=0 'apt-get install -y "$DEB"'
    check 'the program is there' '^rootling version' 'rootling --version'
    check 'AppArmor has the profile, where it is on' '^(off|rootling \(unconfined\))$' \
        'if aa-enabled --quiet; then grep -w ^rootling /sys/kernel/security/apparmor/profiles; else echo off; fi'
    check 'doctor is content with the user' status=0 '$AS rootling doctor'
    also 'containers can run' '^Containers can run here'
    also 'nothing is missing' '^trial container +ok'
    check 'no row of doctor is in doubt' '^none$' '$AS rootling doctor | awk '"'NR > 1 && / (warning|missing|error|failed) / { print; n = 1 }
        END { if (!n) print \"none\" }'"
    check 'doctor is content with root' status=0 'rootling doctor'
}

first() {
    lines README.md 'First container' console | sed -n 's/^\$ //p' >"$DIR/first"
    check 'the first container says hello' '^hello$' '$AS bash -e <"$DIR/first"'
}

with_podman() {
    local conf=$home/.config/containers/containers.conf
    install -d -o "$user" -g "$user" "$home/.config" "${conf%/*}"
    lines docs/engines.md podman toml >"$conf"
    "$engines/image.sh" "$DIR" || exit
    check import status=0 '$AS podman import --change CMD=sh "$DIR/box.tar" box'
    check 'rootling is the runtime' '^rootling$' '$AS podman info --format "{{.Host.OCIRuntime.Name}}"'
    check 'podman runs a container' '^hello$' '$AS podman run --rm box echo hello'
    check 'with cgroups of its own' '^hello$' '$AS podman --cgroup-manager cgroupfs run --rm box echo hello'
    check 'with the seccomp profile' '^Seccomp:.2$' \
        '$AS podman run --rm --security-opt seccomp=/usr/share/rootling/seccomp.json box grep Seccomp: /proc/self/status'
    lines docs/engines.md 'Seccomp profile' toml >>"$conf"
    check 'the profile as the default' '^/usr/share/rootling/seccomp.json$' \
        '$AS podman info --format "{{.Host.Security.SECCOMPProfilePath}}"'
    check 'it is in force' '^unshare: .*Operation not permitted' '$AS podman run --rm box unshare -U true'
    check 'one command alone' '^hello$' '$AS podman --runtime /usr/bin/rootling run --rm box echo hello'
    check 'buildah by the variable' '^hello$' \
        '$AS env BUILDAH_RUNTIME=/usr/bin/rootling sh -c "buildah run \$(buildah from box) echo hello"'
    check 'buildah by the option' '^hello$' \
        '$AS sh -c "buildah run --runtime /usr/bin/rootling \$(buildah from box) echo hello"'
    check 'buildah builds' status=0 'install -d "$DIR/context" && printf "FROM localhost/box\nRUN echo from-run\n" >"$DIR/context/Containerfile"
        $AS buildah build --runtime /usr/bin/rootling "$DIR/context"'
    also 'RUN' '^from-run$'
    # All that rootling does, by a script in its place.
    lines docs/engines.md Errors sh >"$DIR/rootling.sh"
    chmod 755 "$DIR/rootling.sh"
    check 'a script in the place of rootling' '^hello$' '$AS podman --runtime "$DIR/rootling.sh" run --rm box echo hello'
    check 'nothing is left' status=0 '$AS podman system reset --force'
}

# The configuration for all users is root's as well.
with_podman_of_root() {
    mkdir -p /etc/containers
    lines docs/engines.md podman toml >/etc/containers/containers.conf
    [[ -s $DIR/box.tar ]] || "$engines/image.sh" "$DIR" || exit
    check import status=0 'podman import --change CMD=sh "$DIR/box.tar" box'
    check 'rootling is the runtime' '^rootling$' 'podman info --format "{{.Host.OCIRuntime.Name}}"'
    check 'podman runs a container' '^hello$' 'podman run --rm box echo hello'
    check 'nothing is left' status=0 'podman system reset --force && rm /etc/containers/containers.conf'
}

with_docker() {
    [[ -s $DIR/box.tar ]] || "$engines/image.sh" "$DIR" || exit
    mkdir -p /etc/docker
    lines docs/engines.md Docker json >/etc/docker/daemon.json
    check 'the daemon starts' status=0 'systemctl restart docker'
    check import status=0 'docker import --change "CMD [\"sh\"]" "$DIR/box.tar" box'
    check 'rootling is the runtime' '^rootling$' 'docker info --format "{{.DefaultRuntime}}"'
    check 'docker runs a container' '^hello$' 'docker run --rm box echo hello'
    check 'by the option' '^hello$' 'docker run --rm --runtime rootling box echo hello'
    check 'with the seccomp profile' '^Seccomp:.2$' \
        'docker run --rm --security-opt seccomp=/usr/share/rootling/seccomp.json box grep Seccomp: /proc/self/status'
    lines docs/engines.md 'Runtime arguments' json >/etc/docker/daemon.json
    check 'with arguments' '^hello$' 'systemctl restart docker && docker run --rm box echo hello'
    check 'by options of the daemon' '^rootling$' 'rm /etc/docker/daemon.json; systemctl stop docker docker.socket
        systemd-run -q --unit rootling-dockerd dockerd --add-runtime rootling=/usr/bin/rootling --default-runtime rootling
        for i in {1..100}; do docker info >/dev/null 2>&1 && break; sleep 1; done
        docker info --format "{{.DefaultRuntime}}"; docker run --rm box echo hello'
    also 'runs a container' '^hello$'
    check 'save' status=0 'docker save box -o "$DIR/saved.tar" && systemctl stop rootling-dockerd'
}

# With the daemon as Debian's package of Docker starts it for an ordinary user.
with_docker_of_a_user() {
    local conf=$home/.config/docker
    [[ -s $DIR/box.tar ]] || "$engines/image.sh" "$DIR" || exit
    install -d -o "$user" -g "$user" "$home/.config" "$conf"
    lines docs/engines.md Docker json >"$conf/daemon.json"
    export USERS="$AS docker -H unix:///run/user/$uid/docker.sock"
    check 'the daemon starts' '^started$' '
        $AS systemd-run --user -q --unit rootling-docker --setenv="PATH=$PATH:/usr/sbin:/sbin" \
            /usr/share/docker.io/contrib/dockerd-rootless.sh --iptables=false --ip6tables=false
        for i in {1..100}; do $USERS info >/dev/null 2>&1 && break; sleep 1; done; $USERS info >/dev/null && echo started'
    check import status=0 '$USERS import --change "CMD [\"sh\"]" "$DIR/box.tar" box'
    check 'rootling is the runtime' '^rootling$' '$USERS info --format "{{.DefaultRuntime}}"'
    check 'docker runs a container' '^hello$' '$USERS run --rm box echo hello'
    check 'the daemon stops' status=0 '$AS systemctl --user stop rootling-docker'
}

# Of an ordinary user, in the namespaces of rootlesskit, before root has a configuration for it.
with_containerd_of_a_user() {
    local command join
    [[ -s $DIR/oci.tar ]] || "$engines/image.sh" "$DIR" || exit
    lines docs/engines.md 'As an ordinary user' sh >"$DIR/containerd.sh"
    lines docs/engines.md 'As an ordinary user' console | sed -n 's/^\$ //p' >"$DIR/typed"
    join=$(sed -n "s/^alias in_rootlesskit='\(.*\)'$/\1/p" "$DIR/typed")
    command=$(sed -n 's/^in_rootlesskit //p' "$DIR/typed")
    printf '%s "$@"\n' "$join" >"$DIR/join.sh"
    check 'the daemon starts' '^started$' '
        $AS systemd-run --user -q --unit rootling-containerd --setenv="PATH=$PATH:/usr/sbin:/sbin" sh "$DIR/containerd.sh"
        for i in {1..100}; do $AS sh "$DIR/join.sh" ctr version >/dev/null 2>&1 && break; sleep 1; done
        $AS sh "$DIR/join.sh" ctr version >/dev/null && echo started'
    check import status=0 '$AS sh "$DIR/join.sh" ctr images import --no-unpack "$DIR/oci.tar"'
    command=${command/IMAGE ID COMMAND.../box ID sh -c '"echo hello; cat /proc/self/cgroup"'}
    check 'ctr runs a container' '^hello$' "\$AS sh \$DIR/join.sh ${command//ID/hello}"
    also 'in a cgroup' 'user.slice/ctr-hello.scope'
    check 'the daemon stops' status=0 '$AS systemctl --user stop rootling-containerd'
}

# Of the image that Docker has.
with_containerd() {
    local command
    lines docs/kubernetes.md containerd toml >/etc/containerd/config.toml
    check 'containerd starts' status=0 'systemctl restart containerd'
    check 'it has the handler' 'BinaryName = "/usr/bin/rootling"' 'containerd config dump'
    check import status=0 'ctr images import "$DIR/saved.tar"'
    command=$(lines docs/engines.md containerd console | sed -n 's/^\$ sudo //p')
    command=${command/IMAGE ID COMMAND.../docker.io/library/box:latest hello echo hello}
    check 'ctr runs a container' '^hello$' "$command"
}

gone() {
    check 'the package goes' status=0 'apt-get purge -y rootling'
    # The user of the VM has the same name, and Docker keeps a script for a runtime with arguments.
    check 'nothing of it is left' '^none$' 'find /usr /etc /var/lib /var/cache -name "*rootling*" -not -path "/var/lib/systemd/linger/*" \
        -not -path "/etc/sudoers.d/*" -not -path "/var/lib/docker/*" | grep . || echo none'
    check 'AppArmor has forgotten it' '^0$' 'cat /sys/kernel/security/apparmor/profiles 2>/dev/null | grep -cw ^rootling'
}

groups=("$@")
(($#)) || groups=(first with_podman with_podman_of_root with_docker_of_a_user with_containerd_of_a_user
    with_docker with_containerd gone)
scenarios image "${groups[@]}"
summary deb
