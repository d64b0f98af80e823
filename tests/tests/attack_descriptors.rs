//! An image that leads out through a descriptor: what the runtime has open while it looks up a path of the image
//! must not lead to anything on the host. A path such as /proc/self/fd/14/../../../usr needs only an open
//! directory, so every number that a descriptor could have is tried. (CVE-2024-21626 and similar.)

use std::fs::{self, File};
use std::ops::RangeInclusive;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{lchown, symlink};
use std::path::{Path, PathBuf};

use nix::unistd::geteuid;
use rootling_tests::{Bundle, Cmd, Output, Test, Variation, both, cgroups, eventually, leaks, skip};
use serde_json::json;

both!(
    program_of_the_host_is_not_executed_by_run,
    program_of_the_host_is_not_executed_by_create_and_start,
    program_of_the_host_is_not_executed_by_exec,
    program_of_the_host_is_not_executed_by_exec_in_a_created_container,
    program_of_the_host_is_not_found_in_path,
    program_of_the_host_is_not_overwritten,
    working_directory_is_not_made_on_the_host,
    working_directory_of_exec_is_not_the_hosts,
    home_is_not_read_from_a_file_of_the_host,
    descriptor_that_the_caller_leaks_leads_to_no_program,
    descriptor_that_the_caller_leaks_leads_to_no_working_directory,
);

/// The descriptor numbers that are tried.
const DESCRIPTORS: RangeInclusive<i32> = 3..=63;

/// A path on the host that goes through a descriptor, however deep its directory is.
fn through(descriptor: i32, path: &Path) -> String {
    format!("/proc/self/fd/{descriptor}{}{}", "/..".repeat(20), path.display())
}

/// The host, on which it depends what is open: on cgroup v2 the container's cgroup is a descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Host {
    AsItIs,
    /// Only cgroup v2, with a cgroup that belongs to the account.
    CgroupV2,
}

impl Host {
    /// The variants that are possible here.
    fn all(t: &Test) -> Vec<Self> {
        if cgroups::is_unified() && !geteuid().is_root() {
            // It already has cgroup v2, for a user who starts the tests in a session or in a delegated cgroup.
            return vec![Self::AsItIs];
        }
        let v2 = Variation::of(t).map(|_| Self::CgroupV2);
        [Self::AsItIs].into_iter().chain(v2).collect()
    }

    fn rootling(self, t: &Test, args: &[&str]) -> Cmd {
        match self {
            Self::AsItIs => t.rootling(args),
            Self::CgroupV2 => {
                let host = Variation::of(t).expect("root has started the tests");
                host.delegated_cgroup()
                    .run(t.rootling_without_flags(&["--cgroup-manager", "cgroupfs"]).args(args))
            }
        }
    }
}

/// The commands by which a program of the container is executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Run,
    CreateAndStart,
    Exec,
    /// exec in a container that was created and not started.
    ExecInCreated,
}

const WAYS: [Way; 4] = [Way::Run, Way::CreateAndStart, Way::Exec, Way::ExecInCreated];

/// What differs between launches.
#[derive(Clone, Copy, Default)]
struct Launch<'a> {
    args: &'a [&'a str],
    cwd: Option<&'a str>,
    path: Option<&'a str>,
    /// A command that starts rootling.
    under: &'a [&'a str],
}

/// A hostile image, and the way in which one of its programs is executed.
struct Attack<'a> {
    t: &'a Test,
    host: Host,
    way: Way,
    bundle: Bundle,
}

impl<'a> Attack<'a> {
    /// Prepares an attack, with the container that exec needs.
    fn new(t: &'a Test, host: Host, way: Way, bundle: Bundle) -> Self {
        let mut attack = Self { t, host, way, bundle };
        attack.bundle.set("/process/args", json!(["/bin/sleep", "1000"])).write();
        match way {
            Way::Run | Way::CreateAndStart => {}
            Way::Exec => drop(attack.command(&["run", "-d"]).output().ok()),
            Way::ExecInCreated => drop(attack.command(&["create"]).output().ok()),
        }
        if way == Way::Exec && host == Host::CgroupV2 {
            // Otherwise it would be the same as on the host as it is.
            let pid = t.state("c")["pid"].to_string();
            let cgroups =
                fs::read_to_string(format!("/proc/{pid}/cgroup")).expect("cgroups of the container");
            let unified = cgroups.lines().find(|line| line.starts_with("0::")).expect("a cgroup of v2");
            assert!(unified.contains(t.marker()) && !unified.ends_with("/session"), "{cgroups}");
        }
        attack
    }

