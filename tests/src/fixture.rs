//! The basis of each test: a directory of its own, an account, and a marker.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::Value;

use crate::mountinfo::Mounts;
use crate::{Account, Bundle, Cmd, Output, Who, leaks, skip, source};

/// Set, it makes the binary under test belong to the ordinary user, as that of a user who builds it does.
const OWNED: &str = "ROOTLING_TEST_OWNED";

/// Runs `test` for `who`, and then checks that nothing of it is left; skips it if `who` is not available.
pub fn with(who: Who, test: fn(&Test)) {
    let fixture = match Test::new(who) {
        Ok(fixture) => fixture,
        Err(why) => return skip(&why),
    };
    let result = catch_unwind(AssertUnwindSafe(|| {
        test(&fixture);
        leaks::assert_none(&fixture);
    }));
    if result.is_err() {
        fixture.clean_up();
    }
    drop(fixture);
    if let Err(panic) = result {
        resume_unwind(panic);
    }
}

/// The surroundings of one test; the directory is removed when this is dropped.
#[derive(Debug)]
pub struct Test {
    who: Who,
    account: Account,
    marker: String,
    dir: PathBuf,
    binary: PathBuf,
    serial: AtomicU32,
}

impl Test {
    /// Makes the directory. An error is the reason for skipping.
    pub fn new(who: Who) -> Result<Self, String> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let account = Account::of(who)?;
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let marker = format!("{}-{}-{count}", leaks::run_marker(), std::process::id());
        let dir = env::temp_dir().join(&marker);
        fs::create_dir(&dir).expect("make the test's directory");
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).expect("chmod of the test's directory");
        let work = dir.join("work");
        fs::create_dir(&work).expect("make the working directory");
        chown(&work, Some(account.uid), Some(account.gid)).expect("chown of the working directory");
        let owner = if env::var_os(OWNED).is_some() && who == Who::User { account.uid } else { 0 };
        let binary = reachable_binary(&dir, who, owner);
        Ok(Self { who, account, marker, dir, binary, serial: AtomicU32::new(0) })
    }

    /// The account for which the test runs.
    pub fn who(&self) -> Who {
        self.who
    }

    /// The account of its commands.
    pub fn account(&self) -> &Account {
        &self.account
    }

    /// A string that is part of every container id, path and environment of this test, and of no other test.
    pub fn marker(&self) -> &str {
        &self.marker
    }

    /// The binary under test, at a path that the account can access.
    pub fn binary(&self) -> &Path {
        &self.binary
    }

    /// Whether the binary under test belongs to the account, so that it copies itself to memory before it makes a
    /// container.
    pub fn binary_copies_itself(&self) -> bool {
        let is_own = |path: &Path| fs::metadata(path).is_ok_and(|found| found.uid() == self.account.uid);
        self.who == Who::User && (is_own(&self.binary) || self.binary.parent().is_some_and(is_own))
    }

    /// A copy of the binary that belongs to the account, which may write to it.
    pub fn writable_binary(&self) -> PathBuf {
        install(&self.binary, &self.path("writable-rootling"), self.account.uid)
    }

    /// A path in the working directory, which belongs to the account.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.join("work").join(name)
    }

    /// The state directory that commands are given; rootling makes it.
    pub fn state_root(&self) -> PathBuf {
        self.path("state")
    }

    /// The id in this test for a container with the short name `name`.
    pub fn id(&self, name: &str) -> String {
        format!("{}-{name}", self.marker)
    }

    /// A number that has not been returned before in this test.
    pub(crate) fn next_serial(&self) -> u32 {
        self.serial.fetch_add(1, Ordering::Relaxed)
    }

    /// Makes a bundle with a busybox root file system that runs `args`.
    pub fn bundle(&self, args: &[&str]) -> Bundle {
        let dir = self.path(&format!("bundle{}", self.next_serial()));
        let made = Command::new(source("hack/bundle.sh"))
            .arg(&dir)
            .env("ROOTLING_BIN", &self.binary)
            .output()
            .expect("start hack/bundle.sh");
        assert!(made.status.success(), "hack/bundle.sh: {}", String::from_utf8_lossy(&made.stderr));
        let mut bundle = Bundle::new(self, dir);
        bundle.set("/process/args", args.into());
        bundle.own_all();
        bundle
    }

    /// Makes a bundle that runs `script` in its shell.
    pub fn shell(&self, script: &str) -> Bundle {
        self.bundle(&["sh", "-c", script])
    }

    /// Puts the program of `src/bin/probe.rs` into a bundle, as `/bin/probe`.
    pub fn with_probe(&self, bundle: &Bundle) {
        bundle.own(&install(&probe(), &bundle.rootfs("bin/probe"), self.account.uid));
    }

    /// Puts the same program into the test's directory, as a program on the host that belongs to the account.
    pub fn probe_on_host(&self, name: &str) -> PathBuf {
        install(&probe(), &self.path(name), self.account.uid)
    }

    /// The example of `rootling-runtime`, as a program on the host that belongs to the account.
    pub fn embedding_program(&self) -> PathBuf {
        install(&beside("embed"), &self.path("embed"), self.account.uid)
    }

    /// A directory on the host that every id may write to; whatever gets there leaves a mark in it.
    pub fn open_directory(&self, name: &str) -> PathBuf {
        let dir = self.path(name);
        fs::create_dir(&dir).expect("make the directory");
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o777)).expect("chmod of the directory");
        dir
    }

    /// A command that runs as the account; it need not be rootling.
    pub fn command<S: AsRef<OsStr>>(&self, program: S) -> Cmd {
        Cmd::new(self, program.as_ref())
    }

    /// `rootling --root STATE ARGS...`, with [`Test::flags`] before ARGS.
    pub fn rootling<S: AsRef<OsStr>>(&self, args: &[S]) -> Cmd {
        self.rootling_without_flags(&self.flags()).args(args)
    }

    /// `rootling --root STATE ARGS...`, whatever [`Test::flags`] are.
    pub fn rootling_without_flags<S: AsRef<OsStr>>(&self, args: &[S]) -> Cmd {
        self.command(&self.binary).arg("--root").arg(self.state_root()).args(args)
    }

    /// Global options that every command gets: the words in `ROOTLING_TEST_FLAGS`.
    pub fn flags(&self) -> Vec<String> {
        let flags = env::var("ROOTLING_TEST_FLAGS").unwrap_or_default();
        flags.split_whitespace().map(str::to_owned).collect()
    }

    /// Runs the bundle in the foreground until it ends. The container's name is `c`.
    pub fn run(&self, bundle: &Bundle) -> Output {
        self.run_command(bundle).output()
    }

    /// The command of [`Test::run`].
    pub fn run_command(&self, bundle: &Bundle) -> Cmd {
        self.rootling(&["run", "-b"]).arg(bundle.dir()).arg(self.id("c"))
    }

    /// The mounts in a container of this bundle, as its program sees them.
    pub fn mounts_of(&self, bundle: &mut Bundle) -> Mounts {
        bundle.set("/process/args", ["cat", "/proc/self/mountinfo"].as_slice().into());
        Mounts::parse(&self.run(bundle.write()).ok().stdout)
    }

    /// Runs `run --detach` of the bundle as `name`.
    pub fn run_detached(&self, bundle: &Bundle, name: &str) -> Output {
        self.rootling(&["run", "-d", "-b"]).arg(bundle.dir()).arg(self.id(name)).output()
    }

    /// `exec FLAGS... NAME COMMAND...`
    pub fn exec<S: AsRef<OsStr>>(&self, flags: &[S], name: &str, command: &[&str]) -> Cmd {
        self.rootling(&["exec"]).args(flags).arg(self.id(name)).args(command)
    }

    /// Runs `create` of the bundle as `name`.
    pub fn create(&self, bundle: &Bundle, name: &str) -> Output {
        self.rootling(&["create", "-b"]).arg(bundle.dir()).arg(self.id(name)).output()
    }

    /// Runs `start` of `name`.
    pub fn start(&self, name: &str) -> Output {
        self.rootling(&["start", &self.id(name)]).output()
    }

    /// The parsed output of `state` for `name`.
    pub fn state(&self, name: &str) -> Value {
        self.rootling(&["state", &self.id(name)]).output().ok().json()
    }

    /// The `status` in the `state` of `name`.
    pub fn status(&self, name: &str) -> String {
        self.state(name)["status"].as_str().expect("status is a string").to_owned()
    }

    /// Runs `delete -f` of `name`.
    pub fn delete_force(&self, name: &str) -> Output {
        self.rootling(&["delete", "-f", &self.id(name)]).output()
    }

    /// Cleans up after a failed test as far as possible, so that it does not make others fail.
    fn clean_up(&self) {
        for entry in fs::read_dir(self.state_root()).into_iter().flatten().flatten() {
            let name = entry.file_name();
            if name.to_string_lossy().contains(&self.marker) {
                let _ = self.rootling(&["delete", "-f"]).arg(name).try_output();
            }
        }
        leaks::clean_up(&self.marker);
    }
}

