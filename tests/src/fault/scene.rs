//! Containers on which the commands are tried, each with as much as the account can have.

use std::env;
use std::fs;
use std::os::unix::fs::chown;
use std::path::Path;
use std::time::Duration;

use nix::unistd::geteuid;
use serde_json::json;

use super::judge::Reference;
use super::{Verb, report};
use crate::wait::holds_within;
use crate::{Bundle, Cmd, Output, Test, Who, cgroups, leaks};

/// How long the effect of a command may take to become visible, since the machine may be loaded.
pub(super) const SOON: Duration = Duration::from_secs(10);

/// A container whose program reports what it sees.
pub(super) struct Container {
    pub(super) id: String,
    /// The output of `create` or `run`, whose streams the program has inherited.
    pub(super) output: Output,
    pub(super) pid: i32,
}

/// The surroundings in which one command is tried again and again.
pub(super) struct Scene<'a> {
    pub(super) t: &'a Test,
    pub(super) verb: Verb,
    /// The bundle whose program reports and stays.
    staying: Bundle,
    /// The bundle whose program reports and ends.
    ending: Bundle,
    pub(super) standing: Option<Container>,
    /// The number of ids and commands so far.
    pub(super) count: usize,
    /// How many signals the program had reported before the command.
    pub(super) signals: usize,
}

impl<'a> Scene<'a> {
    pub(super) fn new(t: &'a Test, verb: Verb) -> Self {
        let mut staying = bundle(t);
        if t.who() == Who::User && matches!(verb, Verb::Update | Verb::Pause | Verb::Resume) {
            delegate_cgroup(t, &mut staying);
        }
        let ending = staying.sibling(t, &["/bin/probe", "report"]);
        ending.own_all();
        ending.write();
        Self { t, verb, staying, ending, standing: None, count: 0, signals: 0 }
    }

    /// An id that no container of this test has had.
    pub(super) fn new_id(&mut self) -> String {
        self.count += 1;
        // All ids have the same length, so that the calls are the same.
        self.t.id(&format!("{:?}{:05}", self.verb, self.count).to_lowercase())
    }

    /// The command of the scene for the container `id`.
    pub(super) fn command(&self, id: &str) -> Cmd {
        let t = self.t;
        let launch = |words: &[&str], bundle: &Bundle| t.rootling(words).arg(bundle.dir()).arg(id);
        match self.verb {
            Verb::Create => launch(&["create", "-b"], &self.staying),
            Verb::Run => launch(&["run", "-b"], &self.ending),
            Verb::RunDetached => launch(&["run", "-d", "-b"], &self.staying),
            Verb::Exec => t.rootling(&["exec", id, "/bin/probe", "report"]),
            Verb::Start => t.rootling(&["start", id]),
            Verb::Delete => t.rootling(&["delete", id]),
            Verb::DeleteForce => t.rootling(&["delete", "--force", id]),
            Verb::Kill => t.rootling(&["kill", id, "USR1"]),
            Verb::Update => t.rootling(&["update", "--pids-limit", &self.limit().to_string(), id]),
            Verb::Pause => t.rootling(&["pause", id]),
            Verb::Resume => t.rootling(&["resume", id]),
        }
    }

    /// The limit that `update` is to set, which is different every time.
    pub(super) fn limit(&self) -> usize {
        // All limits have the same length.
        100 + self.count % 900
    }

    /// Makes a new container that has been created.
    pub(super) fn created(&mut self) -> Result<Container, String> {
        let id = self.new_id();
        let create = self.t.rootling(&["create", "-b"]).arg(self.staying.dir()).arg(&id).output();
        self.container(id, create)
    }

    /// Makes a new container that is running.
    pub(super) fn running(&mut self) -> Result<Container, String> {
        let id = self.new_id();
        let run = self.t.rootling(&["run", "-d", "-b"]).arg(self.staying.dir()).arg(&id).output();
        self.container(id, run)
    }