    /// `COMMAND --bundle BUNDLE ID`.
    fn command(&self, command: &[&str]) -> Cmd {
        self.host.rootling(self.t, command).arg("-b").arg(self.bundle.dir()).arg(self.t.id("c"))
    }

    /// The output of the command that fails, or of the last one.
    fn launch(&mut self, launch: Launch<'_>) -> Output {
        let Launch { args, cwd, path, under } = launch;
        let id = self.t.id("c");
        if [Way::Exec, Way::ExecInCreated].contains(&self.way) {
            let path = path.map(|path| format!("PATH={path}"));
            let mut flags = vec!["exec"];
            flags.extend(cwd.iter().flat_map(|cwd| ["--cwd", cwd]));
            flags.extend(path.iter().flat_map(|path| ["--env", path]));
            return self.host.rootling(self.t, &flags).arg(id).args(args).under(under).output();
        }
        self.bundle.set("/process/args", args.into()).set("/process/cwd", cwd.unwrap_or("/").into());
        let path = format!("PATH={}", path.unwrap_or("/bin"));
        self.bundle.set("/process/env/0", path.into()).write();
        if self.way == Way::Run {
            return self.command(&["run"]).under(under).output();
        }
        let created = self.command(&["create"]).under(under).output();
        if created.exit() != 0 {
            return created;
        }
        let started = self.host.rootling(self.t, &["start", &id]).output();
        eventually("the program has ended", || self.t.status("c") == "stopped");
        self.host.rootling(self.t, &["delete", &id]).output().ok();
        started
    }

    /// Asserts that it is an error with the usual message. exec in a running container does not distinguish the
    /// exit codes any better than create.
    fn assert_refused(&self, output: &Output, parts: &[&str]) {
        output.fails_with(parts);
        let codes = match self.way {
            Way::Run => 126..=127,
            Way::CreateAndStart => 1..=1,
            Way::Exec | Way::ExecInCreated => 255..=255,
        };
        assert!(codes.contains(&output.exit()), "{:?} on {:?}: {output}", self.way, self.host);
    }

    fn end(self) {
        if [Way::Exec, Way::ExecInCreated].contains(&self.way) {
            self.host.rootling(self.t, &["delete", "-f", &self.t.id("c")]).output().ok();
        }
        leaks::remove_cgroups(self.t.marker());
    }

    /// Describes the attack for a message.
    fn context(&self, descriptor: i32) -> String {
        format!("through descriptor {descriptor}, {:?} on {:?}", self.way, self.host)
    }
}

/// Makes a link in the image to something that no image should be able to reach.
fn link(t: &Test, bundle: &Bundle, inside: &str, target: &str) {
    let link = bundle.rootfs(inside);
    let _ = fs::remove_file(&link);
    symlink(target, &link).expect("make the link");
    lchown(&link, Some(t.account().uid), Some(t.account().gid)).expect("chown of the link");
}

/// Asserts that the path of the attack does lead there, from a descriptor of the test's own.
fn assert_leads_there(t: &Test, path: &Path) {
    let dir = File::open(t.path("")).expect("open a directory of the host");
    assert!(fs::exists(through(dir.as_raw_fd(), path)).expect("look it up"), "{}", path.display());
}

const MAKE_MARK: [&str; 2] = ["make", "/tmp/executed"];

