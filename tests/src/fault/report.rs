//! What a program sees of its container, as a text that is the same in each container with the same configuration.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use nix::sys::signal::{SigSet, Signal};

use crate::sys;

/// The name of the program that prints reports.
pub const PROGRAM: &str = "probe";

/// The last line of a report.
pub(super) const END: &str = "end of the report";

/// The line that is printed at each SIGUSR1.
pub(super) const SIGNALLED: &str = "SIGUSR1";

/// The fields of /proc/self/status about privileges, groups and signals.
const STATUS: &[&str] = &[
    "Umask",
    "Uid",
    "Gid",
    "Groups",
    "Threads",
    "SigPnd",
    "ShdPnd",
    "SigBlk",
    "SigIgn",
    "SigCgt",
    "CapInh",
    "CapPrm",
    "CapEff",
    "CapBnd",
    "CapAmb",
    "NoNewPrivs",
    "Seccomp",
    "Seccomp_filters",
];

/// Files whose contents come from the configuration.
const FILES: &[&str] = &[
    "/proc/self/limits",
    "/proc/self/cgroup",
    "/proc/self/oom_score_adj",
    "/proc/self/uid_map",
    "/proc/self/gid_map",
    "/proc/self/setgroups",
    "/proc/sys/kernel/hostname",
    "/proc/sys/kernel/domainname",
    "/proc/sys/net/ipv4/ip_unprivileged_port_start",
    "/sys/class/net/lo/flags",
    "/sys/fs/cgroup/pids/pids.max",
    "/sys/fs/cgroup/pids.max",
    "/sys/fs/cgroup/memory/memory.limit_in_bytes",
    "/sys/fs/cgroup/memory.max",
    "/sys/fs/cgroup/devices/devices.list",
    "/etc/motd",
];

/// The report. A failed read is part of it.
pub fn text() -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: &str| {
        let _ = writeln!(text, "{name}: {}", value.trim_end());
    };
    line("arguments", &std::env::args().collect::<Vec<_>>().join(" "));
    line(
        "directory",
        &std::env::current_dir().map_or_else(|e| e.to_string(), |dir| dir.display().to_string()),
    );
    let mut environment: Vec<_> = std::env::vars_os().collect();
    environment.sort();
    for (name, value) in environment {
        line("environment", &format!("{} {}", name.display(), value.display()));
    }
    let status = read("/proc/self/status");
    for wanted in
        status.lines().filter(|line| line.split(':').next().is_some_and(|name| STATUS.contains(&name)))
    {
        line("status", wanted);
    }
    for file in FILES {
        read(file).lines().for_each(|each| line(file, each));
    }
    line("process", &process());
    line("keyring", &sys::session_keyring().unwrap_or_else(|error| error.to_string()));
    for mount in mounts() {
        line("mount", &mount);
    }
    entries(Path::new("/proc/self/ns"), &mut |path| line("namespace", &link(path)));
    for descriptor in descriptors() {
        line("descriptor", &descriptor);
    }
    devices(Path::new("/dev"), &mut |device| line("device", device));
    text.push_str(END);
    text.push('\n');
    text
}

/// Prints the report, and then a line for each SIGUSR1.
pub fn stay() -> ! {
    let wanted = SigSet::from(Signal::SIGUSR1);
    let text = text();
    wanted.thread_block().expect("block SIGUSR1");
    print!("{text}");
    loop {
        wanted.wait().expect("wait for a signal");
        println!("{SIGNALLED}");
    }
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| error.to_string())
}

fn link(path: &Path) -> String {
    fs::read_link(path).map_or_else(|error| error.to_string(), |target| target.display().to_string())
}

/// The names in a directory, sorted.
fn entries(dir: &Path, each: &mut dyn FnMut(&Path)) {
    let mut paths: Vec<_> =
        fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        each(&path);
    }
}

/// Whether the process leads its process group and its session, its terminal, and how it is scheduled
/// (proc_pid_stat(5)).
fn process() -> String {
    let stat = read("/proc/self/stat");
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    // The third field of the file is the first one here.
    let field = |number: usize| *fields.get(number - 3).unwrap_or(&"");
    let own = std::process::id().to_string();
    let (group, session) = (field(5) == own, field(6) == own);
    let [terminal, priority, nice, policy] = [7, 18, 19, 41].map(field);
    format!("group {group} session {session} terminal {terminal} priority {priority} {nice} {policy}")
}

/// The mounts without their ids (proc_pid_mountinfo(5)).
fn mounts() -> Vec<String> {
    let text = read("/proc/self/mountinfo");
    let mount =
        |line: &str| {
            let fields = line.split(' ').skip(3);
            let unnumbered =
                fields.map(|field| {
                    field.split_once(':').map_or(field, |(kind, number)| {
                        if number.parse::<u32>().is_ok() { kind } else { field }
                    })
                });
            unnumbered.collect::<Vec<_>>().join(" ")
        };
    text.lines().map(mount).collect()
}

/// The open descriptors; the targets of those that every program has depend on the caller.
fn descriptors() -> Vec<String> {
    let mut found = Vec::new();
    entries(Path::new("/proc/self/fd"), &mut |path| {
        let number = path.file_name().unwrap_or_default().display().to_string();
        let target = link(path);
        match number.as_str() {
            "0" | "1" | "2" => found.push(number),
            // The descriptor of the list itself.
            _ if target.ends_with("/fd") || target.contains("No such file") => {}
            _ => found.push(format!("{number} {target}")),
        }
    });
    found
}

fn devices(dir: &Path, each: &mut dyn FnMut(&str)) {
    entries(dir, &mut |path| {
        let Ok(found) = path.symlink_metadata() else { return each(&format!("{}: gone", path.display())) };
        let kind = found.file_type();
        let what = if kind.is_symlink() {
            link(path)
        } else if kind.is_char_device() || kind.is_block_device() {
            format!("{:x}", found.rdev())
        } else {
            String::new()
        };
        each(&format!("{} {:o} {}:{} {what}", path.display(), found.mode(), found.uid(), found.gid()));
        if kind.is_dir() {
            devices(path, each);
        }
    });
}
