//! The commands that are traced: those of a container's life, with options that make a launch take other paths.

use std::collections::HashSet;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use rootling_tests::{Bundle, Cmd, Test, Variation, Who, eventually, leaks};

use crate::profile;

/// The number of bind mounts in the bundle that has many.
const BINDS: usize = 100;

/// Traces all commands and prints each function name once.
pub(crate) fn main() -> Result<ExitCode, String> {
    if !nix::unistd::geteuid().is_root() {
        return Err("only root can trace a program through its changes of ids: run it as root".to_owned());
    }
    rootling_tests::with(Who::User, |test| {
        let mut session = Session::new(test);
        session.runs();
        session.life();
        session.first_run_of_a_profile();
        leaks::remove_cgroups(test.marker());
        let mut seen = HashSet::new();
        session.names.iter().filter(|name| seen.insert(*name)).for_each(|name| println!("{name}"));
    });
    Ok(ExitCode::SUCCESS)
}

/// What the traced commands have in common, and what has been found.
struct Session<'a> {
    test: &'a Test,
    symbols: PathBuf,
    names: Vec<String>,
}

impl<'a> Session<'a> {
    fn new(test: &'a Test) -> Self {
        let nm = Command::new("nm").args(["--defined-only", "--format=posix"]).arg(test.binary()).output();
        let nm = nm.expect("start nm, of the binutils");
        assert!(
            !nm.stdout.is_empty(),
            "{} is stripped: its functions have no names",
            test.binary().display()
        );
        let symbols = test.path("symbols");
        std::fs::write(&symbols, nm.stdout).expect("write the symbols");
        Self { test, symbols, names: Vec::new() }
    }

    /// `run`, with one id, ranges of ids, a profile, many mounts and a cgroup.
    fn runs(&mut self) {
        let test = self.test;
        let plain = test.bundle(&["true"]);
        self.run("run", &plain);
        match test.account().ranges() {
            Some(ids) => self.run("run, ranges of ids", plain.sibling(test, &["true"]).ids(ids)),
            None => eprintln!("without ranges of ids: {} has none in /etc/subuid", test.account().name),
        }

        let mut seccomp = plain.sibling(test, &["true"]);
        seccomp.set("/linux/seccomp", profile::docker_sized()).write();
        // A profile is compiled once, and then read from rootling's cache.
        test.run(&seccomp).ok();
        self.run("run, seccomp", &seccomp);

        let mut binds = plain.sibling(test, &["true"]);
        self.run("run, bind mounts", binds.bind_files(test, BINDS));

        let mut by_path = plain.sibling(test, &["true"]);
        by_path.set("/linux/cgroupsPath", format!("/{}/box", test.marker()).into());
        self.run("run, cgroup", &by_path);
    }

    /// The commands of a container's life in their order.
    fn life(&mut self) {
        let test = self.test;
        let mut bundle = test.bundle(&["sleep", "1000000"]);
        bundle.set("/linux/seccomp", profile::docker_sized()).write();
        let id = test.id("c");
        self.trace("create", test.rootling(&["create", "-b"]).arg(bundle.dir()).arg(&id));
        self.trace("start", test.rootling(&["start", &id]));
        self.trace("exec", test.rootling(&["exec", &id, "true"]));
        self.trace("state", test.rootling(&["state", &id]));
        self.trace("list", test.rootling(&["list"]));
        self.trace("kill", test.rootling(&["kill", &id, "KILL"]));
        eventually("the container is stopped", || test.status("c") == "stopped");
        self.trace("delete", test.rootling(&["delete", &id]));
    }

    /// Traced after everything else, since it happens once for each profile and not at each launch.
    fn first_run_of_a_profile(&mut self) {
        let mut bundle = self.test.bundle(&["true"]);
        bundle.set("/linux/seccomp", profile::docker_sized()).write();
        let command = self.test.run_command(&bundle).env("XDG_CACHE_HOME", self.test.path("empty-cache"));
        self.trace("run, seccomp, not in the cache", command);
    }

    fn run(&mut self, what: &str, bundle: &Bundle) {
        bundle.write();
        self.trace(what, self.test.run_command(bundle));
    }

    /// Runs the command as the account under the tracer, with cgroup v2 and a cgroup in which others can be made.
    fn trace(&mut self, what: &str, command: Cmd) {
        let account = self.test.account();
        let cgroup = format!("/sys/fs/cgroup/{}", self.test.marker());
        let host = Variation::of(self.test)
            .expect("root has started this")
            .cgroup_v2()
            .line(&format!("mkdir -p {cgroup}/session"))
            .line(&format!("chown -R {}:{} {cgroup}", account.uid, account.gid))
            .line(&format!("echo $$ >{cgroup}/session/cgroup.procs"));
        let own = std::env::current_exe().expect("our own path");
        let found = self.test.path("found");
        let files = [&self.symbols, self.test.binary(), &found].map(AsRef::as_ref);
        let [symbols, program, names] = files;
        host.run(command)
            .under(&[own.as_os_str(), "--trace".as_ref(), symbols, program, names])
            .output()
            .ok();
        let names = std::fs::read_to_string(&found).expect("read what the tracer has found");
        eprintln!("{:6} functions: {what}", names.lines().count());
        self.names.extend(names.lines().map(str::to_owned));
    }
}