fn program_is_not_executed(t: &Test, way: Way) {
    let program = t.probe_on_host("program");
    assert_leads_there(t, &program);
    let mut executed = Vec::new();
    for host in Host::all(t) {
        let bundle = t.bundle(&["true"]);
        t.with_probe(&bundle);
        let mark = bundle.rootfs("tmp/executed");
        for descriptor in DESCRIPTORS {
            link(t, &bundle, &format!("entry{descriptor}"), &through(descriptor, &program));
        }
        let mut attack = Attack::new(t, host, way, bundle);
        for descriptor in DESCRIPTORS {
            let entry = format!("/entry{descriptor}");
            let args = [entry.as_str(), MAKE_MARK[0], MAKE_MARK[1]];
            let output = attack.launch(Launch { args: &args, ..Launch::default() });
            if fs::remove_file(&mark).is_ok() {
                executed.push(attack.context(descriptor));
            } else {
                attack.assert_refused(&output, &["process.args", &entry]);
            }
        }
        // The same program does leave the mark if it is in the image.
        attack.launch(Launch { args: &["/bin/probe", MAKE_MARK[0], MAKE_MARK[1]], ..Launch::default() }).ok();
        assert!(mark.exists(), "{way:?} on {host:?}: no mark of a program of the image's own");
        attack.end();
    }
    assert!(executed.is_empty(), "executed {executed:?}");
}

fn program_of_the_host_is_not_executed_by_run(t: &Test) {
    program_is_not_executed(t, Way::Run);
}

fn program_of_the_host_is_not_executed_by_create_and_start(t: &Test) {
    program_is_not_executed(t, Way::CreateAndStart);
}

fn program_of_the_host_is_not_executed_by_exec(t: &Test) {
    program_is_not_executed(t, Way::Exec);
}

fn program_of_the_host_is_not_executed_by_exec_in_a_created_container(t: &Test) {
    program_is_not_executed(t, Way::ExecInCreated);
}

/// The directories in PATH are searched with other calls than args[0], and all of them at the same time.
fn program_of_the_host_is_not_found_in_path(t: &Test) {
    assert_leads_there(t, &t.probe_on_host("program-of-the-host"));
    let mut found = Vec::new();
    let dirs: Vec<String> = DESCRIPTORS.map(|descriptor| format!("/path{descriptor}")).collect();
    for (host, way) in Host::all(t).into_iter().flat_map(|host| WAYS.map(|way| (host, way))) {
        let bundle = t.bundle(&["true"]);
        for (descriptor, dir) in DESCRIPTORS.zip(&dirs) {
            link(t, &bundle, dir, &through(descriptor, &t.path("")));
        }
        let mark = bundle.rootfs("tmp/executed");
        let mut attack = Attack::new(t, host, way, bundle);
        let args = ["program-of-the-host", MAKE_MARK[0], MAKE_MARK[1]];
        for path in
            [dirs.join(":"), DESCRIPTORS.map(|n| through(n, &t.path(""))).collect::<Vec<_>>().join(":")]
        {
            let output = attack.launch(Launch { args: &args, path: Some(&path), ..Launch::default() });
            // Finding it is bad enough, even if it is out of reach again when it is executed.
            if fs::remove_file(&mark).is_ok() || !output.stderr.contains("not found in $PATH") {
                found.push(format!("{way:?} on {host:?}: {:?}", output.stderr));
            } else {
                attack.assert_refused(&output, &["program-of-the-host"]);
            }
        }
        attack.end();
    }
    assert!(found.is_empty(), "found {found:?}");
}

/// Copies a program by running another one: a descriptor of ours that is open for writing could be inherited by a
/// child that another test forks meanwhile, and then the copy could not be executed (ETXTBSY).
fn copy_program(t: &Test, program: &str, copy: &Path) {
    t.command("install").args(&["-D", "-m", "0755", program]).arg(copy).output().ok();
}

/// Makes the image's loader load the host's shell. Returns false, with the reason printed, if that is not a dynamic
/// program.
fn with_loader_of_the_shell(t: &Test, bundle: &Bundle) -> bool {
    let listed = t.command("sh").args(&["-c", "ldd /bin/sh"]).output();
    let words = listed.stdout.split_whitespace().filter(|word| word.starts_with('/'));
    let libraries: Vec<&str> = words.collect();
    if listed.exit() != 0 || libraries.is_empty() {
        skip("the host's shell is no dynamic program, or there is no ldd");
        return false;
    }
    for library in libraries {
        copy_program(t, library, &bundle.rootfs(library));
    }
    true
}

