//! containerd with `ctr`. Variables:
//!
//! - `CTR`: `ctr` with the daemon's address
//! - `IN`: the command that enters the daemon's namespaces, if they are not the machine's
//! - `SLICE`: the systemd slice that contains the cgroups of containers
//! - `MANY`: the number of containers that are to run at the same time

use crate::engines::containerd::restart;
use crate::engines::scenario::{Step, also, as_root, check, check_within, soon};
use Step::{All, Machine, Prepare, Set, When};

/// `with CONTAINER` prints ctr's options for using the runtime, with a systemd cgroup named after user and
/// container.
pub(crate) const WITH: &str =
    r#"with() { echo "--runc-binary $RUNTIME --runc-systemd-cgroup --cgroup $SLICE:ctr$UID:$1"; }"#;

/// `daemon_pid` prints the pid of the daemon itself, which may be below rootlesskit.
pub(crate) const DAEMON_PID: &str =
    r#"daemon_pid() { pgrep -xf "containerd --config $DIR/config.toml .*"; }"#;

/// `call COMMAND...` calls the runtime itself, as the shim does.
pub(crate) const CALL: &str = r#"call() { $IN "$RUNTIME" --root /run/containerd/runc/default "$@"; }"#;

#[rustfmt::skip]
pub(crate) const IMAGE: &[Step] = &[
    check("import", "status=0", r#"$CTR image import --no-unpack "$DIR/oci.tar" && $CTR image ls"#),
    // In a user namespace it would need more configuration than just the runtime.
    When(as_root, &[
        check("plugin for Kubernetes knows the runtime", "io.containerd.grpc.v1.*cri.* ok", "$CTR plugins ls"),
    ]),
];

#[rustfmt::skip]
pub(crate) const RUN: &[Step] = &[
    check("exit code", "status=7", "$CTR run --rm $(with one) box one sh -c 'echo out; exit 7'"),
    also("stdout", "^out$"),
    check("many options", "status=0",
        r"$CTR run --rm $(with two) --env E=one --cwd /home/user --user 1000:1000 --read-only \
        --mount type=bind,src=$DIR/ro,dst=/ro,options=rbind:ro --seccomp box two sh -c '
            echo E=$E; pwd; id; cat /ro/file; touch /ro/x; touch /x; grep Seccomp: /proc/self/status'"),
    also("--env", "^E=one$"),
    also("--cwd", "^/home/user$"),
    also("--user", "^uid=1000"),
    also("--mount", "^from-host$"),
    also("--mount ro", "/ro/x: Read-only"),
    also("--read-only", "/x: Read-only"),
    also("--seccomp", "^Seccomp:.2$"),
    check("-t", "terminal$",
        r#"script -qec "$CTR run --rm -t $(with three) box three sh -c 'test -t 1 && echo terminal && sleep 1'" /dev/null"#),
    check("--privileged", "^CapEff:.000001ffffffffff$",
        "$CTR run --rm --privileged $(with four) box four grep CapEff /proc/self/status"),
    check("--net-host", "^lo$", "$CTR run --rm --net-host $(with five) box five ls /sys/class/net"),
    check("program missing", "/no/such.*(no such file|not found)",
        "$CTR run --rm $(with six) box six /no/such"),
];

#[rustfmt::skip]
pub(crate) const LIFECYCLE: &[Step] = &[
    check("run -d", "status=0",
        r#"$CTR run -d --memory-limit 67108864 --cpus 0.5 --log-uri file://$DIR/web.log $(with web) box web sh -c '
        trap "echo got-usr1" USR1; trap "exit 3" TERM; echo started; while :; do sleep 0.2; done'"#),
    Machine(&[
        check("--memory-limit", "^67108864$",
            r#"cd "$(find /sys/fs/cgroup -name "ctr$UID-web.scope")" && cat memory.max cpu.max"#),
        also("--cpus", "^50000 100000$"),
    ]),
    check("task ls", "^web +[0-9]+ +RUNNING", "$CTR task ls"),
    soon("logs", "^started$", r#"cat "$DIR/web.log""#),
    check("exec", "status=5", r#"$CTR task exec --exec-id e1 web sh -c "exit 5""#),
    check("exec -t", "terminal$",
        r#"script -qec "$CTR task exec -t --exec-id e2 web sh -c \"test -t 0 && echo terminal && sleep 1\"" /dev/null"#),
    check("exec --user --cwd", "^1000 /tmp$",
        r#"$CTR task exec --exec-id e3 --user 1000 --cwd /tmp web sh -c "echo \$(id -u) \$PWD""#),
    check("exec -d", "^detached$",
        r#"$CTR task exec -d --exec-id e5 web sh -c "echo detached >/tmp/detached" && sleep 2 &&
        $CTR task exec --exec-id e6 web cat /tmp/detached"#),
    check("exec: program missing", "/no/such.*(no such file|not found)",
        "$CTR task exec --exec-id e4 web /no/such"),
    check("metrics", "^memory.usage_in_bytes|^memory.usage|usage_limit.*67108864|memory.usage_limit",
        "$CTR task metrics web"),
    // ctr has no such command; this is what the shim calls for Kubernetes.
    Machine(&[
        check("update", "^33554432$", r#"echo "{\"memory\": {\"limit\": 33554432}, \"pids\": {\"limit\": 40}}" |
                $IN "$RUNTIME" --root /run/containerd/runc/default --systemd-cgroup update --resources - web
            cd "$(find /sys/fs/cgroup -name "ctr$UID-web.scope")" && cat memory.max pids.max"#),
        also("update: pids", "^40$"),
    ]),
    check("ps", "^[0-9]+", "$CTR task ps web"),
    check("pause", "PAUSED", "$CTR task pause web && $CTR task ls"),
    check("resume", "RUNNING", "$CTR task resume web && $CTR task ls"),
    check("kill -s USR1", "status=0", "$CTR task kill -s SIGUSR1 web"),
    soon("kill -s USR1: the program got it", "^got-usr1$", r#"cat "$DIR/web.log""#),
    check("kill", "status=0", "$CTR task kill web"),
    soon("kill: it has stopped", "STOPPED", "$CTR task ls"),
    All(CALLS),
    check("task rm", "non-zero exit code 3", "$CTR task rm web"),
    check("the runtime has forgotten it", "does not exist", "call state web"),
    check("task start again", "RUNNING", "$CTR task start -d web && $CTR task ls"),
    check("task rm -f", "status=0", "$CTR task rm -f web; $CTR container rm web"),
];

/// The words by which the shim recognises that a process has ended; the runtime itself is called.
#[rustfmt::skip]
const CALLS: &[Step] = &[
    check("state of what has ended", r#""status": ?"stopped""#, "call state web"),
    check("kill of what has ended", "container not running|[Nn]o such process", "call kill web TERM"),
    check("kill 0 of what has ended", "container not running|[Nn]o such process", "call kill web 0"),
];

/// A container continues without its daemon.
#[rustfmt::skip]
pub(crate) const RESTART: &[Step] = &[
    check("run -d", "status=0", "$CTR run -d $(with stays) box stays sleep 1000"),
    Set("BEFORE", "daemon_pid"),
    Prepare(restart),
    check("another daemon", "^yes$", "daemon_pid | grep -qvx $BEFORE && echo yes"),
    check("runs after the restart", "^stays +[0-9]+ +RUNNING", "$CTR task ls"),
    check("exec", "status=0", "$CTR task exec --exec-id e stays true"),
    check("task rm -f", "status=0", "$CTR task rm -f stays; $CTR container rm stays"),
];

/// On a slow machine, some of more simultaneous clients would give up.
#[rustfmt::skip]
pub(crate) const MANY: &[Step] = &[
    check_within(600, "$MANY at the same time", "status=0", r#"seq "$MANY" | xargs -P 10 -I{} \
        $CTR run -d --runc-binary "$RUNTIME" --runc-systemd-cgroup --cgroup "$SLICE:ctr$UID:m{}" box m{} sleep 10000"#),
    check("all run", "^yes$", r#"[[ $($CTR task ls | grep -c RUNNING) == "$MANY" ]] && echo yes"#),
    check_within(400, "removed together", "status=0", r#"all=$($CTR container ls -q | grep "^m")
        $CTR task rm -f $all; $CTR container rm $all"#),
];

#[rustfmt::skip]
pub(crate) const LEFT: &[Step] = &[
    check("no task", "^none$", "$CTR task ls -q | grep . || echo none"),
    check("no shim", "^none$", r#"pgrep -af "containerd-shim.*$RUN" | grep -v pgrep || echo none"#),
    check("no cgroup", "^none$", r#"find /sys/fs/cgroup -name "ctr$UID-*" | grep . || echo none"#),
];