    /// Makes a new container whose program has ended.
    pub(super) fn stopped(&mut self) -> Result<Container, String> {
        let id = self.new_id();
        let run = self.t.rootling(&["run", "-d", "-b"]).arg(self.ending.dir()).arg(&id).output();
        let container = self.container(id, run)?;
        let ended = || self.status(&container.id).is_some_and(|(status, _)| status == "stopped");
        if holds_within(SOON, ended) { Ok(container) } else { Err("its program does not end".into()) }
    }

    fn container(&self, id: String, output: Output) -> Result<Container, String> {
        if output.exit() != 0 {
            return Err(output.to_string());
        }
        let (_, pid) = self.status(&id).ok_or("it has no state")?;
        Ok(Container { id, output, pid })
    }

    /// The status and the pid of a container, if it is recorded.
    pub(super) fn status(&self, id: &str) -> Option<(String, i32)> {
        let output = self.t.rootling(&["state", id]).output();
        if output.exit() != 0 {
            return None;
        }
        let state = output.json();
        let pid = state["pid"].as_i64().unwrap_or_default() as i32;
        Some((state["status"].as_str()?.to_owned(), pid))
    }

    /// Whether a container is recorded.
    pub(super) fn on_record(&self, id: &str) -> bool {
        self.t.state_root().join(id).exists()
    }

    /// What is left of a container: a record, cgroups, mounts, and those of `pids` that are alive.
    pub(super) fn rest(&self, id: &str, pids: &[i32]) -> Vec<String> {
        let mut rest = leaks::of_containers(self.t);
        if self.on_record(id) {
            rest.push("record".to_owned());
        }
        rest.extend(pids.iter().filter(|&&pid| lives(pid)).map(|pid| format!("process {pid}")));
        rest
    }

    /// What the programs report if no call fails; an error if the command fails even so.
    pub(super) fn reference(&mut self) -> Result<Reference, String> {
        // The first run makes what the image lacks.
        let mut last = String::new();
        for _ in 0..2 {
            last = self.report_of_one()?;
        }
        Ok(Reference { report: last })
    }

    fn report_of_one(&mut self) -> Result<String, String> {
        let container = if self.verb == Verb::Run { None } else { Some(self.running()?) };
        let id = container.as_ref().map_or_else(|| self.new_id(), |container| container.id.clone());
        let output = match &container {
            Some(container) if self.verb != Verb::Exec => container.output.clone(),
            _ => self.command(&id).output(),
        };
        let report = self.report(&id, &output);
        if let Some(container) = container {
            let delete = self.t.rootling(&["delete", "--force", &container.id]).output();
            if delete.exit() != 0 {
                return Err(delete.to_string());
            }
        }
        report.ok_or_else(|| format!("no report: {output}"))
    }

    /// Removes the container that stays from one case to the next.
    pub(super) fn end(&mut self) -> Result<(), String> {
        let Some(standing) = self.standing.take() else { return Ok(()) };
        let delete = self.t.rootling(&["delete", "--force", &standing.id]).output();
        if delete.exit() == 0 { Ok(()) } else { Err(delete.to_string()) }
    }

    /// Whether nothing of the container is left, now or soon.
    pub(super) fn is_gone(&self, id: &str, pids: &[i32]) -> bool {
        holds_within(Duration::from_secs(2), || self.rest(id, pids).is_empty())
    }

    /// The report in what a program has written, without what differs between containers. Waits for the end of the
    /// report.
    pub(super) fn report(&self, id: &str, output: &Output) -> Option<String> {
        let mut text = String::new();
        let whole = holds_within(SOON, || {
            text = output.clone().read_again().stdout;
            text.contains(report::END)
        });
        whole.then(|| self.plain(id, &text))
    }

    /// A report without what differs between containers.
    pub(super) fn plain(&self, id: &str, text: &str) -> String {
        let mut plain = text.split(report::END).next().unwrap_or_default().replace(id, "ID");
        for dir in [self.staying.dir(), self.ending.dir()] {
            plain = plain.replace(&*dir.to_string_lossy(), "BUNDLE");
        }
        plain = plain.replace(self.t.marker(), "MARKER");
        plain.lines().map(|line| own_or_host(line) + "\n").collect()
    }
}

