//! The caller, the state directory or the host has run out of something. Each command does what it was asked for,
//! or says in one line what is missing. An existing container lives on with its record, and nothing is left of one
//! that could not be made.
//!
//! Signals, umasks, the working directory, a small stack and twenty descriptors are sufficient for all commands:
//! see callers.rs.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;

use rootling_tests::{
    Bundle, Cmd, Output, Shown, Test, Variation, attempts, both, cgroups, eventually, leaks, skip, user,
};

both!(
    few_descriptors,
    little_address_space,
    small_files,
    small_stack,
    closed_streams,
    output_that_takes_nothing,
    no_proc,
    read_only_tmp,
    full_state_directory,
    state_directory_without_inodes,
    pids_cgroup_at_its_limit,
    failed_create_leaves_nothing_with_any_umask,
);

user!(no_more_processes, no_more_user_namespaces);

const COMMANDS: [&str; 6] = ["create", "run", "exec", "state", "list", "delete -f"];

/// A running container, and what is needed to make another one.
struct Stage<'a> {
    t: &'a Test,
    stays: Bundle,
    ends: Bundle,
}

/// The result of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Worked,
    Failed,
}

impl<'a> Stage<'a> {
    fn new(t: &'a Test) -> Self {
        let mut stays = t.bundle(&["sleep", "1000000"]);
        // Only root may set a limit above the caller's.
        stays.remove("/process/rlimits");
        let ends = stays.sibling(t, &["sh", "-c", "exit 7"]);
        stays.write();
        ends.write();
        let stage = Self { t, stays, ends };
        stage.refill();
        stage
    }

    /// Makes sure that the container exists and is running.
    fn refill(&self) {
        if !self.t.state_root().join(self.t.id("c")).exists() {
            self.t.run_detached(&self.stays, "c").ok();
        }
    }

    fn command(&self, command: &str) -> Cmd {
        let (t, c, new) = (self.t, self.t.id("c"), self.t.id("new"));
        match command {
            "create" => t.rootling(&["create", "-b"]).arg(self.stays.dir()).arg(new),
            "run" => t.rootling(&["run", "-b"]).arg(self.ends.dir()).arg(new),
            "exec" => t.rootling(&["exec", &c, "sh", "-c", "exit 9"]),
            "list" => t.rootling(&["list", "-f", "json"]),
            "delete -f" => t.rootling(&["delete", "-f", &c]),
            other => t.rootling(&[other, &c]),
        }
    }

    /// Runs a command in the circumstances of `how`, and asserts that it has worked or failed as it should.
    fn turn(&self, command: &str, how: &How<'_>) -> Verdict {
        let _shown = Shown(format!("{command}, {}", how.name));
        let output = (how.run)(self.command(command));
        let _output = Shown(output.to_string());
        let expected = match command {
            "run" => 7,
            "exec" => 9,
            _ => 0,
        };
        if output.exit() == expected {
            self.assert_worked(command, how, &output);
            return Verdict::Worked;
        }
        assert_ne!(output.exit(), 0, "{output}");
        how.assert_said(&output);
        self.assert_failed(command);
        Verdict::Failed
    }

    fn assert_worked(&self, command: &str, how: &How<'_>, output: &Output) {
        let (t, c) = (self.t, self.t.id("c"));
        match command {
            "create" => {
                assert_eq!(t.status("new"), "created");
                t.start("new").ok();
                assert_eq!(t.exec::<&str>(&[], "new", &["echo", "lives"]).output().ok().text(), "lives");
                t.delete_force("new").ok();
            }
            "run" => t.rootling(&["state", &t.id("new")]).output().fails_with(&["does not exist"]),
            "state" if how.stdout => assert_eq!(output.json()["status"], "running"),
            "list" if how.stdout => assert_eq!(output.json()[0]["id"], c.as_str()),
            "delete -f" => {
                t.rootling(&["state", &c]).output().fails_with(&["does not exist"]);
                eventually("its program is gone", || left(t, &c).is_empty());
            }
            _ => {}
        }
        self.refill();
    }

    /// Asserts that what existed exists. What was to be made does not, or `delete -f` knows of it: there is no
    /// program without a record.
    fn assert_failed(&self, command: &str) {
        let (t, new) = (self.t, self.t.id("new"));
        assert_eq!(t.status("c"), "running", "after a {command} that has failed");
        assert_eq!(t.exec::<&str>(&[], "c", &["echo", "lives"]).output().ok().text(), "lives");
        t.delete_force("new").ok();
        assert!(!t.state_root().join(&new).exists());
        eventually("no process of it is left", || left(t, &new).is_empty());
    }

