//! Communicates with systemd's service manager over D-Bus.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use zbus::blocking::connection::Builder;
use zbus::proxy::CacheProperties;
use zbus::zvariant::{OwnedObjectPath, Value};

use crate::CgroupError;

/// A property of a unit.
pub(crate) type Property = (String, Value<'static>);

/// The service manager: org.freedesktop.systemd1(5).
#[zbus::proxy(
    interface = "org.freedesktop.systemd1.Manager",
    default_service = "org.freedesktop.systemd1",
    default_path = "/org/freedesktop/systemd1",
    gen_async = false,
    blocking_name = "ManagerProxy"
)]
trait Manager {
    fn start_transient_unit(
        &self,
        unit: &str,
        mode: &str,
        properties: &[Property],
        auxiliary: &[(String, Vec<Property>)],
    ) -> zbus::Result<OwnedObjectPath>;
    fn stop_unit(&self, unit: &str, mode: &str) -> zbus::Result<OwnedObjectPath>;
    fn reset_failed_unit(&self, unit: &str) -> zbus::Result<()>;
    fn set_unit_properties(&self, unit: &str, runtime: bool, properties: &[Property]) -> zbus::Result<()>;
    fn attach_processes_to_unit(&self, unit: &str, inner: &str, pids: &[u32]) -> zbus::Result<()>;
    fn get_job(&self, id: u32) -> zbus::Result<OwnedObjectPath>;
    fn get_unit(&self, unit: &str) -> zbus::Result<OwnedObjectPath>;
    #[zbus(property)]
    fn version(&self) -> zbus::Result<String>;
    #[zbus(property)]
    fn control_group(&self) -> zbus::Result<String>;
}

/// A unit of the service manager.
#[zbus::proxy(
    interface = "org.freedesktop.systemd1.Unit",
    default_service = "org.freedesktop.systemd1",
    gen_async = false,
    blocking_name = "UnitProxy"
)]
trait Unit {
    #[zbus(property)]
    fn active_state(&self) -> zbus::Result<String>;
}

const UNIT_EXISTS: &str = "org.freedesktop.systemd1.UnitExists";
const NO_SUCH_UNIT: &str = "org.freedesktop.systemd1.NoSuchUnit";

/// How long the bus may take to answer, and systemd to finish a job.
const LIMIT: Duration = Duration::from_secs(30);

/// A connection to the service manager, either the system's or the user's own.
#[derive(Debug, Clone)]
pub(crate) struct Bus {
    manager: ManagerProxy<'static>,
}

impl Bus {
    pub(crate) fn connect(rootless: bool) -> Result<Self, CgroupError> {
        if rootless { Self::at(&user_address()) } else { Self::open(false, Builder::system) }
    }

    /// Connects to the user's bus at `address`.
    pub(super) fn at(address: &str) -> Result<Self, CgroupError> {
        // Inside a user namespace the bus still knows the caller by its outer id.
        Self::open(true, || Ok(Builder::address(address)?.user_id(outer_uid())))
    }

