//! State that somebody else has put there: another user of the host, or a file that never ends.
//!
//! A record says which processes to end, which cgroups to remove, and which hooks to run as the caller.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::stat::Mode;
use nix::unistd::{geteuid, mkfifo};
use rootling_tests::{Cmd, Test, Variation, Who, both, can_trace, leaks, skip, user};
use serde_json::json;

both!(
    state_of_another_user_is_not_used,
    state_directory_that_others_can_write_is_not_used,
    record_that_is_no_file_or_never_ends_blocks_nothing,
    config_that_is_no_file_or_never_ends_is_an_error,
    passwd_of_the_image_that_is_no_file_or_never_ends_is_an_error,
    passwd_of_the_image_is_not_read_where_it_is_large,
    process_without_an_end_is_an_error,
    pid_file_among_names_of_another_user_changes_nothing_of_the_callers,
);
user!(
    runtime_directory_of_another_user_is_not_used,
    runtime_directory_that_others_can_write_is_not_used,
    runtime_directory_that_another_makes_meanwhile_is_not_used,
    directory_in_tmp_that_another_makes_meanwhile_is_not_used,
);

/// The uid of another user, nobody.
const OTHER: u32 = 65534;

/// Whether root can give files to another user.
fn can_give_away() -> bool {
    if !geteuid().is_root() {
        skip("needs root, to give files to another user, and root did not start the tests");
    }
    geteuid().is_root()
}

fn give_away(path: &Path) {
    for entry in fs::read_dir(path).into_iter().flatten() {
        let entry = entry.expect("read a directory");
        if entry.file_type().expect("its type").is_dir() {
            give_away(&entry.path());
        } else {
            chown(entry.path(), Some(OTHER), Some(OTHER)).expect("chown");
        }
    }
    chown(path, Some(OTHER), Some(OTHER)).expect("chown");
    mode(path, 0o777);
}

/// Makes a directory of the account.
fn own_directory(t: &Test, name: &str) -> PathBuf {
    let dir = t.open_directory(name);
    let _ = chown(&dir, Some(t.account().uid), Some(t.account().gid));
    mode(&dir, 0o755);
    dir
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("chmod");
}

/// The state of an ended container in the root directory `root`, with a hook that shows whether it ran.
struct Trap {
    root: PathBuf,
    id: String,
    shows: PathBuf,
}

impl Trap {
    fn set(t: &Test, root: PathBuf) -> Self {
        let shows = t.path("ran");
        let script = format!("echo ran >>{}", shows.display());
        let mut bundle = t.bundle(&["true"]);
        let hook = json!([{"path": "/bin/sh", "args": ["sh", "-c", script]}]);
        bundle.set("/hooks", json!({"poststop": hook}));
        let id = t.id("trap");
        let run = t.command(t.binary()).arg("--root").arg(&root).args(&["run", "--keep", "-b"]);
        run.arg(bundle.write().dir()).arg(&id).output().ok();
        Self { root, id, shows }
    }

    /// Every command that would use the state fails and says why, and none of the trap's hooks runs.
    fn holds_nobody(&self, command: &dyn Fn() -> Cmd, words: &[&str]) {
        for args in [
            &["delete"][..],
            &["delete", "--force"],
            &["state"],
            &["kill"],
            &["exec"],
            &["start"],
            &["ps"],
            &["events", "--stats"],
        ] {
            let more: &[&str] = if args[0] == "exec" { &["true"] } else { &[] };
            command().args(args).arg(&self.id).args(more).output().fails_with(words);
        }
        assert!(!self.shows.exists(), "a hook of another user's state ran as the caller");
        assert!(self.root.join(&self.id).exists(), "the trap is gone");
        let list = command().args(&["list", "-q"]).output();
        assert!(list.stderr.contains(words[0]), "nothing is said: {list}");
    }
}