impl Drop for Test {
    fn drop(&mut self) {
        if env::var_os("ROOTLING_TEST_KEEP").is_none() {
            let removed = fs::remove_dir_all(&self.dir);
            // What belongs to subordinate ids can be removed only in their user namespace.
            if removed.is_err() && !nix::unistd::geteuid().is_root() {
                let unshare = ["--map-root-user", "--map-auto", "rm", "-rf"];
                let _ = Command::new("unshare").args(unshare).arg(&self.dir).status();
            }
        }
    }
}

/// The binary under test: `ROOTLING_BIN`, or what cargo built next to this test, or its release build. It is copied
/// to `dir` if an ordinary user could not access it, or if it is to belong to somebody else than root.
fn reachable_binary(dir: &Path, who: Who, owner: u32) -> PathBuf {
    let built = binary_under_test();
    let reachable = built
        .ancestors()
        .skip(1)
        .all(|parent| fs::metadata(parent).is_ok_and(|metadata| metadata.permissions().mode() & 0o001 != 0));
    if (reachable && owner == 0) || who == Who::Root || !nix::unistd::geteuid().is_root() {
        return built;
    }
    install(&image_of(&built), &dir.join("rootling-image"), owner);
    install(&built, &dir.join("rootling"), owner)
}

/// The program for images, which is next to the runtime.
fn image_of(runtime: &Path) -> PathBuf {
    runtime.with_file_name("rootling-image")
}

