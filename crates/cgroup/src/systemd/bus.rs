//! Talking to systemd's service manager over D-Bus.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use zbus::blocking::Connection;
use zbus::blocking::connection::Builder;
use zbus::export::serde::Serialize;
use zbus::zvariant::{DynamicType, OwnedObjectPath, OwnedValue, Value};

use crate::CgroupError;

/// A property of a unit.
pub(crate) type Property = (String, Value<'static>);

const MANAGER: &str = "org.freedesktop.systemd1.Manager";
const UNIT_EXISTS: &str = "org.freedesktop.systemd1.UnitExists";
const NO_SUCH_UNIT: &str = "org.freedesktop.systemd1.NoSuchUnit";

/// How long the bus may take for an answer, and systemd for a job.
const LIMIT: Duration = Duration::from_secs(30);

/// A connection to the service manager: the system's, or the user's own.
#[derive(Debug, Clone)]
pub(crate) struct Bus {
    connection: Connection,
}

impl Bus {
    pub(crate) fn connect(rootless: bool) -> Result<Self, CgroupError> {
        if rootless { Self::at(&user_address()) } else { Self::open(false, Builder::system) }
    }

    /// The user's bus at `address`.
    pub(super) fn at(address: &str) -> Result<Self, CgroupError> {
        // Inside a user namespace the bus still knows the caller by the id outside.
        Self::open(true, || Ok(Builder::address(address)?.user_id(outer_uid())))
    }

    fn open<'b>(
        user: bool,
        builder: impl FnOnce() -> zbus::Result<Builder<'b>>,
    ) -> Result<Self, CgroupError> {
        match builder().and_then(|b| b.method_timeout(LIMIT).build()) {
            Ok(connection) => Ok(Self { connection }),
            Err(e) => Err(CgroupError::Bus { user, reason: text(&e) }),
        }
    }

    fn call<B, R>(&self, method: &str, body: &B) -> zbus::Result<R>
    where
        B: Serialize + DynamicType,
        R: for<'d> zbus::zvariant::DynamicDeserialize<'d>,
    {
        self.call_at("/org/freedesktop/systemd1", MANAGER, method, body)
    }

    fn call_at<B, R>(&self, path: &str, interface: &str, method: &str, body: &B) -> zbus::Result<R>
    where
        B: Serialize + DynamicType,
        R: for<'d> zbus::zvariant::DynamicDeserialize<'d>,
    {
        let destination = Some("org.freedesktop.systemd1");
        let reply = self.connection.call_method(destination, path, Some(interface), method, body)?;
        reply.body().deserialize()
    }

    /// A property of the manager itself, as text.
    fn manager_property(&self, name: &str) -> zbus::Result<String> {
        let value: OwnedValue = self.call_at(
            "/org/freedesktop/systemd1",
            "org.freedesktop.DBus.Properties",
            "Get",
            &(MANAGER, name),
        )?;
        Ok(String::try_from(value)?)
    }

    /// systemd's version, 0 when it cannot be told.
    pub(crate) fn version(&self) -> u32 {
        self.manager_property("Version").map_or(0, |v| parse_version(&v))
    }

    /// The cgroup that the manager's units are below: empty for the system's.
    pub(crate) fn control_group(&self) -> Result<PathBuf, CgroupError> {
        let group = self.manager_property("ControlGroup");
        group.map(PathBuf::from).map_err(|e| failed("read property ControlGroup", "of the manager", &e))
    }

    /// Starts a transient unit and returns when it runs.
    pub(crate) fn start(&self, unit: &str, properties: &[Property]) -> Result<(), CgroupError> {
        let start = || -> zbus::Result<OwnedObjectPath> {
            let none: [(String, Vec<Property>); 0] = [];
            self.call("StartTransientUnit", &(unit, "replace", properties, &none[..]))
        };
        let mut job = start();
        if job.as_ref().is_err_and(|e| is(e, UNIT_EXISTS)) {
            // What is left of a failed unit of that name goes away by this.
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

    /// Waits for the end of a job by asking for it: subscribing to signals would have systemd send
    /// all of them, for a job that takes a few milliseconds.
    fn wait(&self, unit: &str, job: &OwnedObjectPath) -> Result<(), CgroupError> {
        let id: u32 = job.rsplit('/').next().and_then(|id| id.parse().ok()).unwrap_or(0);
        let start = Instant::now();
        while self.call::<_, OwnedObjectPath>("GetJob", &(id,)).is_ok() {
            let waited = start.elapsed();
            if waited >= LIMIT {
                self.reset_failed(unit);
                let reason = format!("its job did not end within {} s", LIMIT.as_secs());
                return Err(CgroupError::Systemd { call: "GetJob", unit: unit.to_owned(), reason });
            }
            // A systemd that takes its time has enough to do without the questions of many who wait.
            std::thread::sleep((waited / 4).clamp(Duration::from_millis(1), Duration::from_secs(1)));
        }
        Ok(())
    }

    fn active_state(&self, unit: &str) -> String {
        let get = || -> zbus::Result<String> {
            let path: OwnedObjectPath = self.call("GetUnit", &(unit,))?;
            let value: OwnedValue = self.call_at(
                path.as_str(),
                "org.freedesktop.DBus.Properties",
                "Get",
                &("org.freedesktop.systemd1.Unit", "ActiveState"),
            )?;
            Ok(String::try_from(value)?)
        };
        get().unwrap_or_else(|e| format!("gone ({})", text(&e)))
    }

    /// Stops a unit and returns when it has stopped. One that is gone already is fine.
    pub(crate) fn stop(&self, unit: &str) -> Result<(), CgroupError> {
        match self.call::<_, OwnedObjectPath>("StopUnit", &(unit, "replace")) {
            Ok(job) => self.wait(unit, &job)?,
            Err(e) if is(&e, NO_SUCH_UNIT) => {}
            Err(e) => return Err(failed("StopUnit", unit, &e)),
        }
        self.reset_failed(unit);
        Ok(())
    }

    fn reset_failed(&self, unit: &str) {
        if let Err(e) = self.call::<_, ()>("ResetFailedUnit", &(unit,)) {
            tracing::debug!("ResetFailedUnit {unit}: {}", text(&e));
        }
    }

    /// Changes properties of a running unit, until it ends.
    pub(crate) fn set(&self, unit: &str, properties: &[Property]) -> Result<(), CgroupError> {
        self.call("SetUnitProperties", &(unit, true, properties))
            .map_err(|e| failed("SetUnitProperties", unit, &e))
    }

    /// Moves a process into a unit that has started, `inner` below its cgroup.
    pub(crate) fn attach(&self, unit: &str, inner: &str, pid: i32) -> Result<(), CgroupError> {
        self.call("AttachProcessesToUnit", &(unit, inner, &[pid.cast_unsigned()][..]))
            .map_err(|e| failed("AttachProcessesToUnit", unit, &e))
    }
}

fn is(error: &zbus::Error, name: &str) -> bool {
    matches!(error, zbus::Error::MethodError(n, _, _) if n.as_str() == name)
}

/// An error in systemd's own words where it has any.
fn text(error: &zbus::Error) -> String {
    match error {
        zbus::Error::MethodError(_, Some(message), _) => message.clone(),
        other => other.to_string(),
    }
}

fn failed(call: &'static str, unit: &str, error: &zbus::Error) -> CgroupError {
    CgroupError::Systemd { call, unit: unit.to_owned(), reason: text(error) }
}

/// `255.4-1ubuntu8`, `v245` and the like.
fn parse_version(text: &str) -> u32 {
    let digits = text.trim_start_matches(['"', 'v']);
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    digits[..end].parse().unwrap_or(0)
}

/// The user's bus: the session's address, or the socket in the runtime directory.
fn user_address() -> String {
    if let Some(address) = std::env::var("DBUS_SESSION_BUS_ADDRESS").ok().filter(|a| !a.is_empty()) {
        return address;
    }
    let dir = std::env::var_os("XDG_RUNTIME_DIR").filter(|d| !d.is_empty()).map(PathBuf::from);
    let dir = dir.unwrap_or_else(|| Path::new("/run/user").join(outer_uid().to_string()));
    format!("unix:path={}", dir.join("bus").display())
}

/// The caller's user id as seen outside its user namespace.
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
