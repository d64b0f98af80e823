//! The caller's surroundings: where it is, what it ignores and how little it has is its own affair. The container
//! works nevertheless, and the program does not inherit any of it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rootling_tests::{Bundle, Cmd, Test, Variation, both, eventually, root, skip, user};
use serde_json::json;

root!(caller_may_be_in_a_chroot);

both!(
    caller_may_stand_in_a_deleted_directory,
    caller_may_ignore_its_children,
    caller_that_ignores_its_children_hears_of_hooks,
    caller_may_ignore_and_block_any_signal,
    caller_may_have_a_signal_pending,
    ignored_signals_reach_the_program_with_their_default_action,
    blocked_signals_reach_the_program,
    hooks_have_no_trace_of_the_runtimes_own_signals,
    signal_that_the_caller_ignores_ends_what_exec_runs,
    caller_may_have_a_small_stack,
    caller_may_have_few_descriptors,
    caller_may_have_any_umask,
    mount_points_have_their_modes_whatever_the_umask,
);

user!(
    caller_may_stand_where_only_root_may,
    caller_may_stand_where_nobody_may,
    caller_may_ignore_the_child_that_maps_the_ids,
    set_user_id_program_does_nothing,
);

/// `rootling ARGS...` for a caller that PREFIX makes.
fn called<S: AsRef<str>>(t: &Test, prefix: &[S], args: &[&str]) -> Cmd {
    let prefix: Vec<_> = prefix.iter().map(AsRef::as_ref).collect();
    t.rootling(args).under(&prefix)
}

/// A caller that a line of shell script makes.
fn shell(line: &str) -> [String; 4] {
    ["sh".to_owned(), "-c".to_owned(), format!("{line}; exec \"$@\""), "sh".to_owned()]
}

/// Every command of a container's life, by the same caller; `call` makes the command.
fn lives(t: &Test, call: &dyn Fn(&[&str]) -> Cmd) {
    lives_with(t, call, &|_| {});
}

/// The same, with changes to the configuration.
fn lives_with(t: &Test, call: &dyn Fn(&[&str]) -> Cmd, change: &dyn Fn(&mut Bundle)) {
    let mut bundle = t.shell("echo works; exit 7");
    change(&mut bundle);
    let mut stays = bundle.sibling(t, &["sleep", "1000000"]);
    change(&mut stays);
    let path = |bundle: &Bundle| bundle.write().dir().to_string_lossy().into_owned();
    let (bundle, stays) = (path(&bundle), path(&stays));
    let (run, id) = (t.id("run"), t.id("c"));

    let output = call(&["run", "-b", &bundle, &run]).output().code(7);
    assert_eq!((output.text(), output.stderr.as_str()), ("works", ""), "{output}");

    call(&["create", "-b", &stays, &id]).output().ok();
    call(&["start", &id]).output().ok();
    let status = || call(&["state", &id]).output().ok().json()["status"].clone();
    assert_eq!(status(), "running");
    let output = call(&["exec", &id, "sh", "-c", "echo inside; exit 9"]).output().code(9);
    assert_eq!((output.text(), output.stderr.as_str()), ("inside", ""), "{output}");
    call(&["kill", &id, "KILL"]).output().ok();
    eventually("the container has stopped", || status() == "stopped");
    call(&["delete", &id]).output().ok();

    let gone = call(&["run", "-d", "-b", &stays, &id]).output().ok();
    assert_eq!(gone.stderr, "", "{gone}");
    call(&["delete", "-f", &id]).output().ok();
}

fn caller_may_stand_in_a_deleted_directory(t: &Test) {
    let caller = shell("mkdir -p gone && cd gone && rmdir ../gone");
    lives(t, &|args| called(t, &caller, args));
}

/// As with `sudo -u` and `runuser` from root's own directory.
fn caller_may_stand_where_only_root_may(t: &Test) {
    let private = t.path("of-root");
    fs::create_dir(&private).expect("make a directory");
    fs::set_permissions(&private, fs::Permissions::from_mode(0o700)).expect("chmod of the directory");
    if Variation::of(t).is_some() {
        lives(t, &|args| {
            let host = Variation::of(t).expect("root started the tests");
            host.run(t.rootling(args).dir(private.join(".")))
        });
    }
}

fn caller_may_stand_where_nobody_may(t: &Test) {
    let caller = shell("mkdir -p shut && chmod 0700 shut && cd shut && chmod 0 .");
    lives(t, &|args| called(t, &caller, args));
}

