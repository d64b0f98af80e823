//! Scenarios that are specific to Docker. Variables in addition to those of `lifecycle`:
//!
//! - `MANY`: the number of containers that are to run at the same time
//! - `REMAP`: the user whose subordinate ids a daemon with a user namespace uses

use crate::engines::docker::{restart, restart_remapped};
use crate::engines::scenario::{Step, also, as_root, check, check_within, soon};
use crate::engines::tables::lifecycle::WEB;
use Step::{All, File, Machine, Prepare, Set, When};

#[rustfmt::skip]
pub(crate) const IMAGE: &[Step] = &[
    check("import", "status=0", r#"docker import --change "CMD [\"sh\"]" "$DIR/box.tar" box"#),
    check("the runtime is the one", "^$NAME$", r#"docker info --format "{{.DefaultRuntime}}""#),
    check("features are known", "runtime-spec.features.*ociVersionMin", r#"docker info --format "{{json .Runtimes}}""#),
];

#[rustfmt::skip]
pub(crate) const BUILD: &[Step] = &[
    File("$DIR/context/data", "data\n"),
    File("$DIR/context/Dockerfile", include_str!("files/Containerfile")),
    check("docker build", "status=0", r#"docker build -q --network none -t built "$DIR/context""#),
    check("RUN as a user", "^1000$", "docker run --rm --net none built cat made /built"),
    also("RUN as root", "^0$"),
];

#[rustfmt::skip]
pub(crate) const HEALTH: &[Step] = &[
    All(WEB),
    soon("healthy", "^healthy$", r#"docker inspect --format "{{.State.Health.Status}}" web"#),
    check("rm -f", "status=0", "docker rm -f web"),
];

/// A container continues without its daemon. In the namespaces of rootlesskit, which end with the daemon, it is
/// started again.
#[rustfmt::skip]
pub(crate) const RESTART: &[Step] = &[
    check("run -d --restart", "status=0", r#"docker run -d --name stays --net none --restart always box sh -c "
        echo \$RANDOM >/tmp/once; while :; do sleep 1; done""#),
    Set("BEFORE", r#"docker inspect --format "{{.State.Pid}}" stays"#),
    Prepare(restart),
    soon("runs after the restart", "^true",
        r#"docker inspect --format "{{.State.Running}} {{.State.Pid}}" stays"#),
    When(as_root, &[also("is the same process", "^true $BEFORE$")]),
    check("exec", "status=0", "docker exec stays cat /tmp/once"),
    check("stop", "status=0", "docker stop -t 1 stays"),
    check("rm", "status=0", "docker rm stays"),
];

/// The daemon with another configuration: a user namespace for containers, and no systemd for their cgroups.
#[rustfmt::skip]
pub(crate) const REMAP: &[Step] = &[
    Prepare(restart_remapped),
    Set("FIRST", r#"awk -F: -v user="$REMAP" '$1 == user { print $2; exit }' /etc/subuid"#),
    check("cgroup driver", "^cgroupfs$", r#"docker info --format "{{.CgroupDriver}}""#),
    check("import", "status=0", r#"docker import --change "CMD [\"sh\"]" "$DIR/box.tar" box"#),
    check("map", "^ +0 +$FIRST +[0-9]+$", "docker run --rm --net none box cat /proc/self/uid_map"),
    check("--userns host", "^ +0 +0 +4294967295$",
        "docker run --rm --net none --userns host box cat /proc/self/uid_map"),
    Machine(&[
        check("a user, a volume, limits", "^1000 from-host 67108864$",
            r#"docker run --rm --net none -u 1000 -m 64m -v "$DIR/ro:/ro:ro" box sh -c "
            echo \$(id -u) \$(cat /ro/file) \$(cat /sys/fs/cgroup/memory.max)""#),
    ]),
    check("--device", "status=0", r#"docker run --rm --net none --device /dev/fuse box sh -c ": <>/dev/fuse""#),
    check("exec", "status=5",
        r#"docker run -d --name mapped box sleep 1000; docker exec mapped sh -c "exit 5""#),
    check("rm -f", "status=0", "docker rm -f mapped"),
    Prepare(restart),
];

/// On a slow machine, some of more simultaneous clients would give up.
#[rustfmt::skip]
pub(crate) const MANY: &[Step] = &[
    check_within(600, "$MANY at the same time", "status=0", r#"seq "$MANY" | xargs -P 10 -I{} \
        docker run -d --net none --label many box sleep 10000 >/dev/null"#),
    check("all run", "^yes$", r#"[[ $(docker ps -q --filter label=many | wc -l) == "$MANY" ]] && echo yes"#),
    check_within(400, "removed together", "status=0", "docker rm -f $(docker ps -aq --filter label=many)"),
];

#[rustfmt::skip]
pub(crate) const LEFT: &[Step] = &[
    check("no container", "^none$", "docker ps -aq | grep . || echo none"),
    check("no state of the runtime", "^none$",
        r#"ls "$RUN"/exec/*/moby "$XDG_RUNTIME_DIR/${RUNTIME##*/}" 2>/dev/null |
        grep -E "[0-9a-f]{64}" || echo none"#),
    check("no shim", "^none$", r#"pgrep -af "containerd-shim.*$RUN" | grep -v pgrep || echo none"#),
    // Other users have their own.
    check("no cgroup", "^none$", r#"cd /sys/fs/cgroup; ((!UID)) || cd "user.slice/user-$UID.slice"
        find . -path ./user.slice -prune -o -type d -path "*docker*" -print | grep -E "[0-9a-f]{64}" || echo none"#),
];