fn state_of_another_user_is_not_used(t: &Test) {
    if !can_give_away() {
        return;
    }
    let bundle = t.bundle(&["true"]);
    let words = [&format!("belongs to uid {OTHER} and not to the caller, uid {}", t.account().uid)[..]];
    // Everything belongs to the other user, or just a directory that was moved into a root directory of the caller.
    for (name, whole) in [("whole", true), ("one", false)] {
        let above = own_directory(t, name);
        let trap = Trap::set(t, above.join("state"));
        give_away(&if whole { trap.root.clone() } else { trap.root.join(&trap.id) });
        let command = || t.command(t.binary()).arg("--root").arg(&trap.root);
        trap.holds_nobody(&command, &words);
        if whole {
            let run = command().args(&["run", "-b"]).arg(bundle.write().dir()).arg(t.id("new"));
            run.output().fails_with(&words);
            assert!(!trap.root.join(t.id("new")).exists(), "state was made in another user's directory");
        }
        fs::remove_dir_all(&above).expect("remove the trap");
    }
    leaks::remove_cgroups(t.marker());
}

fn state_directory_that_others_can_write_is_not_used(t: &Test) {
    let above = own_directory(t, "above");
    let trap = Trap::set(t, above.join("state"));
    let command = || t.command(t.binary()).arg("--root").arg(&trap.root);
    for (path, written) in [(trap.root.clone(), 0o777), (trap.root.join(&trap.id), 0o775)] {
        let before = fs::metadata(&path).expect("stat").permissions().mode() & 0o7777;
        mode(&path, written);
        trap.holds_nobody(&command, &["others can write it; chmod go-w"]);
        mode(&path, before);
    }
    command().args(&["delete", &trap.id]).output().ok();
    assert!(trap.shows.exists(), "the hook shows nothing");
}

/// su(1) and sudo(8) keep the variable of another user. State can be made in a directory of mode 0777.
fn runtime_directory_of_another_user_is_not_used(t: &Test) {
    if !can_give_away() {
        return;
    }
    let bundle = t.bundle(&["true"]);
    let words = [
        &format!("belongs to uid {OTHER} and not to the caller, uid {}", t.account().uid)[..],
        "unset XDG_RUNTIME_DIR",
    ];
    for (name, whole) in [("whole", true), ("shell", false)] {
        let run = own_directory(t, name);
        let trap = Trap::set(t, run.join("rootling"));
        if whole {
            give_away(&run);
        } else {
            chown(&run, Some(OTHER), Some(OTHER)).expect("chown");
        }
        let command = || t.command(t.binary()).env("XDG_RUNTIME_DIR", &run);
        trap.holds_nobody(&command, &words);
        command().args(&["run", "-b"]).arg(bundle.write().dir()).arg(t.id("new")).output().fails_with(&words);
        fs::remove_dir_all(&run).expect("remove the trap");
    }
}

/// The output of a command that is slow to make its directory while `attack` makes another; `None` if that was too
/// late.
fn raced(slow: Cmd, attack: &dyn Fn() -> bool) -> Option<rootling_tests::Output> {
    let running = slow.spawn();
    std::thread::sleep(Duration::from_millis(400));
    let in_time = attack();
    let output = running.output();
    in_time.then_some(output)
}

/// Makes each mkdir(2) of a command take so long that another user is faster.
const SLOW_MKDIR: [&str; 10] = [
    "strace",
    "-D",
    "-qq",
    "-f",
    "-o",
    "/dev/null",
    "-e",
    "trace=mkdir,mkdirat",
    "-e",
    "inject=mkdir,mkdirat:delay_enter=1500000:when=1",
];

fn runtime_directory_that_another_makes_meanwhile_is_not_used(t: &Test) {
    if !can_give_away() || !can_trace(t) {
        return;
    }
    let bundle = t.bundle(&["true"]);
    let open = t.open_directory("open");
    mode(&open, 0o1777);
    let (run, own) = (open.join("run"), own_directory(t, "own"));
    for link in [false, true] {
        let output = (0..10).find_map(|_| {
            let command = t.command(t.binary()).env("XDG_RUNTIME_DIR", &run).args(&["run", "-b"]);
            let command = command.arg(bundle.write().dir()).arg(t.id("c"));
            let output = raced(command.under(&SLOW_MKDIR), &|| {
                if fs::create_dir(&run).is_err() {
                    return false;
                }
                if link {
                    // It belongs to the caller, but is not where the state belongs.
                    symlink(&own, run.join("rootling")).expect("make a link");
                } else {
                    fs::create_dir(run.join("rootling")).expect("make a directory");
                }
                give_away(&run);
                true
            });
            fs::remove_dir_all(&run).expect("remove the runtime directory");
            output
        });
        output.expect("another user was faster once").fails_with(&[&format!("belongs to uid {OTHER}")]);
    }
}

