//! A hostile process that lies in wait in its pid namespace: from each process that appears there it tries to
//! obtain whatever leads to the host, and to leave a mark there.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Write;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, openat};
use nix::sys::ptrace;
use nix::sys::stat::Mode;
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;

use crate::{Bundle, Test, Who, eventually, sys};

/// How many descriptors of a process are tried.
const DESCRIPTORS: i32 = 64;

/// Hunts forever. `mark` is the path of a file on the host that does not exist, in a directory that the hunter may
/// write to. `log` gets a line for each process that is seen before it has become `program`, and one for each way
/// that leads to the host. `victims` are the programs that it may overwrite, in the form that `victim` returns: if
/// nothing prevented it, it could write to every program of the host, including nsenter(1).
pub fn hunt(mark: &Path, log: &Path, program: &str, victims: &[String]) -> ! {
    let log = File::create(log).expect("make the log");
    let programs = Programs { kept: Vec::new(), wanted: victims.iter().cloned().collect() };
    let mut hunter = Hunter { mark: upwards(mark), log, said: BTreeSet::new(), programs };
    let known: BTreeSet<i32> = processes().collect();
    let mut seen = BTreeSet::new();
    hunter.say("ready");
    loop {
        for pid in processes().filter(|pid| !known.contains(pid)) {
            hunter.loot(pid);
            if seen.insert(pid) {
                hunter.first_sight(pid, program);
            }
        }
        if hunter.programs.overwrite() {
            hunter.say("host: a program was overwritten");
        }
    }
}

/// The path relative to any directory of the host, however deep that is.
fn upwards(path: &Path) -> PathBuf {
    let root = ["..", "/"].concat().repeat(20);
    Path::new(&root).join(path.strip_prefix("/").expect("an absolute path"))
}

fn processes() -> impl Iterator<Item = i32> {
    let entries = fs::read_dir("/proc").expect("list /proc").flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

struct Hunter {
    /// The path of the mark, relative to any directory of the host.
    mark: PathBuf,
    log: File,
    said: BTreeSet<String>,
    programs: Programs,
}

/// Identifies a program by device and inode, which are the same in a container.
fn victim(found: &fs::Metadata) -> String {
    format!("{}:{}", found.dev(), found.ino())
}

/// Programs of other processes, which are kept open: a running program cannot be written to (ETXTBSY, open(2)), but
/// later it can.
struct Programs {
    kept: Vec<File>,
    /// Those that have not been opened yet; no others are.
    wanted: BTreeSet<String>,
}

impl Programs {
    fn keep(&mut self, pid: i32) {
        if self.wanted.is_empty() {
            return;
        }
        let Ok(program) = File::open(format!("/proc/{pid}/exe")) else { return };
        if program.metadata().is_ok_and(|found| self.wanted.remove(&victim(&found))) {
            self.kept.push(program);
        }
    }

    /// Tries to overwrite them; returns whether one could be written to.
    fn overwrite(&self) -> bool {
        self.kept.iter().any(|program| {
            let path = format!("/proc/self/fd/{}", program.as_raw_fd());
            let open = File::options().write(true).open(path);
            open.and_then(|mut file| file.write_all(OVERWRITTEN)).is_ok()
        })
    }
}

/// The new contents of a program that could be written to.
pub const OVERWRITTEN: &[u8] = b"overwritten\n";

impl Hunter {
    fn say(&mut self, line: &str) {
        if !self.said.insert(line.to_owned()) {
            return;
        }
        self.log.write_all(format!("{line}\n").as_bytes()).expect("write the log");
    }

    /// Reports a new process, and examines it once more while it is stopped.
    fn first_sight(&mut self, pid: i32, program: &str) {
        // World-readable, whatever else can be seen of the process; for a program it is the name of its file.
        let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        if !name.is_empty() && name.trim_end() != program {
            self.say(&format!("joins {pid}"));
        }
        let target = Pid::from_raw(pid);
        if ptrace::seize(target, ptrace::Options::empty()).is_err() {
            return;
        }
        self.say(&format!("traced {pid}"));
        if ptrace::interrupt(target).is_ok() && waitpid(target, Some(WaitPidFlag::__WALL)).is_ok() {
            self.loot(pid);
        }
        let _ = ptrace::detach(target, None);
    }

    /// Tries paths of /proc and copies of the descriptors.
    fn loot(&mut self, pid: i32) {
        self.programs.keep(pid);
        for link in ["root", "cwd"] {
            let _ = self.by_path(pid, link);
        }
        for descriptor in 0..DESCRIPTORS {
            if self.by_path(pid, &format!("fd/{descriptor}")) == Err(Errno::EACCES) {
                break;
            }
        }
        let call = |number, a: i64, b: i64| sys::system_call(number, [a, b, 0, 0, 0, 0]);
        let Ok(pidfd) = call(libc::SYS_pidfd_open, pid.into(), 0) else { return };
        let pidfd: OwnedFd = sys::own(pidfd as i32);
        for descriptor in 0..DESCRIPTORS {
            match call(libc::SYS_pidfd_getfd, pidfd.as_raw_fd().into(), descriptor.into()) {
                Ok(copy) => {
                    let copy = sys::own(copy as i32);
                    if leave_mark(Some(copy.as_raw_fd()), &self.mark).is_ok() {
                        self.say(&format!("host: a copy of descriptor {descriptor}"));
                    }
                }
                Err(error) if error.raw_os_error() == Some(libc::EBADF) => {}
                // It is not accessible, or gone.
                Err(_) => break,
            }
        }
    }

    fn by_path(&mut self, pid: i32, link: &str) -> Result<(), Errno> {
        let path = Path::new("/proc").join(pid.to_string()).join(link);
        leave_mark(None, &path.join(&self.mark))?;
        self.say(&format!("host: /proc/PID/{link}"));
        Ok(())
    }
}

fn leave_mark(dir: Option<i32>, path: &Path) -> Result<(), Errno> {
    let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_CLOEXEC | OFlag::O_NOCTTY;
    openat(dir, path, flags, Mode::from_bits_truncate(0o666)).map(|mark| drop(sys::own(mark)))
}

/// A container whose program is the hunter, as the test sees it.
#[derive(Debug)]
pub struct Hunt {
    mark: PathBuf,
    log: PathBuf,
    /// Options of nsenter(1) for the namespaces in which the hunter can see and trace processes.
    enter: &'static [&'static str],
}

