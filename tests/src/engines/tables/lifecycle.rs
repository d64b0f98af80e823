//! What is done with existing containers, for each engine with the command line of podman and Docker. Variables in
//! addition to those of `run`:
//!
//! - `RUNTIME_FIELD`: the name of the runtime's field in `inspect`
//! - `NAME`: the runtime's name
//! - `MISSING`: the exit code of `exec` if the program does not exist
//! - `MEMORY`: a limit, where one can be set
//! - `HEALTH_INTERVAL`: how often the engine itself checks a container's health

use crate::engines::scenario::{Step, also, check, soon};
use Step::{All, Machine, Quietly};

/// `state CONTAINER` prints the container's state, its exit code and its runtime.
pub(crate) const STATE: &str = r#"state() { $ENGINE inspect --format "{{.State.Status}} {{.State.ExitCode}} {{$RUNTIME_FIELD}}" "$1"; }"#;

/// A container that reports signals.
#[rustfmt::skip]
pub(crate) const WEB: &[Step] = &[
    Quietly("$RM web"),
    check("run -d", "status=0", r#"$ENGINE run -d --name web --net none $MEMORY --stop-signal TERM \
        --health-cmd "test -e /tmp/healthy" --health-interval "$HEALTH_INTERVAL" box sh -c "
            trap \"echo got-usr1\" USR1; trap \"echo got-term; exit 3\" TERM; touch /tmp/healthy; echo started
            while :; do sleep 0.2; done""#),
];

#[rustfmt::skip]
pub(crate) const LIFECYCLE: &[Step] = &[
    All(WEB),
    check("state", "^running 0 $NAME$", "state web"),
    soon("logs", "^started$", "$ENGINE logs web"),
    soon("top", "sleep 0.2|sh -c", "$ENGINE top web"),
    Machine(&[
        check("stats", " / (67.11MB|64MiB)", "$ENGINE stats --no-stream web"),
        check("update -m", "^33554432$", r#"$ENGINE update -m 32m --pids-limit 40 --cpus 0.7 web
            $ENGINE exec web sh -c "cd /sys/fs/cgroup; cat memory.max pids.max cpu.max""#),
        also("update --pids-limit", "^40$"),
        also("update --cpus", "^70000 100000$"),
    ]),
    check("cp to", "status=0", r#"$ENGINE cp "$DIR/ro/file" web:/tmp/copied"#),
    check("cp from", "^from-host$", r#"$ENGINE cp web:/tmp/copied "$DIR/back" && cat "$DIR/back""#),
    check("commit", "^from-host$",
        "$ENGINE commit web box2 && $ENGINE run --rm --net none box2 cat /tmp/copied"),
    check("pause", "^paused ", "$ENGINE pause web && state web"),
    check("exec while paused", "paused|state improper", "$ENGINE exec web true"),
    check("unpause", "^running ", "$ENGINE unpause web && state web"),
    check("kill -s USR1", "status=0", "$ENGINE kill -s USR1 web"),
    soon("kill -s USR1: the program got it", "^got-usr1$", "$ENGINE logs web"),
    check("stop", "^exited 3 ", "$ENGINE stop web; state web"),
    check("start", "^running ", "$ENGINE start web && state web"),
    check("restart", "^running ", "$ENGINE restart -t 5 web && state web"),
    check("kill", "^137$", "$ENGINE kill web >/dev/null; $ENGINE wait web"),
    check("exec when stopped", "not running|state improper", "$ENGINE exec web true"),
    check("start -a of what was created", "^ran$",
        "$ENGINE create --name later --net none box echo ran && $ENGINE start -a later"),
    check("rm", "status=0", "$ENGINE rm web later"),
    check("attach", "^line-9$", r#"$ENGINE run -d --name lines --net none box sh -c "
            sleep 2; for i in 1 2 3 4 5 6 7 8 9; do echo line-\$i; sleep 0.5; done" >/dev/null
        $ENGINE attach --no-stdin lines; $RM lines"#),
];

#[rustfmt::skip]
pub(crate) const EXECS: &[Step] = &[
    All(WEB),
    check("exit code", "status=5", r#"$ENGINE exec web sh -c "exit 5""#),
    check("-u -w -e", "^1000 /tmp two$",
        r#"$ENGINE exec -u user -w /tmp -e V=two web sh -c "echo \$(id -u) \$PWD \$V""#),
    check("-it", "terminal$",
        r#"script -qec "$ENGINE exec -it web sh -c \"test -t 0 && echo terminal && sleep 1\"" /dev/null"#),
    check("-i", "^piped$", "echo piped | $ENGINE exec -i web cat"),
    check("-d", "status=0", "$ENGINE exec -d web touch /tmp/detached"),
    soon("-d: it was done", "status=0", "$ENGINE exec web test -e /tmp/detached"),
    check("program missing", "status=$MISSING", "$ENGINE exec web /no/such"),
    check("program not executable", "status=126", "$ENGINE exec web /etc/plain"),
    check("rm -f", "status=0", "$RM web"),
];