const IGNORED_CHILDREN: [&str; 2] = ["env", "--ignore-signal=CHLD"];

/// The kernel reaps the children of a process that ignores SIGCHLD, so nothing is left to wait for.
fn caller_may_ignore_its_children(t: &Test) {
    lives(t, &|args| called(t, &IGNORED_CHILDREN, args));
}

fn caller_that_ignores_its_children_hears_of_hooks(t: &Test) {
    let mut bundle = t.shell("exit 7");
    let hook = |script: &str| json!([{"path": "/bin/sh", "args": ["sh", "-c", script]}]);
    let kinds = ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"];
    for kind in kinds {
        bundle.set(&format!("/hooks/{kind}"), hook("exit 0"));
    }
    let run = |bundle: &Bundle| {
        let dir = bundle.write().dir().to_string_lossy().into_owned();
        called(t, &IGNORED_CHILDREN, &["run", "-b", &dir, &t.id("c")]).output()
    };
    let output = run(&bundle).code(7);
    assert_eq!(output.stderr, "", "{output}");
    for kind in &kinds[..3] {
        let mut failing = bundle.clone();
        failing.set(&format!("/hooks/{kind}"), hook("exit 9"));
        run(&failing).fails_with(&[kind, "9"]);
    }
}

/// newuidmap and newgidmap are children as well.
fn caller_may_ignore_the_child_that_maps_the_ids(t: &Test) {
    if t.bundle(&["true"]).many_ids() {
        lives_with(t, &|args| called(t, &IGNORED_CHILDREN, args), &|bundle| assert!(bundle.many_ids()));
    }
}

/// What `nohup`, the background jobs of a script and init systems ignore, and then everything that can be ignored.
const IGNORED: [&str; 3] = [
    "--ignore-signal=HUP,INT,QUIT",
    "--ignore-signal=INT,HUP,TERM,QUIT,USR1,USR2,PIPE,ALRM,TSTP,TTIN,TTOU,WINCH,XFSZ,RTMIN",
    "--ignore-signal",
];

const BLOCKED: [&str; 2] = ["--block-signal=INT,TERM,CHLD,USR1", "--block-signal"];

fn caller_may_ignore_and_block_any_signal(t: &Test) {
    for option in IGNORED.iter().chain(&BLOCKED) {
        lives(t, &|args| called(t, &["env", option], args));
    }
}