    /// Runs each of the commands, and returns which have worked.
    fn all(&self, how: &How<'_>) -> Vec<(&'static str, Verdict)> {
        COMMANDS.iter().map(|&command| (command, self.turn(command, how))).collect()
    }

    /// Like [`Stage::all`], asserting that all have worked.
    fn all_work(&self, how: &How<'_>) {
        for (command, verdict) in self.all(how) {
            assert_eq!(verdict, Verdict::Worked, "{command}, {}", how.name);
        }
    }

    fn end(self) {
        self.t.delete_force("c").ok();
    }
}

/// The processes and cgroups of a container.
fn left(t: &Test, id: &str) -> Vec<String> {
    leaks::find(t.marker(), &[]).into_iter().filter(|what| what.contains(id)).collect()
}

/// The circumstances of a command.
struct How<'a> {
    name: String,
    run: Box<dyn Fn(Cmd) -> Output + 'a>,
    /// The error contains one of these.
    says: &'a [&'a str],
    /// Whether its standard output and standard error can be read.
    stdout: bool,
    stderr: bool,
    /// Signals that may end it if even its start needs more than is available: no message is possible then.
    ends_by: &'a [i32],
}

impl<'a> How<'a> {
    fn new(name: impl Into<String>, says: &'a [&'a str], run: impl Fn(Cmd) -> Output + 'a) -> Self {
        Self { name: name.into(), run: Box::new(run), says, stdout: true, stderr: true, ends_by: &[] }
    }

    /// Circumstances that a line of shell script makes before the command.
    fn shell(line: &str, says: &'a [&'a str]) -> Self {
        let script = format!("{line}; exec \"$@\"");
        Self::new(line, says, move |command| command.under(&["sh", "-c", &script, "sh"]).output())
    }

    fn assert_said(&self, output: &Output) {
        if self.ends_by.contains(&-output.exit()) {
            return;
        }
        assert!(output.exit() > 0, "{output}");
        if self.stderr {
            assert_eq!(output.stderr.lines().count(), 1, "{output}");
            let said = self.says.iter().any(|word| output.stderr.contains(word));
            assert!(said, "it says none of {:?}: {output}", self.says);
        }
    }
}

fn few_descriptors(t: &Test) {
    let stage = Stage::new(t);
    // From 24 on all of them work; from there only some numbers are tried, except in `make stress`.
    for limit in (4..=40).filter(|limit| *limit <= 24 || limit % 8 == 0 || attempts(1) > 1) {
        let how = How::shell(&format!("ulimit -n {limit}"), &["EMFILE", "Too many open files"]);
        let verdicts = stage.all(&how);
        if limit >= 24 {
            assert!(verdicts.iter().all(|(_, verdict)| *verdict == Verdict::Worked), "{limit}: {verdicts:?}");
        }
    }
    stage.end();
}

fn no_more_processes(t: &Test) {
    let stage = Stage::new(t);
    let how = How::new("--nproc=1", &["RLIMIT_NPROC"], |command| {
        command.under(&["prlimit", "--nproc=1", "--"]).output()
    });
    let verdicts = stage.all(&how);
    for command in ["create", "run", "exec"] {
        assert!(verdicts.contains(&(command, Verdict::Failed)), "{verdicts:?}");
    }
    for command in ["state", "list", "delete -f"] {
        assert!(verdicts.contains(&(command, Verdict::Worked)), "{verdicts:?}");
    }
    stage.end();
}

/// From a size with which the kernel cannot even map the program to one that is sufficient, in KiB.
fn little_address_space(t: &Test) {
    let stage = Stage::new(t);
    let program = fs::metadata(t.binary()).expect("the program").len() / 1024;
    for more in [0, 500, 1000, 2000, 4000] {
        let line = format!("ulimit -v {}", program + more);
        let mut how = How::shell(&line, &["ENOMEM", "memory allocation of", "out of memory"]);
        // execve(2) of what cannot be mapped; an allocation during the start of the standard library.
        how.ends_by = &[libc::SIGSEGV, libc::SIGKILL, libc::SIGABRT];
        stage.all(&how);
    }
    let enough = format!("ulimit -v {}", program + 100_000);
    stage.all_work(&How::shell(&enough, &[]));
    stage.end();
}

/// RLIMIT_FSIZE, in bytes. It does not apply to sockets, so the message can be read.
fn small_files(t: &Test) {
    let stage = Stage::new(t);
    for limit in [0, 100, 1000, 4000] {
        let limit = format!("--fsize={limit}");
        let how =
            How::new(&limit, &["EFBIG"], |command| over_sockets(command.under(&["prlimit", &limit, "--"])));
        for (command, verdict) in stage.all(&how) {
            let writes =
                ["create", "run"].contains(&command) || (command == "exec" && t.binary_copies_itself());
            assert!(writes || verdict == Verdict::Worked, "{command}, {limit}");
        }
    }
    stage.end();
}