/// If there is neither a runtime directory nor one of a session, state is in a directory in /tmp.
fn directory_in_tmp_that_another_makes_meanwhile_is_not_used(t: &Test) {
    if !can_give_away() || !can_trace(t) {
        return;
    }
    let bundle = t.bundle(&["true"]);
    let tmp = t.open_directory("tmp");
    mode(&tmp, 0o1777);
    let directory = tmp.join(format!("rootling-{}", t.account().uid));
    let copied = |from: &Path, name: &str| {
        t.command("cp").arg("-a").arg(from).arg(tmp.join(name)).output().ok();
        Path::new("/tmp").join(name)
    };
    let (binary, bundle) = (copied(t.binary(), "rootling"), copied(bundle.write().dir(), "bundle"));
    for (link, words) in
        [(false, format!("belongs to uid {OTHER}")), (true, "a link in its place".to_owned())]
    {
        let output = (0..10).find_map(|_| {
            let Some(variation) = Variation::of(t) else { unreachable!("root started the tests") };
            let hide = format!(
                "mount --bind {} /tmp; [ ! -d /run/user ] || mount -t tmpfs none /run/user",
                tmp.display()
            );
            let command = t.command(&binary).without_env("XDG_RUNTIME_DIR").dir("/");
            let command = command.args(&["run", "-b"]).arg(&bundle).arg(t.id("c")).under(&SLOW_MKDIR);
            let output = raced(variation.line(&hide).run(command), &|| {
                if link {
                    return symlink("/tmp/bundle", &directory).is_ok();
                }
                let made = fs::create_dir(&directory).is_ok();
                if made {
                    give_away(&directory);
                }
                made
            });
            let _ = fs::remove_file(&directory).or_else(|_| fs::remove_dir_all(&directory));
            output
        });
        output.expect("another user was faster once").fails_with(&[&words]);
    }
}

/// What blocks or never ends where a file is expected; each is made at `path`.
fn endless(path: &Path, judge: &dyn Fn(&str)) {
    let _ = fs::remove_file(path);
    mkfifo(path, Mode::from_bits_truncate(0o666)).expect("make a FIFO");
    judge("FIFO");
    fs::remove_file(path).expect("remove it");
    symlink("/dev/zero", path).expect("make a link");
    judge("/dev/zero");
    fs::remove_file(path).expect("remove it");
    fs::File::create(path).expect("make a file").set_len(3 << 30).expect("make it large");
    mode(path, 0o644);
    judge("3 GiB");
    fs::remove_file(path).expect("remove it");
}

fn record_that_is_no_file_or_never_ends_blocks_nothing(t: &Test) {
    let bundle = t.bundle(&["sleep", "1000000"]);
    for name in ["a", "c"] {
        t.run_detached(bundle.write(), name).ok();
    }
    let record = t.state_root().join(t.id("a")).join("state.json");
    let kept = record.with_file_name("kept.json");
    fs::rename(&record, &kept).expect("move the record away");
    endless(&record, &|what| {
        let state = t.rootling(&["state", &t.id("a")]).output();
        state.fails_with(&["state.json"]);
        let list = t.rootling(&["list", "-q"]).output();
        assert!(list.stdout.contains(&t.id("c")), "{what} hides the others: {list}");
    });
    fs::rename(&kept, &record).expect("move the record back");
    for name in ["a", "c"] {
        t.delete_force(name).ok();
    }
}

fn config_that_is_no_file_or_never_ends_is_an_error(t: &Test) {
    let bundle = t.bundle(&["true"]);
    let config = bundle.write().dir().join("config.json");
    endless(&config, &|what| {
        let words = if what == "3 GiB" { "is larger than 64 MiB" } else { "is not a regular file" };
        for output in
            [t.run(&bundle), t.create(&bundle, "c"), t.rootling(&["adapt", "-b"]).arg(bundle.dir()).output()]
        {
            output.fails_with(&["config.json", words]);
        }
    });
}