    fn open<'b>(
        user: bool,
        builder: impl FnOnce() -> zbus::Result<Builder<'b>>,
    ) -> Result<Self, CgroupError> {
        // The client has a thread, which must not take the signals that the caller reads.
        rootling_sys::signals::start_first_thread();
        let connect = || {
            let connection = builder()?.method_timeout(LIMIT).build()?;
            // A proxy that caches properties would make systemd send every change of them.
            ManagerProxy::builder(&connection).cache_properties(CacheProperties::No).build()
        };
        let manager = connect().map_err(|e| CgroupError::Bus { user, reason: text(&e) })?;
        Ok(Self { manager })
    }

    /// systemd's version; 0 if it cannot be determined.
    pub(crate) fn version(&self) -> u32 {
        self.manager.version().map_or(0, |v| parse_version(&v))
    }

    /// The cgroup that contains the manager's units; empty for the system's manager.
    pub(crate) fn control_group(&self) -> Result<PathBuf, CgroupError> {
        self.manager
            .control_group()
            .map(PathBuf::from)
            .map_err(|e| failed("read property ControlGroup", "of the manager", &e))
    }

    /// Starts a transient unit, and returns when it is running.
    pub(crate) fn start(&self, unit: &str, properties: &[Property]) -> Result<(), CgroupError> {
        let start = || self.manager.start_transient_unit(unit, "replace", properties, &[]);
        let mut job = start();
        if job.as_ref().is_err_and(|e| is(e, UNIT_EXISTS)) {
            // This removes what is left of a failed unit with that name.
            self.reset_failed(unit);
            job = start();
        }
        let job = job.map_err(|e| failed("StartTransientUnit", unit, &e))?;
        self.wait(unit, &job)?;
        let state = self.active_state(unit);
        if state != "active" {
            self.reset_failed(unit);
            let reason = format!("the unit is {state}; see `journalctl -u {unit}`");
            return Err(CgroupError::Systemd { call: "StartTransientUnit", unit: unit.to_owned(), reason });
        }
        Ok(())
    }

    /// Waits for a job by polling: subscribing to signals would make systemd send all of them, for a job that
    /// takes a few milliseconds.
    fn wait(&self, unit: &str, job: &OwnedObjectPath) -> Result<(), CgroupError> {
        let id: u32 = job.rsplit('/').next().and_then(|id| id.parse().ok()).unwrap_or(0);
        let start = Instant::now();
        while self.manager.get_job(id).is_ok() {
            let waited = start.elapsed();
            if waited >= LIMIT {
                self.reset_failed(unit);
                let reason = format!("its job did not end within {} s", LIMIT.as_secs());
                return Err(CgroupError::Systemd { call: "GetJob", unit: unit.to_owned(), reason });
            }
            // A slow systemd has enough to do without being polled often by many waiting callers.
            std::thread::sleep((waited / 4).clamp(Duration::from_millis(1), Duration::from_secs(1)));
        }
        Ok(())
    }

    fn active_state(&self, unit: &str) -> String {
        let get = || -> zbus::Result<String> {
            let connection = self.manager.inner().connection();
            let unit = UnitProxy::builder(connection).path(self.manager.get_unit(unit)?)?;
            unit.cache_properties(CacheProperties::No).build()?.active_state()
        };
        get().unwrap_or_else(|e| format!("gone ({})", text(&e)))
    }

    /// Stops a unit, and returns when it has stopped. It is no error if it is already gone.
    pub(crate) fn stop(&self, unit: &str) -> Result<(), CgroupError> {
        match self.manager.stop_unit(unit, "replace") {
            Ok(job) => self.wait(unit, &job)?,
            Err(e) if is(&e, NO_SUCH_UNIT) => {}
            Err(e) => return Err(failed("StopUnit", unit, &e)),
        }
        self.reset_failed(unit);
        Ok(())
    }

    fn reset_failed(&self, unit: &str) {
        if let Err(e) = self.manager.reset_failed_unit(unit) {
            tracing::debug!("ResetFailedUnit {unit}: {}", text(&e));
        }
    }

    /// Changes properties of a running unit, which last until it ends.
    pub(crate) fn set(&self, unit: &str, properties: &[Property]) -> Result<(), CgroupError> {
        self.manager
            .set_unit_properties(unit, true, properties)
            .map_err(|e| failed("SetUnitProperties", unit, &e))
    }

    /// Moves a process into a started unit, at `inner` below the unit's cgroup.
    pub(crate) fn attach(&self, unit: &str, inner: &str, pid: i32) -> Result<(), CgroupError> {
        self.manager
            .attach_processes_to_unit(unit, inner, &[pid.cast_unsigned()])
            .map_err(|e| failed("AttachProcessesToUnit", unit, &e))
    }
}

fn is(error: &zbus::Error, name: &str) -> bool {
    matches!(error, zbus::Error::MethodError(n, _, _) if n.as_str() == name)
}

/// The error in systemd's own words, if it has any.
fn text(error: &zbus::Error) -> String {
    match error {
        zbus::Error::MethodError(_, Some(message), _) => message.clone(),
        other => other.to_string(),
    }
}

fn failed(call: &'static str, unit: &str, error: &zbus::Error) -> CgroupError {
    CgroupError::Systemd { call, unit: unit.to_owned(), reason: text(error) }
}

/// Parses `255.4-1ubuntu8`, `v245` and the like.
fn parse_version(text: &str) -> u32 {
    let digits = text.trim_start_matches(['"', 'v']);
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    digits[..end].parse().unwrap_or(0)
}

/// The address of the user's bus: that of the session, or the socket in the runtime directory.
fn user_address() -> String {
    if let Some(address) = std::env::var("DBUS_SESSION_BUS_ADDRESS").ok().filter(|a| !a.is_empty()) {
        return address;
    }
    let dir = std::env::var_os("XDG_RUNTIME_DIR").filter(|d| !d.is_empty()).map(PathBuf::from);
    let dir = dir.unwrap_or_else(|| Path::new("/run/user").join(outer_uid().to_string()));
    format!("unix:path={}", dir.join("bus").display())
}

/// The caller's user id as it appears outside its user namespace.
fn outer_uid() -> u32 {
    let uid = nix::unistd::geteuid().as_raw();
    let map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    outer_id(&map, uid).unwrap_or(uid)
}

fn outer_id(map: &str, id: u32) -> Option<u32> {
    map.lines().find_map(|line| {
        let mut fields = line.split_whitespace().map(str::parse::<u32>);
        let (inside, outside, count) = (fields.next()?.ok()?, fields.next()?.ok()?, fields.next()?.ok()?);
        let offset = id.checked_sub(inside).filter(|offset| *offset < count)?;
        outside.checked_add(offset)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_with_and_without_ornament() {
        for (text, version) in
            [("255", 255), ("v245.4-1.fc32", 245), ("\"v246\"", 246), ("252.22-1~deb12u1", 252), ("", 0)]
        {
            assert_eq!(parse_version(text), version, "{text}");
        }
    }

    #[test]
    fn the_id_outside_is_found_in_the_map() {
        let map = "         0       1000          1\n         1     100000      65536\n";
        assert_eq!(outer_id(map, 0), Some(1000));
        assert_eq!(outer_id(map, 33), Some(100_032));
        assert_eq!(outer_id(map, 70_000), None);
        assert_eq!(outer_id("         0          0 4294967295\n", 1000), Some(1000));
    }
}