/// As with a signal that arrives while a shell has them blocked.
fn caller_may_have_a_signal_pending(t: &Test) {
    let bundle = t.bundle(&["echo", "started"]);
    for (name, number) in [("CHLD", 17), ("RTMIN", 34), ("RTMIN+1", 35)] {
        let (block, raise) =
            (format!("--block-signal={name}"), format!(r#"kill -{number} $$; exec "$0" "$@""#));
        let run = t.run_command(bundle.write());
        let output = run.under(&["env", &block, "sh", "-c", &raise]).output().ok();
        assert_eq!(output.stdout, "started\n", "{name}: {output}");
    }
}

fn ignored_signals_reach_the_program_with_their_default_action(t: &Test) {
    for option in IGNORED {
        program_has_no_trace_of(t, option);
    }
}

fn blocked_signals_reach_the_program(t: &Test) {
    for option in BLOCKED {
        program_has_no_trace_of(t, option);
    }
}

/// musl wants the signal 34 ignored while the runtime works, which is nothing that a hook should inherit.
fn hooks_have_no_trace_of_the_runtimes_own_signals(t: &Test) {
    let mut bundle = t.bundle(&["true"]);
    let file = t.path("signals");
    let script = format!("grep -E '^Sig(Blk|Ign):' /proc/self/status >>{}", file.display());
    let hook = json!([{"path": "/bin/sh", "args": ["sh", "-c", script], "env": ["PATH=/bin:/usr/bin"]}]);
    let kinds = ["prestart", "createRuntime", "createContainer", "poststart", "poststop"];
    for kind in kinds {
        bundle.set(&format!("/hooks/{kind}"), hook.clone());
    }
    let dir = bundle.write().dir().to_string_lossy().into_owned();
    called(t, &["env", "--default-signal"], &["run", "-b", &dir, &t.id("c")]).output().ok();
    let text = fs::read_to_string(file).expect("the hooks' file");
    let sets: Vec<u64> = text
        .lines()
        .map(|line| u64::from_str_radix(line.split_once('\t').expect("a tab").1, 16).expect("a set"))
        // posix_spawn(3) of either C library may leave the two ignored with which it reaches threads.
        .map(|set| set & !(0b11 << 31))
        .collect();
    assert_eq!(sets, vec![0; 2 * kinds.len()], "{text}");
}

/// Asserts that programs in containers whose caller is `env OPTION` have the default action for every signal.
fn program_has_no_trace_of(t: &Test, option: &str) {
    let caller = ["env", option];
    let look = ["grep", "-E", "^Sig(Blk|Ign|Cgt):", "/proc/self/status"];
    let none = "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\nSigCgt:\t0000000000000000\n";
    let bundle = t.bundle(&look);
    let dir = bundle.write().dir().to_string_lossy().into_owned();
    let id = t.id("c");
    let output = called(t, &caller, &["run", "-b", &dir, &id]).output();
    assert_eq!(output.stdout, none, "run under {option}: {output}");

    let created = called(t, &caller, &["create", "-b", &dir, &id]).output().ok();
    called(t, &caller, &["start", &id]).output().ok();
    eventually("the program has ended", || t.status("c") == "stopped");
    let output = created.read_again();
    assert_eq!(output.stdout, none, "create and start under {option}: {output}");
    t.delete_force("c").ok();

    let stays = bundle.sibling(t, &["sleep", "1000000"]);
    t.run_detached(stays.write(), "c").ok();
    let command = [&["exec", id.as_str()][..], &look].concat();
    let output = called(t, &caller, &command).output();
    assert_eq!(output.stdout, none, "exec under {option}: {output}");
    t.delete_force("c").ok();
}

/// The first process of a pid namespace has no default actions, so a program of exec shows them.
fn signal_that_the_caller_ignores_ends_what_exec_runs(t: &Test) {
    t.run_detached(t.bundle(&["sleep", "1000000"]).write(), "c").ok();
    // Without QUIT, which the shell itself ignores.
    for (signal, number) in [("HUP", 1), ("INT", 2), ("USR1", 10), ("PIPE", 13), ("TERM", 15)] {
        let script = format!("ulimit -c 0; kill -{signal} $$; echo survived");
        let caller = ["env".to_owned(), format!("--ignore-signal={signal}")];
        let output = called(t, &caller, &["exec", &t.id("c"), "sh", "-c", &script]).output();
        let output = output.code(128 + number);
        assert_eq!(output.stdout, "", "{signal}: {output}");
    }
    t.delete_force("c").ok();
}

fn caller_may_have_a_small_stack(t: &Test) {
    // In KiB.
    let caller = shell("ulimit -s 64");
    let version = called(t, &caller, &["--version"]).output().ok();
    assert!(version.stdout.starts_with("rootling"), "{version}");
    lives(t, &|args| called(t, &caller, args));
}

/// runc needs a few more. With many mounts, each of which is a descriptor at first, more are needed than the caller
/// may open now, but not more than it may permit itself.
fn caller_may_have_few_descriptors(t: &Test) {
    for (limit, mounts) in [("ulimit -n 20", 0), ("ulimit -S -n 20", 40)] {
        let caller = shell(limit);
        // The usual limit of the program is above the caller's, which only root may raise.
        lives_with(t, &|args| called(t, &caller, args), &|bundle| {
            bundle.set("/process/rlimits", json!([])).bind_files(t, mounts);
        });
        // The program has the limit of the caller.
        let mut bundle = t.shell("ulimit -S -n");
        bundle.set("/process/rlimits", json!([]));
        let dir = bundle.write().dir().to_string_lossy().into_owned();
        assert_eq!(called(t, &caller, &["run", "-b", &dir, &t.id("c")]).output().ok().text(), "20");
    }
}

const UMASKS: [&str; 5] = ["0777", "0700", "0277", "0077", "0000"];

/// What is made for the state has its mode whatever the umask; otherwise its owner could not even remove it.
fn caller_may_have_any_umask(t: &Test) {
    for umask in UMASKS {
        let caller = shell(&format!("umask {umask}"));
        lives(t, &|args| called(t, &caller, args));
        // The next caller starts without it.
        fs::remove_dir_all(t.state_root()).expect("remove the state's directory");
    }
}

fn mount_points_have_their_modes_whatever_the_umask(t: &Test) {
    fs::write(t.path("file"), "of the host\n").expect("write a file");
    fs::create_dir(t.path("dir")).expect("make a directory");
    let (file, dir) = (t.path("file").display().to_string(), t.path("dir").display().to_string());
    for umask in UMASKS {
        let mut bundle = t.bundle(&["cat", "/made/of/file"]);
        bundle
            .mount("/made/of/file", "bind", &file, &["bind", "ro"])
            .mount("/made/of/dir", "bind", &dir, &["bind", "ro"])
            .mount("/scratch", "tmpfs", "tmpfs", &["nosuid"]);
        let path = bundle.write().dir().to_string_lossy().into_owned();
        let output = called(t, &shell(&format!("umask {umask}")), &["run", "-b", &path, &t.id("c")]).output();
        assert_eq!(output.ok().text(), "of the host", "umask {umask}");
        for (made, expected) in [
            ("made", 0o755),
            ("made/of", 0o755),
            ("made/of/dir", 0o755),
            ("scratch", 0o755),
            ("made/of/file", 0o644),
        ] {
            assert_eq!(mode(&bundle.rootfs(made)), expected, "/{made} with umask {umask}");
        }
    }
}

fn mode(path: &Path) -> u32 {
    let facts = path.symlink_metadata();
    facts.unwrap_or_else(|error| panic!("{}: {error}", path.display())).permissions().mode() & 0o7777
}

/// A chroot is not the container's concern, and neither is the host around it the chroot's.
fn caller_may_be_in_a_chroot(t: &Test) {
    let bundle = t.shell("echo works; ls /");
    bundle.write();
    let place = t.path("chroot").to_string_lossy().into_owned();
    // The test's own directory at the same path, in a root that contains nothing else.
    let script = "mkdir -p $0/proc $0/sys $0/dev $0/run $0/var $0/tmp $0$1 && mount --bind $0 $0 && \
                  mount -t proc proc $0/proc && mount --rbind /sys $0/sys && mount --rbind /dev $0/dev && \
                  mount --bind $1 $0$1 && mount --bind $2 $0$2 && shift 2 && exec chroot $0 \"$@\"";
    let program = std::env::var("ROOTLING_BIN").expect("the program");
    let directory = Path::new(&program).parent().expect("its directory").to_string_lossy().into_owned();
    let work = t.path("").to_string_lossy().trim_end_matches('/').to_owned();
    let script = format!("mkdir -p $0$2; {script}");
    let under =
        ["unshare", "-m", "--propagation", "private", "sh", "-c", script.as_str(), &place, &work, &directory];
    let output = t.run_command(&bundle).under(&under).output().ok();
    assert!(output.stdout.starts_with("works\nbin\n"), "{output}");
    let output = t.run_command(&bundle).args(&["--no-pivot"]).under(&under).output().ok();
    assert!(output.stdout.starts_with("works\nbin\n"), "without a pivot: {output}");
}

/// Nobody gets the privileges of the program's owner: not even a log is opened with them.
fn set_user_id_program_does_nothing(t: &Test) {
    let copy = t.writable_binary();
    let bundle = t.bundle(&["true"]);
    bundle.write();
    let give = |path: &Path, mode: u32, owner: (u32, u32)| {
        let given = std::os::unix::fs::chown(path, Some(owner.0), Some(owner.1));
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("chmod");
        given.is_ok()
    };
    // The same for a program that prints whose privileges it has.
    let id = t.path("id");
    t.command("cp").arg("/usr/bin/id").arg(&id).output().ok();
    if !give(&id, 0o4755, (0, 0)) {
        return skip("needs root, to make a set-user-id program, and root did not start the tests");
    }
    if t.command(&id).arg("-u").output().ok().text() != "0" {
        return skip("the file system of the tests' directory is mounted nosuid");
    }
    for (mode, owner) in [(0o4755, (0, t.account().gid)), (0o2755, (t.account().uid, 0))] {
        assert!(give(&copy, mode, owner));
        let log = t.path("log");
        let run = t.command(&copy).arg("--log").arg(&log).args(&["--root"]).arg(t.state_root());
        let output = run.args(&["run", "-b"]).arg(bundle.dir()).arg(t.id("c")).output();
        output.fails_with(&["is set-user-id or set-group-id", "chmod ug-s"]);
        assert!(
            !log.exists() && !t.state_root().exists(),
            "{mode:o}: something was made with the owner's rights"
        );
    }
}