/// Whether a process exists and is not a zombie.
pub(super) fn lives(pid: i32) -> bool {
    let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else { return false };
    let state = stat.rsplit(')').next().unwrap_or_default().trim_start().chars().next();
    !matches!(state, None | Some('Z' | 'X'))
}

/// Replaces the number of a namespace by whether it is the host's.
fn own_or_host(line: &str) -> String {
    let Some((kind, _)) = line.strip_prefix("namespace: ").and_then(|link| link.split_once(':')) else {
        return line.to_owned();
    };
    let host = fs::read_link(Path::new("/proc/self/ns").join(kind))
        .is_ok_and(|host| line.ends_with(&*host.to_string_lossy()));
    format!("namespace: {kind} {}", if host { "host's" } else { "own" })
}

/// A container that asks for as much as the account can have.
fn bundle(t: &Test) -> Bundle {
    let mut bundle = t.bundle(&["/bin/probe", "stay"]);
    t.with_probe(&bundle);
    // Set-user-id programs such as newuidmap keep their privileges under a tracer that is root.
    let many =
        geteuid().is_root() && (t.who() == Who::Root || t.account().ranges().is_some()) && bundle.many_ids();
    if many {
        let mut user = json!({"uid": 1, "gid": 1, "umask": 0o27});
        // A peer may refuse them to an ordinary user, as runc does.
        if env::var_os("ROOTLING_FAULT_WITHOUT_GROUPS").is_none() {
            user["additionalGids"] = json!([2, 3]);
        }
        bundle.set("/process/user", user);
    }
    let passwd = "root:x:0:0:root:/root:/bin/sh\nprobe:x:1:1::/tmp:/bin/sh\n";
    fs::write(bundle.rootfs("etc/passwd"), passwd).expect("write etc/passwd");
    let motd = t.path("motd");
    fs::write(&motd, "of the host\n").expect("write a file");
    let capabilities = json!(["CAP_KILL", "CAP_NET_BIND_SERVICE"]);
    for set in ["bounding", "effective", "inheritable", "permitted", "ambient"] {
        bundle.set(&format!("/process/capabilities/{set}"), capabilities.clone());
    }
    bundle
        .set("/root/readonly", true.into())
        .set("/process/cwd", "/tmp".into())
        .set("/process/oomScoreAdj", 100.into())
        .set("/process/rlimits/-", json!({"type": "RLIMIT_CORE", "hard": 4096, "soft": 1024}))
        .set("/linux/sysctl", json!({"net.ipv4.ip_unprivileged_port_start": "80"}))
        .set("/linux/seccomp", seccomp())
        .mount("/tmp", "tmpfs", "tmpfs", &["nosuid", "size=1m"])
        .mount("/etc/motd", "bind", &motd.to_string_lossy(), &["bind", "ro"]);
    if t.who() == Who::Root {
        bundle.set("/linux/resources/pids", json!({"limit": 50}));
        bundle.set("/linux/resources/memory", json!({"limit": 256 << 20}));
        bundle.mount("/sys/fs/cgroup", "cgroup", "cgroup", &["ro"]);
    }
    bundle.own_all();
    bundle.write();
    bundle
}

/// Gives the container a cgroup below one that root has made for the account, if root has started the tests. With
/// only cgroup v2 that would need the caller's own as well.
fn delegate_cgroup(t: &Test, bundle: &mut Bundle) {
    if !geteuid().is_root() || cgroups::is_unified() {
        return;
    }
    let account = t.account();
    // A cpuset cgroup must have a processor first.
    for hierarchy in ["freezer", "pids"] {
        let dir = Path::new(cgroups::MOUNT).join(hierarchy).join(t.marker());
        if dir.is_dir() || fs::create_dir(&dir).is_ok() {
            chown(&dir, Some(account.uid), Some(account.gid)).expect("chown of a cgroup");
        }
    }
    bundle.set("/linux/cgroupsPath", format!("/{}/box", t.marker()).into()).write();
}

fn seccomp() -> serde_json::Value {
    let rule = json!({"names": ["swapon", "reboot"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1});
    json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]})
}