/// What the image has in place of the loader loads a dynamic program, and then /proc/self/exe is the host's file:
/// it is kept open, and written to once nothing is executing it. (CVE-2019-5736.)
fn program_of_the_host_is_not_overwritten(t: &Test) {
    const OVERWRITE: &str =
        "exec 9</proc/self/exe; exec /bin/busybox sh -c 'echo overwritten >/proc/self/fd/9'";
    let victim = t.path("victim");
    copy_program(t, "/bin/sh", &victim);
    assert_leads_there(t, &victim);
    let bytes = fs::read(&victim).expect("read the program");
    let mut overwritten = Vec::new();
    for (host, way) in Host::all(t).into_iter().flat_map(|host| WAYS.map(|way| (host, way))) {
        let bundle = t.bundle(&["true"]);
        if !with_loader_of_the_shell(t, &bundle) {
            return;
        }
        let inside = bundle.rootfs("victim");
        copy_program(t, "/bin/sh", &inside);
        let mut attack = Attack::new(t, host, way, bundle);
        for descriptor in DESCRIPTORS {
            link(t, &attack.bundle, "entry", &through(descriptor, &victim));
            let output = attack.launch(Launch { args: &["/entry", "-c", OVERWRITE], ..Launch::default() });
            if fs::read(&victim).expect("read the program") == bytes {
                attack.assert_refused(&output, &["process.args", "/entry"]);
            } else {
                overwritten.push(attack.context(descriptor));
                fs::write(&victim, &bytes).expect("restore the program");
            }
        }
        // The same is done to a program of the image.
        attack.launch(Launch { args: &["/victim", "-c", OVERWRITE], ..Launch::default() }).ok();
        assert_eq!(fs::read(&inside).expect("read the program"), b"overwritten\n", "{way:?} on {host:?}");
        attack.end();
    }
    assert!(overwritten.is_empty(), "overwritten {overwritten:?}");
}

/// A working directory that the image lacks is made only in the image.
fn working_directory_is_not_made_on_the_host(t: &Test) {
    let outside = t.open_directory("host");
    assert_leads_there(t, &outside);
    let mut made = Vec::new();
    for (host, way) in
        Host::all(t).into_iter().flat_map(|host| [Way::Run, Way::CreateAndStart].map(|way| (host, way)))
    {
        let mut attack = Attack::new(t, host, way, t.bundle(&["true"]));
        for descriptor in DESCRIPTORS {
            let target = through(descriptor, &outside);
            link(t, &attack.bundle, "link", &target);
            for cwd in [format!("{target}/made"), "/link/made".to_owned()] {
                let launch = Launch { args: &["/bin/true"], cwd: Some(&cwd), ..Launch::default() };
                let output = attack.launch(launch);
                if fs::remove_dir(outside.join("made")).is_ok() {
                    made.push(attack.context(descriptor));
                }
                output.fails_with(&["process.cwd"]);
            }
        }
        let launch = Launch { args: &["/bin/true"], cwd: Some("/made/inside"), ..Launch::default() };
        attack.launch(launch).ok();
        assert!(attack.bundle.rootfs("made/inside").is_dir(), "no working directory is made at all");
        attack.end();
    }
    assert!(made.is_empty(), "made {made:?}");
}

fn working_directory_of_exec_is_not_the_hosts(t: &Test) {
    let outside = t.open_directory("host");
    let script = "echo mark >mark";
    for (host, way) in
        Host::all(t).into_iter().flat_map(|host| [Way::Exec, Way::ExecInCreated].map(|way| (host, way)))
    {
        let mut attack = Attack::new(t, host, way, t.bundle(&["true"]));
        for descriptor in DESCRIPTORS {
            let target = through(descriptor, &outside);
            link(t, &attack.bundle, "link", &target);
            for cwd in [target.as_str(), "/link"] {
                let args = ["/bin/sh", "-c", script];
                let output = attack.launch(Launch { args: &args, cwd: Some(cwd), ..Launch::default() });
                let mark = outside.join("mark").exists();
                assert!(!mark, "on the host {}: {output}", attack.context(descriptor));
                output.fails_with(&["process.cwd"]);
            }
        }
        let args = ["/bin/sh", "-c", script];
        attack.launch(Launch { args: &args, cwd: Some("/tmp"), ..Launch::default() }).ok();
        assert!(attack.bundle.rootfs("tmp/mark").exists(), "no mark in a directory of the image's own");
        attack.end();
    }
}

