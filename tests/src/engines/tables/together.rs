//! What podman and buildah have besides containers: pods, systemd units and images, and what is left at the end.

use crate::engines::scenario::{Step, also, as_root, as_user, check, soon};
use Step::{File, Quietly, When};

#[rustfmt::skip]
pub(crate) const PODS: &[Step] = &[
    check("create", "status=0", "podman pod create --name pod --share net,ipc,uts,pid --hostname ph"),
    check("first", "status=0", "podman run -d --pod pod --name first box sleep 1000"),
    check("second: host name", "^ph$", r#"podman run --rm --pod pod box sh -c "hostname; ps""#),
    also("second sees the first", "sleep 1000"),
    check("second is in the namespaces of the first", "^4$", r#"
        show="for i in net ipc uts pid; do readlink /proc/self/ns/\$i; done"
        { podman exec first sh -c "$show"; podman run --rm --pod pod box sh -c "$show"; } | sort | uniq -d | wc -l"#),
    check("pause, unpause", "^Running$", r#"podman pod pause pod && podman pod unpause pod
        podman pod inspect --format "{{.State}}" pod"#),
    check("top, stats", "sleep", "podman pod top pod && podman pod stats --no-stream pod"),
    check("stop, rm", "status=0", "podman pod stop -t 0 pod && podman pod rm pod"),
];

#[rustfmt::skip]
pub(crate) const KUBE: &[Step] = &[
    File("$DIR/kube.yaml", include_str!("files/kube.yaml")),
    check("play", "status=0", r#"podman kube play "$DIR/kube.yaml""#),
    soon("environment", "^from-kube$", "podman logs kube-c"),
    soon("read-only", "/x: Read-only file system", "podman logs kube-c"),
    also("user", "^uid=1000"),
    also("volume", "^from-host$"),
    Step::Machine(&[
        soon("CPU", "^50000 100000$", "podman logs kube-c"),
        also("memory", "^67108864$"),
    ]),
    check("generate", "kind: Pod", "podman kube generate kube"),
    check("down", "status=0", r#"podman kube down "$DIR/kube.yaml""#),
];

#[rustfmt::skip]
pub(crate) const UNITS: &[Step] = &[
    File("$XDG_RUNTIME_DIR/containers/systemd/$UNIT.container", include_str!("files/quadlet.container")),
    check("quadlet", "^active$",
        r#"systemctl $OF daemon-reload; systemctl $OF start "$UNIT"; systemctl $OF is-active "$UNIT""#),
    soon("quadlet: logs", "^from-quadlet$", "podman logs quadlet"),
    check("quadlet: stop", "^inactive$", r#"systemctl $OF stop "$UNIT"; systemctl $OF is-active "$UNIT""#),
    Quietly(r#"rm -f "$XDG_RUNTIME_DIR/containers/systemd/$UNIT.container""#),
    check("generate systemd", "^ExecStart=", "systemctl $OF daemon-reload
        podman create --name unit box sleep 1000 && podman generate systemd --new --name unit && podman rm unit"),
];

/// For root, buildah raises limits of processes, which takes a capability.
#[rustfmt::skip]
pub(crate) const BUILD: &[Step] = &[
    When(as_root, &[Step::Machine(IMAGES)]),
    When(as_user, IMAGES),
];

#[rustfmt::skip]
const IMAGES: &[Step] = &[
    File("$DIR/context/data", "data\n"),
    File("$DIR/context/Containerfile", include_str!("files/Containerfile")),
    check("podman build", "status=0", r#"podman build -q --network none -t built "$DIR/context""#),
    check("RUN as a user", "^1000$", "podman run --rm --net none built cat made /built"),
    also("RUN as root", "^0$"),
    check("buildah bud", "status=0",
        r#"buildah bud --network none --isolation oci --no-cache -t built2 "$DIR/context""#),
    check("buildah run", "^from-host$", r#"c=$(buildah from localhost/box)
        buildah run --network none -t --cap-drop all -v "$DIR/ro:/ro:ro" "$c" cat /ro/file; buildah rm "$c""#),
];

#[rustfmt::skip]
pub(crate) const LEFT: &[Step] = &[
    check("one is still running", "status=0", "podman run -d --name last box sleep 1000"),
    check("system reset", "status=0", "podman system reset --force"),
    soon("no process", "^none$", r#"pgrep -af "$DIR|$RUN" | grep -v pgrep | grep . || echo none"#),
    // The first process of `last`, and podman's programs, whose command lines do not contain its directories.
    soon("no process by its name", "^none$",
        r#"pgrep -u "$UID" -ax "conmon|pasta.*|slirp4netns|aardvark-dns|sleep" || echo none"#),
    soon("no network", "^none$", r#"ls "$XDG_RUNTIME_DIR/netns" 2>/dev/null | grep . || echo none"#),
    // podman's namespace is kept by a process that waits.
    check("no mount", "^none$", r#"own=$(cat "$RUN/tmp/pause.pid" 2>/dev/null)
        grep -e "$DIR" -e "$RUN" /proc/self/mountinfo || grep -s /merged "/proc/${own:-none}/mountinfo" || echo none"#),
    check("no state", "^none$", r#"ls "$XDG_RUNTIME_DIR/${RUNTIME##*/}" | grep . || echo none"#),
    // Other users have their own.
    soon("no cgroup", "^none$", r#"cd /sys/fs/cgroup; ((!UID)) || cd "user.slice/user-$UID.slice"
        find . -path ./user.slice -prune -o -name "libpod-*" -print | grep . || echo none"#),
];