fn probe() -> PathBuf {
    beside("probe")
}

/// The path where cargo built a program of `tests/Cargo.toml`: `<target>/<host>/<profile>/<name>`, which is next to
/// a program of ours and one level above a test.
fn beside(name: &str) -> PathBuf {
    let own = env::current_exe().expect("path of this test");
    let mut above = own.ancestors().skip(1).map(|dir| dir.join(name));
    above.find(|path| path.is_file()).unwrap_or_else(|| panic!("{name} is not built beside the tests"))
}

/// Copies a program by running another one: a descriptor of ours that is open for writing could be inherited by a
/// child that another thread forks meanwhile, and then the copy could not be executed (ETXTBSY).
fn install(program: &Path, copy: &Path, owner: u32) -> PathBuf {
    let owner = owner.to_string();
    let install = Command::new("install").args(["-m", "0755", "-o", &owner]).args([program, copy]).output();
    let install = install.expect("start install");
    assert!(install.status.success(), "install: {}", String::from_utf8_lossy(&install.stderr));
    copy.to_owned()
}

/// See [`reachable_binary`].
fn binary_under_test() -> PathBuf {
    if let Some(path) = env::var_os("ROOTLING_BIN") {
        return fs::canonicalize(&path)
            .unwrap_or_else(|error| panic!("ROOTLING_BIN {}: {error}", path.display()));
    }
    // <target>/<host>/<profile>/deps/<this test>
    let test = env::current_exe().expect("path of this test");
    let profile = test.ancestors().nth(2).expect("a test lies two levels below the profile");
    let host = profile.parent().expect("the profile has a parent");
    let musl = host.with_file_name("x86_64-unknown-linux-musl");
    [profile.join("rootling"), musl.join("release/rootling"), host.join("release/rootling")]
        .into_iter()
        .find(|path| path.is_file())
        .expect("no rootling was built: run `make build`, or set ROOTLING_BIN")
}
