//! systemd as the first process of a container: it makes cgroups for services below the container's, gives them
//! namespaces of their own, and shuts the container down.

use std::fs;
use std::path::Path;

use rootling_tests::cgroups::Way;
use rootling_tests::{Bundle, Output, Test, both, eventually, has_systemd, skip};
use serde_json::json;

both!(systemd_boots_runs_services_and_shuts_down);

const SYSTEMD: &str = "/usr/lib/systemd/systemd";

/// All that is started: no unit of the host's /etc is in the container.
const TARGET: &str = "[Unit]\nRequires=basic.target box.service\nAfter=basic.target box.service\n";
const SERVICE: &str =
    "[Service]\nType=exec\nExecStart=/usr/bin/sleep infinity\nPrivateTmp=yes\nTasksMax=20\n";

/// The host's /usr with a configuration that has nothing but a service.
fn system(t: &Test) -> Bundle {
    let mut bundle = t.bundle(&[SYSTEMD, "--unit=box.target"]);
    for name in ["bin", "sbin", "lib", "lib64"] {
        let _ = fs::remove_dir_all(bundle.rootfs(name));
        bundle.link(name, &format!("usr/{name}"));
    }
    let units = bundle.rootfs("etc/systemd/system");
    fs::create_dir_all(&units).expect("make a directory for units");
    fs::write(units.join("box.target"), TARGET).expect("write a unit");
    fs::write(units.join("box.service"), SERVICE).expect("write a unit");
    fs::write(bundle.rootfs("etc/machine-id"), "").expect("write an empty file");
    bundle.own_all();
    // For the namespaces of services.
    bundle.engine_capabilities(&["CAP_SYS_ADMIN"]);
    bundle.set("/process/env/-", "container=oci".into());
    bundle.set("/process/noNewPrivileges", false.into()).set("/root/readonly", false.into());
    bundle.without_mount("/sys/fs/cgroup").without_namespace("cgroup");
    bundle.set("/linux/namespaces/-", json!({"type": "cgroup"}));
    bundle.mount("/sys/fs/cgroup", "cgroup", "cgroup", &["nosuid", "noexec", "nodev"]);
    bundle.mount("/usr", "bind", "/usr", &["rbind", "ro"]);
    for (place, mode) in [("/run", "mode=755"), ("/var", "mode=755"), ("/tmp", "mode=1777")] {
        bundle.without_mount(place).mount(place, "tmpfs", "tmpfs", &["nosuid", "nodev", mode]);
    }
    bundle
}

fn systemd_boots_runs_services_and_shuts_down(t: &Test) {
    if !has_systemd(t) {
        return;
    }
    if !Path::new(SYSTEMD).exists() {
        return skip(&format!("{SYSTEMD} is not installed"));
    }
    let cgroup = Way::Systemd.start(t, &system(t));
    // systemd may already have moved itself into a cgroup below the container's.
    let dir = cgroup.dir("pids");
    let dir = if dir.ends_with("init.scope") { dir.parent().expect("a cgroup above") } else { dir };
    let inside = |command: &[&str]| -> Output { t.exec(&[""; 0], "c", command).output() };

    eventually("systemd answers", || inside(&["systemctl", "is-system-running"]).exit() < 4);
    eventually("the service runs", || inside(&["systemctl", "is-active", "box.service"]).exit() == 0);
    let show = inside(&["systemctl", "show", "box.service", "-p", "ControlGroup", "-p", "TasksMax"]).ok();
    assert_eq!(
        show.stdout.lines().collect::<Vec<_>>(),
        ["ControlGroup=/system.slice/box.service", "TasksMax=20"]
    );
    assert!(dir.join("system.slice/box.service/cgroup.procs").exists(), "{}", dir.display());
    let of_systemd = inside(&["cat", "/proc/1/cgroup"]).ok();
    assert!(of_systemd.stdout.lines().any(|line| line == "0::/init.scope"), "{of_systemd}");
    let namespaces =
        "systemctl show -P MainPID box.service | { read pid; readlink /proc/$pid/ns/mnt /proc/1/ns/mnt; }";
    let of_both = inside(&["sh", "-c", namespaces]).ok();
    let (service, first) = of_both.stdout.split_once('\n').expect("two lines");
    assert_ne!(service, first.trim(), "the service has a mount namespace of its own");

    t.rootling(&["kill"]).arg(t.id("c")).arg("SIGRTMIN+3").output().ok();
    eventually("the container has shut down", || t.status("c") == "stopped");
    t.rootling(&["delete"]).arg(t.id("c")).output().ok();
    assert!(!dir.exists(), "{} is left", dir.display());
}