/// Runs a command whose standard output and standard error are sockets. Processes that it leaves running may keep
/// them.
fn over_sockets(command: Cmd) -> Output {
    let pair = || UnixStream::pair().expect("make a pair of sockets");
    let (stdout, stderr) = (pair(), pair());
    let command = command.stdout(OwnedFd::from(stdout.1)).stderr(OwnedFd::from(stderr.1));
    let mut output = command.output();
    let text = |mut socket: UnixStream| {
        socket.set_nonblocking(true).expect("read only what is there");
        let mut bytes = Vec::new();
        // It ends with the last writer, or when nothing more arrives.
        let _ = socket.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    };
    (output.stdout, output.stderr) = (text(stdout.0), text(stderr.0));
    output
}

fn small_stack(t: &Test) {
    let stage = Stage::new(t);
    for size in [16, 128] {
        stage.all_work(&How::shell(&format!("ulimit -s {size}"), &[]));
    }
    stage.end();
}

fn closed_streams(t: &Test) {
    let stage = Stage::new(t);
    stage.all_work(&How::shell("exec 0<&-", &[]));
    stage.all_work(&How { stderr: false, ..How::shell("exec 2>&-", &[]) });
    // A caller that closes it does not want to see anything.
    stage.all_work(&How { stdout: false, ..How::shell("exec 1>&-", &[]) });
    stage.end();
}

fn output_that_takes_nothing(t: &Test) {
    let stage = Stage::new(t);
    let how = How { stdout: false, ..How::shell("exec >/dev/full", &["ENOSPC", "No space left on device"]) };
    for (command, verdict) in stage.all(&how) {
        let prints = ["state", "list"].contains(&command);
        assert_eq!(verdict == Verdict::Failed, prints, "{command} into /dev/full");
    }
    stage.end();
}

/// A machine, or an outer container, without a /proc, or with something else there.
fn no_proc(t: &Test) {
    if Variation::of(t).is_none() {
        return;
    }
    let stage = Stage::new(t);
    for line in ["mount -t tmpfs none /proc", "umount -l /proc"] {
        let how = How::new(line, &["/proc"], |command| {
            Variation::of(t).expect("as before").line(line).run(command).output()
        });
        for (command, verdict) in stage.all(&how) {
            assert_eq!(verdict, Verdict::Failed, "{command}, {line}");
        }
    }
    stage.end();
}

fn read_only_tmp(t: &Test) {
    if Variation::of(t).is_none() {
        return;
    }
    let stage = Stage::new(t);
    let own = t.path("").display().to_string();
    let how = How::new("/tmp is read-only", &[], |command| {
        // Except for what the test itself has there.
        let host = Variation::of(t).expect("as before").line("mount --bind /tmp /tmp");
        let host = host.line(&format!("mount --bind {own} {own}")).line("mount -o remount,bind,ro /tmp");
        host.run(command).output()
    });
    stage.all_work(&how);
    stage.end();
}

/// A separate file system for the state, which can be filled; it exists until this is dropped.
struct StateMount(PathBuf);

impl StateMount {
    /// `None`, with the reason printed, if it cannot be mounted.
    fn of(t: &Test, options: &str) -> Option<Self> {
        Variation::of(t)?;
        let dir = t.state_root();
        fs::create_dir_all(&dir).expect("make the directory");
        let (uid, gid) = (t.account().uid, t.account().gid);
        let options = format!("{options},mode=0700,uid={uid},gid={gid}");
        let done = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(&dir).status();
        assert!(done.expect("start mount").success(), "mount a tmpfs with {options}");
        Some(Self(dir))
    }

    /// Fills it except for this many pages.
    fn fill_pages(&self, but: u64) {
        let mut file = File::create(self.0.join("fill")).expect("make a file");
        let pages = (0..1000).take_while(|_| file.write_all(&[0; 4096]).is_ok()).count();
        assert!(pages < 1000, "the file system has no limit");
        let length = file.metadata().expect("its length").len();
        file.set_len(length.saturating_sub(but * 4096)).expect("free some pages");
    }

    /// Fills it except for this many files.
    fn fill_inodes(&self, but: u64) {
        let dir = self.0.join("fill");
        fs::create_dir(&dir).expect("make a directory");
        let made =
            (0..1000).take_while(|number| File::create(dir.join(number.to_string())).is_ok()).count() as u64;
        for number in 0..but.min(made) {
            fs::remove_file(dir.join(number.to_string())).expect("free a file");
        }
    }

