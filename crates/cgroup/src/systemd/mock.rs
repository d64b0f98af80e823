//! A service manager that records what it is asked, on a bus of its own, so that D-Bus checks the signatures of
//! our calls without systemd. Tests with it are skipped if dbus-daemon is not installed.

// The signatures are given by systemd and the macro; we cannot choose them.
#![allow(clippy::needless_pass_by_value, clippy::unused_self, clippy::used_underscore_binding)]

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use zbus::blocking::connection::Builder;
use zbus::zvariant::{ObjectPath, OwnedObjectPath, OwnedValue};

use super::bus::Bus;
use crate::CgroupError;

type Properties = Vec<(String, OwnedValue)>;
type Auxiliary = Vec<(String, Properties)>;
type Calls = Arc<Mutex<Vec<String>>>;

const JOB: &str = "/org/freedesktop/systemd1/job/7";
const UNIT: &str = "/org/freedesktop/systemd1/unit/web";

struct Manager {
    calls: Calls,
    /// How many times `GetJob` still finds the job.
    job: u32,
    /// How many times the unit still exists when it is started.
    stale: u32,
}

impl Manager {
    fn note(&self, call: String) {
        self.calls.lock().unwrap().push(call);
    }
}

fn text(properties: &Properties) -> String {
    properties.iter().map(|(name, value)| format!("{name}={}", **value)).collect::<Vec<_>>().join(" ")
}

#[derive(Debug, zbus::DBusError)]
#[zbus(prefix = "org.freedesktop.systemd1")]
enum Refusal {
    #[zbus(error)]
    ZBus(zbus::Error),
    UnitExists(String),
    NoSuchUnit(String),
    NoSuchJob(String),
}

#[zbus::interface(name = "org.freedesktop.systemd1.Manager")]
impl Manager {
    fn start_transient_unit(
        &mut self,
        unit: &str,
        mode: &str,
        properties: Properties,
        auxiliary: Auxiliary,
    ) -> Result<OwnedObjectPath, Refusal> {
        self.note(format!("start {unit} {mode} {} {}", text(&properties), auxiliary.len()));
        if self.stale > 0 {
            self.stale -= 1;
            return Err(Refusal::UnitExists("it exists".into()));
        }
        self.job = 2;
        Ok(ObjectPath::from_static_str_unchecked(JOB).into())
    }

    fn get_job(&mut self, id: u32) -> Result<OwnedObjectPath, Refusal> {
        if id != 7 || self.job == 0 {
            return Err(Refusal::NoSuchJob("over".into()));
        }
        self.job -= 1;
        Ok(ObjectPath::from_static_str_unchecked(JOB).into())
    }

    fn get_unit(&self, _unit: &str) -> OwnedObjectPath {
        ObjectPath::from_static_str_unchecked(UNIT).into()
    }

    fn set_unit_properties(&self, unit: &str, runtime: bool, properties: Properties) {
        self.note(format!("set {unit} {runtime} {}", text(&properties)));
    }

    fn attach_processes_to_unit(&self, unit: &str, cgroup: &str, pids: Vec<u32>) {
        self.note(format!("attach {unit} {cgroup} {pids:?}"));
    }

    fn stop_unit(&self, unit: &str, _mode: &str) -> Result<OwnedObjectPath, Refusal> {
        self.note(format!("stop {unit}"));
        Err(Refusal::NoSuchUnit("gone".into()))
    }

    fn reset_failed_unit(&self, unit: &str) {
        self.note(format!("reset {unit}"));
    }

    #[zbus(property)]
    fn version(&self) -> String {
        "255.4-1".into()
    }

    #[zbus(property)]
    fn control_group(&self) -> String {
        "/user.slice/user-1000.slice/user@1000.service".into()
    }
}

struct Unit;

#[zbus::interface(name = "org.freedesktop.systemd1.Unit")]
impl Unit {
    #[zbus(property)]
    fn active_state(&self) -> String {
        "active".into()
    }
}

/// The daemon, and the directory that contains its socket.
struct Daemon {
    child: Child,
    _dir: tempfile::TempDir,
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A bus with the mock on it, which must be kept, and the calls that the mock receives.
fn bus(stale: u32) -> Option<(Bus, Calls, (Daemon, zbus::blocking::Connection))> {
    let dir = tempfile::tempdir().unwrap();
    let socket = format!("--address=unix:path={}", dir.path().join("bus").display());
    let started = Command::new("dbus-daemon")
        .args(["--session", "--nofork", "--print-address=1", &socket])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    let Ok(mut daemon) = started else {
        eprintln!("skipped: dbus-daemon is not installed");
        return None;
    };
    let stdout = daemon.stdout.take().unwrap();
    let daemon = Daemon { child: daemon, _dir: dir };
    let mut address = String::new();
    BufReader::new(stdout).read_line(&mut address).unwrap();
    let calls = Calls::default();
    let manager = Manager { calls: calls.clone(), job: 0, stale };
    let server = Builder::address(address.trim())
        .unwrap()
        .serve_at("/org/freedesktop/systemd1", manager)
        .unwrap()
        .serve_at(UNIT, Unit)
        .unwrap()
        .name("org.freedesktop.systemd1")
        .unwrap()
        .build()
        .unwrap();
    Some((Bus::at(address.trim()).unwrap(), calls, (daemon, server)))
}

#[test]
fn a_unit_is_started_changed_joined_and_stopped() {
    let Some((bus, calls, _keep)) = bus(0) else { return };
    bus.start("web.scope", &[("Delegate".into(), true.into()), ("PIDs".into(), vec![7_u32].into())]).unwrap();
    bus.set("web.scope", &[("TasksMax".into(), 5_u64.into())]).unwrap();
    bus.attach("web.scope", "/", 9).unwrap();
    bus.stop("web.scope").unwrap();
    assert_eq!(
        *calls.lock().unwrap(),
        [
            "start web.scope replace Delegate=true PIDs=[uint32 7] 0",
            "set web.scope true TasksMax=uint64 5",
            "attach web.scope / [9]",
            "stop web.scope",
            "reset web.scope",
        ]
    );
    assert_eq!(bus.version(), 255);
    assert!(bus.control_group().unwrap().ends_with("user@1000.service"));
}

#[test]
fn what_is_left_of_a_failed_unit_is_reset_once() {
    let Some((bus, calls, _keep)) = bus(1) else { return };
    bus.start("web.scope", &[]).unwrap();
    assert_eq!(calls.lock().unwrap()[1], "reset web.scope");
    let Some((bus, _, _keep)) = self::bus(2) else { return };
    let error = bus.start("web.scope", &[]).unwrap_err();
    assert_eq!(error.to_string(), "systemd: StartTransientUnit web.scope: it exists");
}

#[test]
fn a_bus_that_is_not_there_comes_with_a_remedy() {
    let error = Bus::at("unix:path=/nonexistent/bus").unwrap_err();
    assert!(matches!(error, CgroupError::Bus { user: true, .. }));
    assert!(error.to_string().contains("dbus-user-session"), "{error}");
}