fn home_is_not_read_from_a_file_of_the_host(t: &Test) {
    let passwd = t.path("passwd");
    fs::write(&passwd, "root:x:0:0::/of-the-host:/bin/sh\n").expect("write a file of the host");
    assert_leads_there(t, &passwd);
    let mut read = Vec::new();
    for (host, way) in Host::all(t).into_iter().flat_map(|host| WAYS.map(|way| (host, way))) {
        let mut attack = Attack::new(t, host, way, t.bundle(&["true"]));
        let said = attack.bundle.rootfs("tmp/home");
        let home = |attack: &mut Attack| {
            attack
                .launch(Launch { args: &["/bin/sh", "-c", "echo $HOME >/tmp/home"], ..Launch::default() })
                .ok();
            fs::read_to_string(&said).expect("what the program says of its home")
        };
        assert_eq!(home(&mut attack), "/root\n", "as the image has it");
        for descriptor in DESCRIPTORS {
            link(t, &attack.bundle, "etc/passwd", &through(descriptor, &passwd));
            match home(&mut attack).as_str() {
                "/\n" => {}
                other => read.push(format!("{other:?} {}", attack.context(descriptor))),
            }
        }
        attack.end();
    }
    assert!(read.is_empty(), "HOME is {read:?}");
}

/// Leaves descriptor 17, which refers to the host's root, open for the runtime to inherit.
const LEAKY_CALLER: [&str; 3] = ["bash", "-c", r#"exec 17</; exec "$0" "$@""#];

/// A directory on the host, through the caller's descriptor 17.
fn leaked(t: &Test) -> (PathBuf, String) {
    let outside = t.open_directory("host");
    let path = format!("/proc/self/fd/17{}", outside.display());
    t.command("test").args(&["-d", &path]).under(&LEAKY_CALLER).output().ok();
    (outside, path)
}

fn descriptor_that_the_caller_leaks_leads_to_no_program(t: &Test) {
    let (_, dir) = leaked(t);
    t.probe_on_host("host/program");
    let program = format!("{dir}/program");
    let mut executed = Vec::new();
    for (host, way) in Host::all(t).into_iter().flat_map(|host| WAYS.map(|way| (host, way))) {
        let mut attack = Attack::new(t, host, way, t.bundle(&["true"]));
        let mark = attack.bundle.rootfs("tmp/executed");
        link(t, &attack.bundle, "entry", &program);
        for (arg, path) in [("/entry", None), (program.as_str(), None), ("program", Some(dir.as_str()))] {
            let args = [arg, MAKE_MARK[0], MAKE_MARK[1]];
            let output =
                attack.launch(Launch { args: &args, path, under: &LEAKY_CALLER, ..Launch::default() });
            if fs::remove_file(&mark).is_ok() {
                executed.push((arg, way, host));
            } else {
                attack.assert_refused(&output, &["process.args", arg]);
            }
        }
        attack.end();
    }
    assert!(executed.is_empty(), "executed {executed:?}");
}

fn descriptor_that_the_caller_leaks_leads_to_no_working_directory(t: &Test) {
    let (outside, dir) = leaked(t);
    let below = format!("{dir}/made");
    let args = ["/bin/sh", "-c", "echo mark >mark"];
    let mut changed = Vec::new();
    for (host, way) in Host::all(t).into_iter().flat_map(|host| WAYS.map(|way| (host, way))) {
        let mut attack = Attack::new(t, host, way, t.bundle(&["true"]));
        for cwd in [&dir, &below] {
            let launch = Launch { args: &args, cwd: Some(cwd), under: &LEAKY_CALLER, ..Launch::default() };
            let output = attack.launch(launch);
            if fs::remove_file(outside.join("mark")).is_ok()
                || fs::remove_dir_all(outside.join("made")).is_ok()
            {
                changed.push((cwd, way, host));
            }
            output.fails_with(&["process.cwd"]);
        }
        attack.end();
    }
    assert!(changed.is_empty(), "on the host, by the working directory {changed:?}");
}
