//! Directories that are inaccessible, read-only or not named; and the OOM score.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rootling_tests::{Bundle, Cmd, Ids, Test, Variation, skip, user};
use serde_json::json;

user!(
    private_home_is_no_obstacle_for_the_caller,
    private_directory_that_shuts_out_the_containers_root_is_named,
    state_finds_a_place_without_xdg_runtime_dir,
    closed_xdg_runtime_dir_is_named,
    container_runs_without_home,
    read_only_root_directory_serves,
    read_only_state_directory_is_named,
    oom_score_is_raised_to_the_callers,
);

/// A bundle in a directory of mode 0700, like a home directory.
fn in_private_home(t: &Test, args: &[&str]) -> Bundle {
    let bundle = t.bundle(args);
    fs::set_permissions(bundle.dir(), Permissions::from_mode(0o700)).expect("chmod of the bundle");
    bundle
}

fn private_home_is_no_obstacle_for_the_caller(t: &Test) {
    let mut bundle = in_private_home(t, &["id", "-u"]);
    assert_eq!(t.run(bundle.write()).ok().stdout, "0\n");
    bundle.ids(Ids::None);
    assert_eq!(t.run(bundle.write()).ok().stdout, "0\n");
}

fn private_directory_that_shuts_out_the_containers_root_is_named(t: &Test) {
    let Some(host) = Variation::of(t) else { return };
    let mut bundle = in_private_home(t, &["true"]);
    let map = json!([{"containerID": 0, "hostID": 700_000, "size": 10}]);
    bundle
        .ids(Ids::Single(0, 0))
        .set("/linux/uidMappings", map.clone())
        .set("/linux/gidMappings", map)
        .write();
    let lines = format!("{}:700000:10\n", t.account().name);
    let output = host.sub_ids(&lines).run(t.run_command(&bundle)).output();
    let closed = format!("{:?} does not let the container's root pass", bundle.dir());
    output.fails_with(&["root.path", &closed, "chmod o+x"]);
}

/// `run` without `--root`.
fn run_at_default_place(t: &Test, bundle: &Bundle) -> Cmd {
    t.command(t.binary()).args(&["run", "-b"]).arg(bundle.dir()).arg(t.id("c"))
}

fn state_finds_a_place_without_xdg_runtime_dir(t: &Test) {
    let bundle = t.bundle(&["echo", "ran"]);
    let command = run_at_default_place(t, bundle.write()).without_env("XDG_RUNTIME_DIR");
    assert_eq!(command.output().ok().stdout, "ran\n");
    // /run/user/UID does not exist either.
    let run = format!("/run/user/{}", t.account().uid);
    if !Path::new(&run).is_dir() {
        return;
    }
    let Some(host) = Variation::of(t) else { return };
    let command = run_at_default_place(t, &bundle).without_env("XDG_RUNTIME_DIR");
    let output = host.line(&format!("mount -t tmpfs none {run}")).run(command).output().ok();
    assert_eq!(output.stdout, "ran\n");
}

fn closed_xdg_runtime_dir_is_named(t: &Test) {
    let bundle = t.bundle(&["true"]);
    let command = run_at_default_place(t, bundle.write()).env("XDG_RUNTIME_DIR", "/proc/1/nowhere");
    command.output().fails_with(&["/proc/1/nowhere", "XDG_RUNTIME_DIR", "rootling doctor"]);
}

fn container_runs_without_home(t: &Test) {
    let mut bundle = t.shell("echo $HOME");
    bundle.set(
        "/linux/seccomp",
        json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
            {"names": ["swapon"], "action": "SCMP_ACT_ERRNO"}
        ]}),
    );
    let output = t.run_command(bundle.write()).without_env("HOME").output().ok();
    assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("/root\n", ""));
}

fn read_only_root_directory_serves(t: &Test) {
    let mut bundle = t.shell("touch /x 2>/dev/null || echo refused; touch /dev/shm/x && echo written");
    // By the spec, from a directory to which nobody may write.
    bundle.set("/root/readonly", true.into()).write();
    // bundle.sh does not make the directories that are mounted on.
    for place in ["proc", "dev", "sys"] {
        fs::create_dir_all(bundle.rootfs(place)).expect("make a place to mount on");
    }
    fs::set_permissions(bundle.rootfs(""), Permissions::from_mode(0o555)).expect("chmod of the root");
    assert_eq!(t.run(&bundle).ok().stdout, "refused\nwritten\n");
    // By the mount that it is on.
    let Some(host) = Variation::of(t) else { return };
    let at = bundle.rootfs("").display().to_string();
    let host = host.line(&format!("mount --bind {at} {at} && mount -o remount,bind,ro {at}"));
    bundle.set("/root/readonly", false.into()).write();
    assert_eq!(host.run(t.run_command(&bundle)).output().ok().stdout, "refused\nwritten\n");
}

fn read_only_state_directory_is_named(t: &Test) {
    let bundle = t.bundle(&["true"]);
    let closed = t.path("closed");
    fs::create_dir(&closed).expect("make a directory");
    fs::set_permissions(&closed, Permissions::from_mode(0o555)).expect("chmod of it");
    let command = t.command(t.binary()).arg("--root").arg(closed.join("state")).args(&["run", "-b"]);
    let output = command.arg(bundle.write().dir()).arg(t.id("c")).output();
    output.fails_with(&[&closed.display().to_string(), "EACCES"]);
}

fn oom_score_is_raised_to_the_callers(t: &Test) {
    let own = fs::read_to_string("/proc/self/oom_score_adj").expect("our score");
    let own: i32 = own.trim().parse().expect("a number");
    if own > 500 {
        return skip("the tests run with an OOM score above 500");
    }
    let mut bundle = t.bundle(&["cat", "/proc/self/oom_score_adj"]);
    bundle.set("/process/oomScoreAdj", (-500).into());
    for prefix in [&["choom", "-n", "500", "--"][..], &["choom", "-n", "500", "--", "unshare", "-Ur"]] {
        if prefix.len() > 4 {
            bundle.ids(Ids::None);
        }
        let output = t.run_command(bundle.write()).under(prefix).output().ok();
        assert_eq!(output.stdout, "500\n", "{prefix:?}");
    }
    bundle.set("/process/oomScoreAdj", 700.into());
    assert_eq!(t.run(bundle.write()).ok().stdout, "700\n");
}
