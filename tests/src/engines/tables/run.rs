//! Options of `run`, for each engine with the command line of podman and Docker. Variables:
//!
//! - `ENGINE`: podman or docker
//! - `RM`: the command that removes a running container
//! - `PORT`: one that no other run publishes
//! - `SHARED`: the namespaces that the engine's host shares with the machine
//!
//! A program with a terminal lives on for a second after its output. podman loses the output of one that ends at once now
//! and then, while conmon has it in its log: in 3 of 250 runs with rootling and in 1 of 73 with crun, under emulation.

use crate::engines::scenario::{Facts, Step, also, as_root, as_user, check, soon};
use Step::{All, File, Quietly, When};

#[rustfmt::skip]
pub(crate) const RUN: &[Step] = &[
    check("exit code", "status=7", r#"$ENGINE run --rm box sh -c "echo out; echo err >&2; exit 7""#),
    also("stdout", "^out$"),
    also("stderr", "^err$"),
    All(MANY_OPTIONS),
    check("-it", "status=0",
        r#"script -qec "$ENGINE run --rm -it box sh -c \"test -t 1 && echo terminal && sleep 1\"" /dev/null"#),
    also("terminal", "terminal$"),
    check("-i", "^piped$", "echo piped | $ENGINE run --rm -i box cat"),
    check("program missing", "status=127", "$ENGINE run --rm box /no/such"),
    also("program missing: message", "/no/such.*([Nn]o such file|not found)"),
    check("program not executable", "status=126", "$ENGINE run --rm box /etc/plain"),
    check("-v rw", "^from-container$",
        r#"$ENGINE run --rm --net none -v "$DIR/rw:/rw:rw" box sh -c "echo from-container >/rw/file" &&
        cat "$DIR/rw/file""#),
    check("--group-add", "groups=.*44", "$ENGINE run --rm --group-add 44 box id"),
    check("named volume", "^root$", "$ENGINE run --rm -v etc:/etc box cut -d : -f 1 /etc/group"),
    check("--security-opt seccomp=unconfined", "^Seccomp:.0$",
        "$ENGINE run --rm --security-opt seccomp=unconfined box grep Seccomp: /proc/self/status"),
    File("$DIR/seccomp.json", include_str!("files/seccomp.json")),
    check("--security-opt seccomp=FILE", "sethostname: (Operation n|N)ot supported",
        r#"$ENGINE run --rm --cap-add sys_admin --security-opt seccomp="$DIR/seccomp.json" box hostname x"#),
    check("--device", "status=0",
        r#"$ENGINE run --rm --device /dev/fuse box sh -c "ls -l /dev/fuse; : <>/dev/fuse" "#),
    also("--device: its number", "^c.* 10, 229 .*/dev/fuse$"),
];

#[rustfmt::skip]
pub(crate) const PRIVILEGES: &[Step] = &[
    // A value below one's own requires CAP_SYS_RESOURCE on the host.
    When(as_root, &[Step::Machine(&[
        check("--oom-score-adj -500", "^-500$",
            "$ENGINE run --rm --net none --oom-score-adj -500 box cat /proc/self/oom_score_adj"),
        All(ALL_CAPABILITIES),
    ])]),
    When(as_user, &[
        check("--oom-score-adj -500", "^[0-9]+$",
            "$ENGINE run --rm --net none --oom-score-adj -500 box cat /proc/self/oom_score_adj"),
        All(ALL_CAPABILITIES),
    ]),
];

#[rustfmt::skip]
const ALL_CAPABILITIES: &[Step] = &[
    check("--privileged", "^CapEff:.000001ffffffffff$",
        "$ENGINE run --rm --privileged box grep CapEff /proc/self/status"),
    Quietly("$ENGINE run -d --name some --net none box sleep 1000"),
    check("exec --privileged", "^CapEff:.000001ffffffffff$",
        "$ENGINE exec --privileged some grep CapEff /proc/self/status"),
    Quietly("$RM some"),
];

#[rustfmt::skip]
pub(crate) const MANY_OPTIONS: &[Step] = &[
    check("many options", "status=0",
        r#"$ENGINE run --rm --net none -e E=one -w /home/user -u 1000:1000 --hostname h1 \
        --tmpfs /scratch:size=1m --read-only -v "$DIR/ro:/ro:ro" -v "$DIR/rw:/rw:z" --ulimit nofile=100:200 \
        --shm-size 1m --sysctl net.ipv4.ip_unprivileged_port_start=80 --cap-drop all --cap-add net_bind_service \
        --security-opt no-new-privileges --init --oom-score-adj 300 box sh -c "
            echo E=\$E; pwd; id; hostname; cat /ro/file; touch /ro/x; touch /x; ulimit -Sn; ulimit -Hn
            grep -E \" /(scratch|ro|rw|dev/shm) \" /proc/mounts
            cat /proc/sys/net/ipv4/ip_unprivileged_port_start /proc/self/oom_score_adj /proc/1/comm
            grep -E \"Cap|NoNewPrivs|Seccomp:\" /proc/self/status; ls /sys/class/net""#),
    also("-e", "^E=one$"),
    also("-w", "^/home/user$"),
    also("-u", r"^uid=1000\(user\) gid=1000\(user\)"),
    also("--hostname", "^h1$"),
    also("--tmpfs", "^tmpfs /scratch tmpfs .*size=1024k"),
    also("--read-only", "touch: /x: Read-only file system"),
    also("-v ro: read", "^from-host$"),
    also("-v ro: written", "touch: /ro/x: Read-only file system"),
    also("-v z", "^[^ ]+ /rw [^ ]+ rw"),
    also("--ulimit soft", "^100$"),
    also("--ulimit hard", "^200$"),
    also("--shm-size", "^shm /dev/shm tmpfs .*size=(1000|1024)k"),
    also("--sysctl", "^80$"),
    also("--cap-add, --cap-drop", "^CapBnd:.0000000000000400$"),
    also("--security-opt no-new-privileges", "^NoNewPrivs:.1$"),
    also("default seccomp profile", "^Seccomp:.2$"),
    also("--init", "^(podman-init|catatonit|docker-init)$"),
    also("--net none", "^lo$"),
    also("--oom-score-adj", "^300$"),
];

/// rootlesskit has its own network namespace.
fn with_host_network(facts: Facts) -> bool {
    facts.host_network
}

#[rustfmt::skip]
pub(crate) const NETWORKS: &[Step] = &[
    check("the namespaces of the host", "status=0",
        r#"for i in $SHARED; do readlink /proc/self/ns/$i; done >"$DIR/out"
        $ENGINE run --rm --net host --pid host --ipc host --uts host box sh -c "
            for i in $SHARED; do readlink /proc/self/ns/\$i; done; ls /dev/mqueue /sys/class/net; cat /proc/$$/comm" |
            cat "$DIR/out" - | sort | uniq -c | awk "{ print \$1, \$2 }""#),
    When(with_host_network, &[also("--net host", "^2 net:")]),
    also("--ipc host", "^2 ipc:"),
    also("--uts host", "^2 uts:"),
    also("--pid host", "^2 pid:"),
    also("--pid host: /proc", "^1 bash$"),
    check("--pid host alone", "^bash$", "$ENGINE run --rm --pid host --net none box cat /proc/$$/comm; true"),
    check("--ipc host alone", "^same$",
        r#"i=$($ENGINE run --rm --ipc host --net none box readlink /proc/self/ns/ipc)
        [[ $i == "$(readlink /proc/self/ns/ipc)" ]] && echo same"#),
    check("--net bridge -p", "status=0",
        r#"$ENGINE run -d --name server --net bridge -p 127.0.0.1:$PORT:80 box sh -c "
            echo hello >/tmp/index.html; exec httpd -f -h /tmp""#),
    soon("--net bridge -p: it answers", "^hello$", "curl -s -m 10 http://127.0.0.1:$PORT/index.html"),
    check("--net bridge -p: rm", "status=0", "$RM server"),
];

#[rustfmt::skip]
pub(crate) const LIMITS: &[Step] = &[Step::Machine(OF_CONTROLLERS)];

#[rustfmt::skip]
const OF_CONTROLLERS: &[Step] = &[
    check("all", "status=0",
        r#"$ENGINE run --rm --net none -m 64m --memory-swap 128m --memory-reservation 32m --cpus 0.5 \
        --cpuset-cpus 0 --pids-limit 50 --blkio-weight 200 box sh -c "cd /sys/fs/cgroup
            for i in memory.max memory.swap.max memory.low cpu.max cpuset.cpus pids.max io.weight io.bfq.weight; do
                echo \$i \$(cat \$i)
            done""#),
    also("-m", "^memory.max 67108864$"),
    also("--memory-swap", "^memory.swap.max 67108864$"),
    also("--memory-reservation", "^memory.low 33554432$"),
    also("--cpus", "^cpu.max 50000 100000$"),
    also("--cpuset-cpus", "^cpuset.cpus 0$"),
    also("--pids-limit", "^pids.max 50$"),
    also("--blkio-weight", "^io.(bfq.)?weight default (200|1920)$"),
    check("out of memory", "status=137",
        "$ENGINE run --name oom --net none -m 16m --memory-swap 16m box tail /dev/zero"),
    Quietly("$RM oom"),
    // conmon reads the cgroup, which systemd removes together with the last process: it has only a moment. If the
    // limit alone wakes it, before anything is killed, conmon 2.1.12 does not look again.
    check("out of memory: known", "^true 137$", r#"for i in 1 2 3 4 5 6; do
            $ENGINE run --name oom --net none -m 16m --memory-swap 16m box sh -c "
                tail /dev/zero; r=\$?; sleep 2; exit \$r"
            known=$($ENGINE inspect --format "{{.State.OOMKilled}} {{.State.ExitCode}}" oom); $RM oom; echo "$known"
            [[ $known != true* ]] || break
        done"#),
    check("--cgroupns host", "/(libpod-|docker-)?[0-9a-f]{64}",
        r#"$ENGINE run --rm --net none --cgroupns host box sh -c "cat /proc/self/cgroup; ls /sys/fs/cgroup""#),
    also("--cgroupns host: mounted", "^cgroup.controllers$"),
];
