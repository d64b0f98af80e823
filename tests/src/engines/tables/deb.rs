//! The Debian package: follows README.md and docs/engines.md as root, on a machine that is discarded afterwards,
//! since it changes the configuration of the machine's engines. Variables:
//!
//! - `DEB`: the package
//! - `AS`: the command that makes root the ordinary user, in the session that lingering has started
//! - `USER_NAME`, `CONFIG`: the ordinary user, and the directory of the configuration
//! - `USERS`: docker with that user's daemon

use crate::engines::image;
use crate::engines::scenario::{Step, also, check};
use Step::{Excerpt, File, Prepare, Quietly, Set};

#[rustfmt::skip]
pub(crate) const IMAGE: &[Step] = &[
    // As in Debian's package linux-sysctl-defaults, which a minimal machine lacks.
    Quietly("sysctl -q -w net.ipv4.ping_group_range='0 2147483647'"),
    check("the package installs", "status=0", r#"apt-get install -y "$DEB""#),
    check("the program is there", "^rootling version", "rootling --version"),
    check("AppArmor has the profile, where it is on", r"^(off|rootling \(unconfined\))$",
        "if aa-enabled --quiet; then grep -w ^rootling /sys/kernel/security/apparmor/profiles; else echo off; fi"),
    check("doctor is content with the user", "status=0", "$AS rootling doctor"),
    also("containers can run", "^Containers can run here"),
    also("nothing is missing", "^trial container +ok"),
    check("no row of doctor is in doubt", "^none$",
        r#"$AS rootling doctor | awk 'NR > 1 && / (warning|missing|error|failed) / { print; n = 1 }
        END { if (!n) print "none" }'"#),
    check("doctor is content with root", "status=0", "rootling doctor"),
];

#[rustfmt::skip]
pub(crate) const FIRST: &[Step] = &[
    Excerpt("README.md", "First container", "console", "$DIR/first"),
    Quietly(r#"sed -i -n 's/^\$ //p' "$DIR/first""#),
    check("the first container says hello", "^hello$", r#"$AS bash -e <"$DIR/first""#),
];

#[rustfmt::skip]
pub(crate) const WITH_PODMAN: &[Step] = &[
    Quietly(r#"install -d -o "$USER_NAME" -g "$USER_NAME" "$CONFIG" "$CONFIG/containers""#),
    Excerpt("docs/engines.md", "podman", "toml", "$CONFIG/containers/containers.conf"),
    Prepare(image::make_once),
    check("import", "status=0", r#"$AS podman import --change CMD=sh "$DIR/box.tar" box"#),
    check("rootling is the runtime", "^rootling$", r#"$AS podman info --format "{{.Host.OCIRuntime.Name}}""#),
    check("podman runs a container", "^hello$", "$AS podman run --rm box echo hello"),
    check("with cgroups of its own", "^hello$", "$AS podman --cgroup-manager cgroupfs run --rm box echo hello"),
    check("with the seccomp profile", "^Seccomp:.2$",
        "$AS podman run --rm --security-opt seccomp=/usr/share/rootling/seccomp.json box grep Seccomp: /proc/self/status"),
    Excerpt("docs/engines.md", "Seccomp profile", "toml", "$DIR/profile.toml"),
    Quietly(r#"cat "$DIR/profile.toml" >>"$CONFIG/containers/containers.conf""#),
    check("the profile as the default", "^/usr/share/rootling/seccomp.json$",
        r#"$AS podman info --format "{{.Host.Security.SECCOMPProfilePath}}""#),
    check("it is in force", "^unshare: .*Operation not permitted", "$AS podman run --rm box unshare -U true"),
    check("one command alone", "^hello$", "$AS podman --runtime /usr/bin/rootling run --rm box echo hello"),
    check("buildah by the variable", "^hello$",
        r#"$AS env BUILDAH_RUNTIME=/usr/bin/rootling sh -c "buildah run \$(buildah from box) echo hello""#),
    check("buildah by the option", "^hello$",
        r#"$AS sh -c "buildah run --runtime /usr/bin/rootling \$(buildah from box) echo hello""#),
    check("buildah builds", "status=0",
        r#"install -d "$DIR/context" && printf "FROM localhost/box\nRUN echo from-run\n" >"$DIR/context/Containerfile"
        $AS buildah build --runtime /usr/bin/rootling "$DIR/context""#),
    also("RUN", "^from-run$"),
    // A script in place of rootling records everything that it does.
    Excerpt("docs/engines.md", "Errors", "sh", "$DIR/rootling.sh"),
    Quietly(r#"chmod 755 "$DIR/rootling.sh""#),
    check("a script in the place of rootling", "^hello$",
        r#"$AS podman --runtime "$DIR/rootling.sh" run --rm box echo hello"#),
    check("nothing is left", "status=0", "$AS podman system reset --force"),
];

/// The configuration for all users applies to root as well.
#[rustfmt::skip]
pub(crate) const WITH_PODMAN_OF_ROOT: &[Step] = &[
    Excerpt("docs/engines.md", "podman", "toml", "/etc/containers/containers.conf"),
    Prepare(image::make_once),
    check("import", "status=0", r#"podman import --change CMD=sh "$DIR/box.tar" box"#),
    check("rootling is the runtime", "^rootling$", r#"podman info --format "{{.Host.OCIRuntime.Name}}""#),
    check("podman runs a container", "^hello$", "podman run --rm box echo hello"),
    check("nothing is left", "status=0", "podman system reset --force && rm /etc/containers/containers.conf"),
];

#[rustfmt::skip]
pub(crate) const WITH_DOCKER: &[Step] = &[
    Prepare(image::make_once),
    Excerpt("docs/engines.md", "Docker", "json", "/etc/docker/daemon.json"),
    check("the daemon starts", "status=0", "systemctl restart docker"),
    check("import", "status=0", r#"docker import --change "CMD [\"sh\"]" "$DIR/box.tar" box"#),
    check("rootling is the runtime", "^rootling$", r#"docker info --format "{{.DefaultRuntime}}""#),
    check("docker runs a container", "^hello$", "docker run --rm box echo hello"),
    check("by the option", "^hello$", "docker run --rm --runtime rootling box echo hello"),
    check("with the seccomp profile", "^Seccomp:.2$",
        "docker run --rm --security-opt seccomp=/usr/share/rootling/seccomp.json box grep Seccomp: /proc/self/status"),
    Excerpt("docs/engines.md", "Runtime arguments", "json", "/etc/docker/daemon.json"),
    check("with arguments", "^hello$", "systemctl restart docker && docker run --rm box echo hello"),
    check("by options of the daemon", "^rootling$",
        r#"rm /etc/docker/daemon.json; systemctl stop docker docker.socket
        systemd-run -q --unit rootling-dockerd dockerd --add-runtime rootling=/usr/bin/rootling --default-runtime rootling
        for i in {1..100}; do docker info >/dev/null 2>&1 && break; sleep 1; done
        docker info --format "{{.DefaultRuntime}}"; docker run --rm box echo hello"#),
    also("runs a container", "^hello$"),
    check("save", "status=0", r#"docker save box -o "$DIR/saved.tar" && systemctl stop rootling-dockerd"#),
    check("what it has saved runs", "^hello$", r#"
        rootling image unpack "docker-archive:$DIR/saved.tar" "$DIR/unpacked" -- echo hello
        rootling run -b "$DIR/unpacked" saved"#),
    check("with all its files", "status=0", r#"
        diff <(tar -tf "$DIR/box.tar" | sed 's|^\./||; s|/$||' | grep . | sort) \
            <(cd "$DIR/unpacked/rootfs" && find . -mindepth 1 | sed 's|^\./||' | sort) && rm -r "$DIR/unpacked""#),
];

/// With the daemon as Debian's package of Docker starts it for an ordinary user.
#[rustfmt::skip]
pub(crate) const WITH_DOCKER_OF_A_USER: &[Step] = &[
    Prepare(image::make_once),
    Quietly(r#"install -d -o "$USER_NAME" -g "$USER_NAME" "$CONFIG" "$CONFIG/docker""#),
    Excerpt("docs/engines.md", "Docker", "json", "$CONFIG/docker/daemon.json"),
    check("the daemon starts", "^started$", r#"
        $AS systemd-run --user -q --unit rootling-docker --setenv="PATH=$PATH:/usr/sbin:/sbin" \
            /usr/share/docker.io/contrib/dockerd-rootless.sh --iptables=false --ip6tables=false
        for i in {1..100}; do $USERS info >/dev/null 2>&1 && break; sleep 1; done; $USERS info >/dev/null && echo started"#),
    check("import", "status=0", r#"$USERS import --change "CMD [\"sh\"]" "$DIR/box.tar" box"#),
    check("rootling is the runtime", "^rootling$", r#"$USERS info --format "{{.DefaultRuntime}}""#),
    check("docker runs a container", "^hello$", "$USERS run --rm box echo hello"),
    check("the daemon stops", "status=0", "$AS systemctl --user stop rootling-docker"),
];

/// For an ordinary user, in the namespaces of rootlesskit, before root has a configuration for it.
#[rustfmt::skip]
pub(crate) const WITH_CONTAINERD_OF_A_USER: &[Step] = &[
    Prepare(image::make_once),
    Excerpt("docs/engines.md", "As an ordinary user", "sh", "$DIR/containerd.sh"),
    Excerpt("docs/engines.md", "As an ordinary user", "console", "$DIR/typed"),
    Set("JOIN", r#"sed -n "s/^\$ alias in_rootlesskit='\(.*\)'$/\1/p" "$DIR/typed""#),
    Set("COMMAND", r#"sed -n 's/^\$ in_rootlesskit //p' "$DIR/typed""#),
    File("$DIR/join.sh", "$JOIN \"$@\"\n"),
    check("the daemon starts", "^started$", r#"
        $AS systemd-run --user -q --unit rootling-containerd --setenv="PATH=$PATH:/usr/sbin:/sbin" sh "$DIR/containerd.sh"
        for i in {1..100}; do $AS sh "$DIR/join.sh" ctr version >/dev/null 2>&1 && break; sleep 1; done
        $AS sh "$DIR/join.sh" ctr version >/dev/null && echo started"#),
    check("import", "status=0", r#"$AS sh "$DIR/join.sh" ctr images import --no-unpack "$DIR/oci.tar""#),
    check("ctr runs a container", "^hello$", r#"
        command=${COMMAND/IMAGE ID COMMAND.../box ID sh -c '"echo hello; cat /proc/self/cgroup"'}
        eval "$AS sh $DIR/join.sh ${command//ID/hello}""#),
    also("in a cgroup", "user.slice/ctr-hello.scope"),
    check("the daemon stops", "status=0", "$AS systemctl --user stop rootling-containerd"),
];

/// With the image that Docker has.
#[rustfmt::skip]
pub(crate) const WITH_CONTAINERD: &[Step] = &[
    Excerpt("docs/kubernetes.md", "containerd", "toml", "/etc/containerd/config.toml"),
    check("containerd starts", "status=0", "systemctl restart containerd"),
    check("it has the handler", r#"BinaryName = "/usr/bin/rootling""#, "containerd config dump"),
    check("import", "status=0", r#"ctr images import "$DIR/saved.tar""#),
    Excerpt("docs/engines.md", "containerd", "console", "$DIR/typed"),
    Set("COMMAND", r#"sed -n 's/^\$ sudo //p' "$DIR/typed""#),
    check("ctr runs a container", "^hello$",
        r#"eval "${COMMAND/IMAGE ID COMMAND.../docker.io/library/box:latest hello echo hello}""#),
];

#[rustfmt::skip]
pub(crate) const GONE: &[Step] = &[
    check("the package goes", "status=0", "apt-get purge -y rootling"),
    // The user in the VM has the same name, and Docker keeps a script for a runtime with arguments.
    check("nothing of it is left", "^none$",
        r#"find /usr /etc /var/lib /var/cache -name "*rootling*" -not -path "/var/lib/systemd/linger/*" \
        -not -path "/etc/sudoers.d/*" -not -path "/var/lib/docker/*" | grep . || echo none"#),
    check("AppArmor has forgotten it", "^0$",
        "cat /sys/kernel/security/apparmor/profiles 2>/dev/null | grep -cw ^rootling"),
];