    fn empty(&self) {
        let fill = self.0.join("fill");
        let removed = if fill.is_dir() { fs::remove_dir_all(&fill) } else { fs::remove_file(&fill) };
        removed.expect("remove what has filled it");
    }
}

impl Drop for StateMount {
    fn drop(&mut self) {
        let done = Command::new("umount").arg("-l").arg(&self.0).status();
        assert!(done.is_ok_and(|status| status.success()) || std::thread::panicking(), "umount");
    }
}

/// What needs no space works whatever is left; other commands work if there is enough.
fn full_state(t: &Test, options: &str, fill: fn(&StateMount, u64)) {
    let Some(mount) = StateMount::of(t, options) else { return };
    let stage = Stage::new(t);
    for free in [0, 1, 2, 3, 4, 8] {
        let how = How::new(format!("{free} free with {options}"), &["ENOSPC"], |command| {
            fill(&mount, free);
            let output = command.output();
            mount.empty();
            output
        });
        for (command, verdict) in stage.all(&how) {
            let works = verdict == Verdict::Worked;
            match free {
                0 if ["create", "run"].contains(&command) => assert!(!works, "{command}, {}", how.name),
                // A part of what they make may fit.
                1..=7 if ["create", "run"].contains(&command) => {}
                _ => assert!(works, "{command}, {}", how.name),
            }
        }
    }
    stage.end();
}

fn full_state_directory(t: &Test) {
    full_state(t, "size=512k", StateMount::fill_pages);
}

fn state_directory_without_inodes(t: &Test) {
    full_state(t, "nr_inodes=64", StateMount::fill_inodes);
}

/// The limit belongs to a user namespace: one that is made for this test has its own.
fn no_more_user_namespaces(t: &Test) {
    let stage = Stage::new(t);
    let script = "echo 0 >/proc/sys/user/max_user_namespaces && exec setpriv --ambient-caps -all --inh-caps -all \"$@\"";
    let within = ["unshare", "--user", "--map-current-user", "--keep-caps", "sh", "-c", script, "sh"];
    if t.command("true").under(&within).output().exit() != 0 {
        stage.end();
        return skip("the user cannot make a user namespace with a limit of its own");
    }
    let how = How::new("no user namespaces", &["user.max_user_namespaces"], |command| {
        command.under(&within).output()
    });
    for command in ["create", "run"] {
        assert_eq!(stage.turn(command, &how), Verdict::Failed, "{command}");
    }
    stage.end();
}

fn pids_cgroup_at_its_limit(t: &Test) {
    if Variation::of(t).is_none() {
        return;
    }
    let base = Path::new(cgroups::MOUNT);
    let base = if cgroups::is_unified() { base.to_owned() } else { base.join("pids") };
    let cgroup = base.join(format!("{}-full", t.marker()));
    if fs::create_dir(&cgroup).is_err() || !cgroup.join("pids.max").exists() {
        let _ = fs::remove_dir(&cgroup);
        return skip("no cgroup with the controller pids here");
    }
    let stage = Stage::new(t);
    for limit in 1..=3 {
        fs::write(cgroup.join("pids.max"), limit.to_string()).expect("set the limit");
        let line = format!("echo $$ >{}/cgroup.procs", cgroup.display());
        let how = How::new(format!("pids.max={limit}"), &["pids"], |command| {
            Variation::of(t).expect("as before").line(&line).run(command).output()
        });
        for (command, verdict) in stage.all(&how) {
            let makes = ["create", "run", "exec"].contains(&command);
            assert!(makes || verdict == Verdict::Worked, "{command}, {}", how.name);
            assert!(!makes || limit > 1 || verdict == Verdict::Failed, "{command}, {}", how.name);
        }
    }
    stage.end();
    leaks::remove_cgroups(t.marker());
}

fn failed_create_leaves_nothing_with_any_umask(t: &Test) {
    let bundle = t.bundle(&["/no/such/program"]);
    bundle.write();
    for umask in ["0", "0077", "0777"] {
        let script = format!("umask {umask}; exec \"$@\"");
        let create = t.rootling(&["create", "-b"]).arg(bundle.dir()).arg(t.id("new"));
        create.under(&["sh", "-c", &script, "sh"]).output().fails_with(&["/no/such/program"]);
        assert!(!t.state_root().join(t.id("new")).exists(), "umask {umask}");
        fs::remove_dir(t.state_root()).expect("an empty state directory");
    }
}
