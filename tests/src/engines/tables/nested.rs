//! rootling in the containers of an engine with the command line of podman and Docker. What is relaxed is what the
//! message of the previous scenario names. Variables in addition to those of `run`:
//!
//! - `INNER`: the path of rootling, whatever runtime the engine uses
//! - `UNMASK`: the engine's option of `--security-opt` that leaves /proc uncovered
//! - `OPEN`: the options with which nothing is forbidden

use crate::engines::scenario::{Facts, Step, also, as_root, as_user, check};
use crate::engines::setup;
use Step::{Machine, Prepare, When};

/// `inside BUNDLE [OPTION...]` runs a container of rootling in a container of the engine with these options, and
/// also prints the number of warnings; `sibling` is a process of the outer container.
pub(crate) const INSIDE: &str = r#"inside() {
    local bundle=$1
    shift
    $ENGINE run --rm --net none -v "$INNER:/rootling:ro" -v "$DIR/inner:/inner" \
        -v "$DIR/limited:/limited" "$@" box sh -c "sh -c \"sleep 100; : sibling\" & \
            /rootling --root /tmp/state run -b /$bundle c >/tmp/out 2>&1; echo inner=\$?
            cat /tmp/out; echo warnings=\$(grep -c warning: /tmp/out); ls -A /tmp/state"
}"#;

/// What is the same for all engines, after what differs.
#[rustfmt::skip]
pub(crate) const EVERYWHERE: &[Step] = &[
    check("nothing in the way", "^inner=0$", "inside inner $OPEN"),
    also("nothing in the way: no warning", "^warnings=0$"),
    also("nothing in the way: its name", "^inner$"),
    also("nothing in the way: its own processes", "^0$"),
    check("--privileged", "^inner=0$", "inside inner --privileged"),
    also("--privileged: no warning", "^warnings=0$"),
    Machine(&[
        check("limits with --privileged", "^inner=0$", "inside limited --privileged"),
        also("limits with --privileged: set", "^67108864$"),
    ]),
];

#[rustfmt::skip]
pub(crate) const PODMAN: &[Step] = &[
    Prepare(setup::bundles),
    check("default", "^inner=0$", "inside inner"),
    also("default: root", "^inside 0$"),
    also("default: device", "^c.* 1, +3 .*/dev/null$"),
    also("default: what uncovers /proc", r"warning: .* /proc: .*unmask=ALL \(podman\)"),
    also("default: what gives a name", "warning: hostname .*--security-opt seccomp=unconfined"),
    check("uncovered /proc", "^warnings=1$", "inside inner --security-opt $UNMASK"),
    also("uncovered /proc: own processes", "^0$"),
    check("no filter", "^inner$", "inside inner --security-opt seccomp=unconfined"),
    check("one id", "^inner=0$", "inside inner --uidmap 0:0:1 --gidmap 0:0:1"),
    check("no capability", r#"^rootling: run "c": .*--cap-add SETFCAP"#, "inside inner --cap-drop all"),
    also("no capability: one error", "^inner=1$"),
    check("the capability that was named", "^inner=0$", "inside inner --cap-drop all --cap-add SETFCAP"),
    check("read-only", "^inner=0$", "inside inner --read-only --tmpfs /tmp"),
    When(as_user, &[
        check("keep-id", "^inner=0$", "inside inner --userns keep-id"),
        also("keep-id: ids that there are", r#"add the line "[^:]*:1001:[0-9]+" to /etc/subuid"#),
    ]),
    When(as_root, &[
        check("a user", "^inner=0$", "inside inner -u 1000"),
    ]),
    check("limits", r#"^rootling: run "c": .*memory.limit .*--security-opt unmask=/sys/fs/cgroup"#,
        "inside limited"),
    also("limits: one error", "^inner=1$"),
    Machine(&[
        check("limits with writable cgroups", "^67108864$",
            "inside limited --security-opt unmask=/sys/fs/cgroup"),
    ]),
    check("life of a container", "^from-exec$",
        r#"$ENGINE run --rm --net none -v "$INNER:/rootling:ro" -v "$DIR/inner:/inner" \
        box sh -c "cd /tmp; mkdir b; sed \"s/exec true/exec sleep 100/\" /inner/config.json >b/config.json
            r=\"/rootling --root /tmp/state\"; \$r create -b b c >/tmp/out 2>&1 && \$r start c && \$r exec c echo from-exec
            \$r kill c KILL; until \$r state c | grep -q stopped; do sleep 0.1; done; \$r delete c; ls -A /tmp/state""#),
    also("life of a container: its end", "^status=0$"),
];
fn with_apparmor(facts: Facts) -> bool {
    facts.root && facts.apparmor
}

/// Docker forbids namespaces and mounts in an ordinary container, by its filter and, for root, by AppArmor.
#[rustfmt::skip]
pub(crate) const DOCKER: &[Step] = &[
    Prepare(setup::bundles),
    check("default", r#"^rootling: run "c": .*--security-opt seccomp=unconfined"#, "inside inner"),
    also("default: one error", "^inner=1$"),
    When(with_apparmor, &[
        also("default: AppArmor too", r#"^rootling: run "c": .*--security-opt apparmor=unconfined"#),
        check("no filter", r#"^rootling: run "c": .*--security-opt apparmor=unconfined"#,
            "inside inner --security-opt seccomp=unconfined"),
        check("CAP_SYS_ADMIN", r#"^rootling: run "c": .*read-only.*--privileged"#,
            "inside inner --cap-add SYS_ADMIN"),
    ]),
    check("what was named", "^inner=0$",
        "inside inner --security-opt seccomp=unconfined --security-opt apparmor=unconfined"),
    also("what was named: what uncovers /proc", r"warning: .* /proc: .*systempaths=unconfined \(Docker\)"),
    check("a user", "^inner=0$", "inside inner -u 1000 $OPEN"),
];