impl Hunt {
    /// Starts the hunter in `bundle` as the container `name`. The processes that it hunts become `program`.
    pub fn start(t: &Test, bundle: &mut Bundle, name: &str, program: &str) -> Self {
        Self::for_programs(t, bundle, name, program, &[])
    }

    /// The same for a hunter that also tries to overwrite these programs of the host.
    pub fn for_programs(t: &Test, bundle: &mut Bundle, name: &str, program: &str, victims: &[&Path]) -> Self {
        let mark = t.open_directory(&format!("host-of-{name}")).join("mark");
        let log = bundle.rootfs("tmp/log");
        t.with_probe(bundle);
        let mark_text = mark.to_string_lossy();
        let victims: Vec<String> =
            victims.iter().map(|path| victim(&fs::metadata(path).expect("stat of a program"))).collect();
        let mut args = vec!["probe", "hunt", &mark_text, "/tmp/log", program];
        args.extend(victims.iter().map(String::as_str));
        bundle.set("/process/args", args.as_slice().into());
        t.run_detached(bundle.write(), name).ok();
        let enter: &[&str] = match (t.who(), bundle.config.pointer("/linux/uidMappings")) {
            (Who::User, _) => &["--pid", "--user", "--preserve-credentials"],
            (Who::Root, Some(_)) => &["--pid", "--user"],
            (Who::Root, None) => &["--pid"],
        };
        let hunt = Self { mark, log, enter };
        eventually("the hunter is ready", || hunt.lines("ready").len() == 1);
        hunt
    }

    /// Launches `count` programs for the hunter, and up to ten times as many until it has seen `count` of them
    /// before they became its program. Then asserts that it has seen those, and has found no way to the host.
    pub fn in_vain(&self, count: usize, mut launch: impl FnMut()) {
        let seen = || self.lines("joins").len();
        for number in 0..10 * count {
            if number >= count && seen() >= count {
                break;
            }
            launch();
        }
        let ways = self.lines("host:");
        assert!(ways.is_empty() && !self.mark.exists(), "ways to the host: {ways:?}");
        assert!(seen() >= count, "of {} launches the hunter saw {}", 10 * count, seen());
    }

    /// The lines in the log that begin with `word`.
    fn lines(&self, word: &str) -> Vec<String> {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        text.lines().filter(|line| line.starts_with(word)).map(str::to_owned).collect()
    }

    /// Asserts that the hunter, which has CAP_SYS_PTRACE, does leave its mark if a way leads to the host: through a
    /// process that nothing hides and that has kept the host's root.
    pub fn assert_able(&self, t: &Test, name: &str) {
        let pid = t.state(name)["pid"].to_string();
        let prey = t.command("nsenter").args(&["--target", &pid]).args(self.enter);
        let prey = prey.args(&["sleep", "1000"]).spawn();
        eventually("the hunter finds the way to the host", || self.mark.exists());
        drop(prey);
    }

    /// Asserts that the hunter does overwrite a program of the host if one is within its reach: `program`, which
    /// must belong to the account, as the program of a process that nothing hides.
    pub fn assert_able_to_overwrite(&self, t: &Test, name: &str, program: &Path) {
        let pid = t.state(name)["pid"].to_string();
        let prey = t.command("nsenter").args(&["--target", &pid]).args(self.enter);
        prey.arg(program).arg("0.5").output().ok();
        eventually("the hunter overwrites a program", || {
            fs::read(program).is_ok_and(|text| text.starts_with(OVERWRITTEN))
        });
    }
}