fn passwd_of_the_image_that_is_no_file_or_never_ends_is_an_error(t: &Test) {
    let bundle = t.shell("echo $HOME");
    bundle.write();
    let passwd = bundle.rootfs("etc/passwd");
    endless(&passwd, &|what| {
        // The image's /dev/zero does not matter: the link leads to what is mounted there.
        let words = if what == "3 GiB" { "is larger than 4 MiB" } else { "is not a regular file" };
        t.run(&bundle).fails_with(&["HOME: /etc/passwd of the container", words, "set HOME in process.env"]);
    });
}

/// A larger one would need as much memory, which the image's maker would determine.
fn passwd_of_the_image_is_not_read_where_it_is_large(t: &Test) {
    let bundle = t.shell("echo $HOME");
    bundle.write();
    let passwd = bundle.rootfs("etc/passwd");
    fs::write(&passwd, "root:x:0:0:root:/of-passwd:/bin/sh\n").expect("write passwd");
    assert_eq!(t.run(&bundle).ok().text(), "/of-passwd");
    let file = fs::File::options().write(true).open(&passwd).expect("open passwd");
    file.set_len(5 << 20).expect("make it large");
    t.run(&bundle).fails_with(&["HOME: /etc/passwd of the container", "is larger than 4 MiB"]);
}

fn process_without_an_end_is_an_error(t: &Test) {
    let bundle = t.bundle(&["sleep", "1000000"]);
    t.run_detached(bundle.write(), "c").ok();
    let flags = ["--process", "/dev/zero"];
    t.exec(&flags, "c", &[]).output().fails_with(&["--process \"/dev/zero\"", "is larger than 64 MiB"]);
    let update = t.rootling(&["update", "--resources", "/dev/zero", &t.id("c")]).output();
    update.fails_with(&["--resources \"/dev/zero\"", "is larger than 64 MiB"]);
    t.delete_force("c").ok();
    if t.who() == Who::User {
        // A pipe is read to its end.
        let json = json!({"cwd": "/", "args": ["/bin/true"], "user": {"uid": 0, "gid": 0}}).to_string();
        t.run_detached(bundle.write(), "d").ok();
        let exec = t.exec(&["--process", "/dev/stdin"], "d", &[]);
        exec.input(json.as_bytes()).output().ok();
        t.delete_force("d").ok();
    }
}

/// Only the sticky bit protects the entries of such a directory.
fn runtime_directory_that_others_can_write_is_not_used(t: &Test) {
    let run = own_directory(t, "run");
    let command = || t.command(t.binary()).env("XDG_RUNTIME_DIR", &run);
    for (written, refused) in [(0o777, true), (0o770, true), (0o1777, false), (0o700, false)] {
        mode(&run, written);
        let list = command().args(&["list", "-q"]).output();
        if refused {
            list.fails_with(&["others can write it; chmod go-w", "unset XDG_RUNTIME_DIR"]);
        } else {
            list.ok();
        }
    }
}

/// Another user fills a directory to which it can write with links and FIFOs of all names that might be used on the
/// way.
fn pid_file_among_names_of_another_user_changes_nothing_of_the_callers(t: &Test) {
    let open = t.open_directory("open");
    mode(&open, 0o1777);
    let victim = t.path("victim");
    fs::write(&victim, "precious\n").expect("write the victim");
    mode(&victim, 0o666);
    let bundle = t.bundle(&["true"]);
    bundle.write();
    for fifo in [false, true] {
        let next: u32 = fs::read_to_string("/proc/loadavg")
            .ok()
            .and_then(|text| text.trim().rsplit(' ').next()?.parse().ok())
            .expect("the last pid");
        let names: Vec<PathBuf> = (next..next + 1000).map(|pid| open.join(format!(".pid.{pid}"))).collect();
        for name in &names {
            if fifo {
                mkfifo(name, Mode::from_bits_truncate(0o666)).expect("make a FIFO");
            } else {
                symlink(&victim, name).expect("make a link");
            }
        }
        let run = t.rootling(&["run", "--pid-file"]).arg(open.join("pid")).arg("-b").arg(bundle.dir());
        run.arg(t.id("c")).output().ok();
        assert_eq!(fs::read_to_string(&victim).expect("read the victim"), "precious\n");
        for name in names {
            fs::remove_file(name).expect("remove it");
        }
    }
}
