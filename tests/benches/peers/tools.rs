//! Programs that are not runtimes but do a part of what one does: bubblewrap with the same namespaces, mounts and
//! filter, nsenter, and unshare, which only makes the namespaces and is the least that a container can cost.

use std::fs::{File, OpenOptions};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use libseccomp::{ScmpAction, ScmpArch, ScmpFilterContext, ScmpSyscall};

use crate::layouts::{Layout, Program};
use crate::profile;
use crate::runtimes::{ended, in_path};

/// The number of the descriptor for a filter, higher than those that the benchmark opens: what is opened with this
/// number would not be inherited.
const FILTER: i32 = 100;

/// The names of the programs in PATH.
pub(crate) const NAMES: [&str; 3] = ["bwrap", "nsenter", "unshare"];

/// A program with a fixed command line.
pub(crate) struct Tool {
    pub(crate) name: &'static str,
    program: Program,
    words: Vec<String>,
    /// The compiled filter, for the descriptor [`FILTER`].
    filter: Option<PathBuf>,
}

impl Tool {
    /// `None`, with the reason printed, if it is not installed or does not work here.
    fn new(name: &'static str, work: &Path, words: Vec<String>, filter: Option<PathBuf>) -> Option<Self> {
        let Some(program) = in_path(name) else {
            println!("{name}: left out, it is not installed.");
            return None;
        };
        let tool = Self { name, program: Program::copied(&program, work), words, filter };
        let output =
            tool.with_filter(|| tool.command().stderr(Stdio::piped()).output().expect("start a tool"));
        if output.status.success() {
            return Some(tool);
        }
        let why = String::from_utf8_lossy(&output.stderr);
        println!("{name}: left out, it cannot do it here: {}", why.lines().next().unwrap_or("no message"));
        None
    }

    pub(crate) fn choose(&self, layout: Layout) {
        self.program.choose(layout);
    }

    /// The time from its start to its end.
    pub(crate) fn time(&self) -> Duration {
        let (status, elapsed) = self.with_filter(|| ended(&mut self.command()));
        assert!(status.success(), "{status}: {} {}", self.name, self.words.join(" "));
        elapsed
    }

    /// The whole command line, to be run by another program.
    pub(crate) fn line(&self) -> Vec<String> {
        std::iter::once(self.program.path().display().to_string()).chain(self.words.iter().cloned()).collect()
    }

    fn command(&self) -> Command {
        let mut command = Command::new(self.program.path());
        command.args(&self.words).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    /// With the filter open, from its start, for what is started meanwhile.
    pub(crate) fn with_filter<T>(&self, act: impl FnOnce() -> T) -> T {
        let Some(path) = &self.filter else { return act() };
        let file = File::open(path).expect("open the filter");
        nix::unistd::dup2(file.as_raw_fd(), FILTER).map(drop).expect("dup2 of the filter");
        drop(file);
        let result = act();
        nix::unistd::close(FILTER).expect("close the filter");
        result
    }
}

/// Beside `run`: the same container by bubblewrap, and the namespaces alone.
pub(crate) fn beside_run(work: &Path, rootfs: &Path) -> Vec<Tool> {
    let tools = [Tool::new("bwrap", work, bubblewrap(rootfs, false), None), {
        let flags = "--user --map-root-user --pid --fork --mount --net --ipc --uts --cgroup";
        let mut words: Vec<_> = flags.split(' ').map(str::to_owned).collect();
        words.extend([format!("--root={}", rootfs.display()), "/bin/true".to_owned()]);
        Tool::new("unshare", work, words, None)
    }];
    tools.into_iter().flatten().collect()
}

/// The tools to compare with `run` with a filter.
pub(crate) fn beside_run_with_seccomp(work: &Path, rootfs: &Path) -> Vec<Tool> {
    let filter = work.join("filter");
    write_filter(&filter);
    Tool::new("bwrap", work, bubblewrap(rootfs, true), Some(filter)).into_iter().collect()
}

/// The tools to compare with `exec`, which enter the namespaces of a process.
pub(crate) fn beside_exec(work: &Path, pid: i64) -> Vec<Tool> {
    let flags = "--user --preserve-credentials --mount --uts --ipc --net --pid --cgroup --root --wd";
    let mut words = vec![format!("--target={pid}")];
    words.extend(flags.split(' ').map(str::to_owned));
    words.push("/bin/true".to_owned());
    Tool::new("nsenter", work, words, None).into_iter().collect()
}

/// The container of the benchmark's bundles. bubblewrap makes the same parts of /proc read-only by itself.
fn bubblewrap(rootfs: &Path, filter: bool) -> Vec<String> {
    let namespaces = "--unshare-user --unshare-pid --unshare-net --unshare-ipc --unshare-uts --unshare-cgroup \
                      --uid 0 --gid 0 --hostname box";
    let mounts = "--proc /proc --dev /dev --perms 1777 --size 67108864 --tmpfs /dev/shm --mqueue /dev/mqueue \
                  --ro-bind /sys /sys";
    let mut words: Vec<String> = namespaces.split(' ').map(str::to_owned).collect();
    words.extend(["--bind".to_owned(), rootfs.display().to_string(), "/".to_owned()]);
    words.extend(mounts.split(' ').map(str::to_owned));
    for path in
        ["/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/timer_list", "/sys/firmware"].map(Path::new)
    {
        let path = (path.display().to_string(), path.is_dir(), path.exists());
        match path {
            (path, true, _) => words.extend(["--tmpfs".to_owned(), path]),
            (path, false, true) => words.extend(["--ro-bind".to_owned(), "/dev/null".to_owned(), path]),
            _ => {}
        }
    }
    let rest = "--clearenv --setenv PATH /usr/bin:/bin --setenv TERM xterm --die-with-parent --as-pid-1";
    words.extend(rest.split(' ').map(str::to_owned));
    if filter {
        words.extend(["--seccomp".to_owned(), FILTER.to_string()]);
    }
    words.push("/bin/true".to_owned());
    words
}

/// The names of [`profile::docker_sized`] as a filter for the kernel.
fn write_filter(path: &Path) {
    let mut filter = ScmpFilterContext::new(ScmpAction::Errno(1)).expect("a filter");
    if cfg!(target_arch = "x86_64") {
        for architecture in [ScmpArch::X86, ScmpArch::X32] {
            filter.add_arch(architecture).expect("an architecture");
        }
    }
    let known = profile::names().filter_map(|name| ScmpSyscall::from_name(name).ok());
    for call in known {
        filter.add_rule(ScmpAction::Allow, call).expect("a rule");
    }
    let file =
        OpenOptions::new().write(true).create(true).truncate(true).open(path).expect("create the filter");
    filter.export_bpf(file).expect("write the filter");
}
