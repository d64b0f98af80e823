//! Options and commands that podman has and Docker does not. Variables in addition to those of `lifecycle`:
//!
//! - `CALL`: the command that calls the runtime itself, in podman's namespaces
//! - `OF`: the option of systemctl that selects the caller's manager

use crate::engines::scenario::{Step, also, as_root, as_user, check, soon};
use crate::engines::tables::lifecycle::WEB;
use Step::{All, File, When};

/// `serve NETWORK` starts a server that can be reached from the host through a port.
pub(crate) const SERVE: &str = r#"serve() {
    podman run -d --name server --net "$1" -p 127.0.0.1:18081:80 box sh -c "
            echo hello from \$(ls /sys/class/net | grep -vx lo) >/tmp/index.html; exec httpd -f -h /tmp"
}"#;

#[rustfmt::skip]
pub(crate) const IMAGE: &[Step] = &[
    check("import", "status=0", r#"podman import --change CMD=sh "$DIR/box.tar" box"#),
    check("the runtime is the one", "^$NAME$", r#"podman info --format "{{.Host.OCIRuntime.Name}}""#),
];

#[rustfmt::skip]
pub(crate) const OWN: &[Step] = &[
    check("--uidmap", "^ +0 +1 +500$",
        "podman run --rm --uidmap 0:1:500 --gidmap 0:1:500 box cat /proc/self/uid_map"),
    check("-v O", "^over$",
        r#"podman run --rm -v "$DIR/ro:/ro:O" box sh -c "echo over >/ro/file; cat /ro/file""#),
    check("-v O leaves the source", "^from-host$", r#"cat "$DIR/ro/file""#),
    check("--rootfs", "^inside$", r#"mkdir "$DIR/rootfs" && tar -C "$DIR/rootfs" -xf "$DIR/box.tar" &&
        podman run --rm --rootfs "$DIR/rootfs" echo inside"#),
    check("--umask", "^0027$", "podman run --rm --umask 0027 box sh -c umask"),
    check("--cap-add for a user", "^CapEff:.0000000000000400$",
        "podman run --rm -u 1000 --cap-add net_bind_service box grep CapEff /proc/self/status"),
    check("--cgroups=disabled", "status=0", "podman run --rm --net none --cgroups=disabled box true"),
    check("--preserve-fds", "^through-3$",
        r#"podman run --rm --preserve-fds 1 box sh -c "cat <&3" 3<<<through-3"#),
    All(CREATED),
    All(CALLS),
    All(HEALTH),
    All(CHECKPOINT),
    When(as_user, OF_A_USER),
];

#[rustfmt::skip]
const OF_A_USER: &[Step] = &[
    check("--userns keep-id", "^$CALLER$", "podman run --rm --userns keep-id box id -u"),
    check("--userns auto", "^ +0 +[0-9]+ +[0-9]+$", "podman run --rm --userns auto box cat /proc/self/uid_map"),
    check("--userns auto:size", "^ +0 +[0-9]+ +1024$",
        "podman run --rm --userns auto:size=1024 box cat /proc/self/uid_map"),
    check("--group-add keep-groups", "status=0", "podman run --rm --group-add keep-groups box id"),
    check("--net slirp4netns", "status=0", "serve slirp4netns"),
    soon("--net slirp4netns: it answers", "^hello from tap0$", "curl -s -m 10 http://127.0.0.1:18081/index.html"),
    check("--net slirp4netns: rm", "status=0", "$RM server"),
    check("--net pasta", "status=0", "serve pasta"),
    soon("--net pasta: it answers", "^hello from eth0$", "curl -s -m 10 http://127.0.0.1:18081/index.html"),
    check("--net pasta: rm", "status=0", "$RM server"),
];

#[rustfmt::skip]
const CREATED: &[Step] = &[
    check("init", "^initialized ",
        "podman create --name init --net none box echo ran && podman init init; state init"),
    check("start -a after init", "^ran$", "podman start -a init"),
    check("rm after init", "status=0", "podman create --name second --net none box true && podman init second &&
        podman rm -f -t 0 second init"),
];

/// What conmon and podman depend on; the runtime itself is called, in podman's namespaces.
#[rustfmt::skip]
const CALLS: &[Step] = &[
    check("created", "status=0", "podman create --name calls --net none box sleep 1000 && podman init calls"),
    check("state", r#""status": ?"created""#,
        r#"ID=$(podman inspect --format "{{.ID}}" calls); $CALL state "$ID"
        $CALL exec "$ID" sh -c "exit 5"; echo exec=$?; $CALL kill "$ID" 0; echo kill=$?"#),
    also("exec before start", "^exec=5$"),
    also("kill 0", "^kill=0$"),
    check("start", "^running ", "podman start calls; state calls"),
    check("ended behind the back of podman", "^exited 137 ",
        r#"$CALL kill --all "$(podman inspect --format "{{.ID}}" calls)" KILL
        podman wait calls; state calls"#),
    check("of one that is not there", "does not exist",
        "$CALL state nosuch; echo state=$?; $CALL kill nosuch 0; echo kill=$?
        $CALL delete --force nosuch; echo delete=$?"),
    also("state of one that is not there", "^state=1$"),
    also("kill of one that is not there", "^kill=1$"),
    also("delete --force of one that is not there", "^delete=0$"),
    check("rm", "status=0", "podman rm calls"),
    // The container's own keyring is named after it.
    File("$DIR/keyring.conf", "[containers]\nkeyring = false\n"),
    check("--no-new-keyring", "^0$", r#"CONTAINERS_CONF_OVERRIDE=$DIR/keyring.conf podman run --rm --net none \
        --security-opt unmask=/proc/keys box grep -cE "keyring +_ses\.?[0-9a-f]{64}" /proc/keys"#),
    check("a new keyring", "^[1-9]$", r#"podman run --rm --net none \
        --security-opt unmask=/proc/keys box grep -cE "keyring +_ses\.?[0-9a-f]{64}" /proc/keys"#),
];

#[rustfmt::skip]
const HEALTH: &[Step] = &[
    All(WEB),
    soon("healthcheck", "status=0", "podman healthcheck run web"),
    check("healthcheck: unhealthy", "status=1", "podman exec web rm /tmp/healthy; podman healthcheck run web"),
    // podman's timers belong to systemd, which must know the configuration.
    check("--health-interval", "status=0", r#"
        systemctl $OF set-environment "CONTAINERS_CONF=$CONTAINERS_CONF" "CONTAINERS_STORAGE_CONF=$CONTAINERS_STORAGE_CONF"
        podman run -d --name timed --net none --health-cmd true --health-interval 1s --health-start-period 0s box sleep 1000"#),
    soon("--health-interval: it was asked", "^healthy$",
        r#"podman inspect --format "{{.State.Health.Status}}" timed"#),
    check("--health-interval: rm", "status=0", "podman rm -f -t 0 timed
        systemctl $OF unset-environment CONTAINERS_CONF CONTAINERS_STORAGE_CONF"),
];

/// An ordinary user gets a reason. Root needs a CRIU that fits the kernel, as the one in the VM does.
#[rustfmt::skip]
const CHECKPOINT: &[Step] = &[
    When(as_user, &[
        check("checkpoint", "checkpoint.*(root|CRIU|support)", "podman container checkpoint web"),
    ]),
    When(as_root, &[
        check("checkpoint", "^running ", "podman container checkpoint web &&
            podman container restore web && state web"),
    ]),
    check("rm -f", "status=0", "podman rm -f -t 0 web"),
];
