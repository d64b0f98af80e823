//! A container's transient scope.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use cgroups_rs::systemd::{
    BLOCK_IO_ACCOUNTING, CPU_ACCOUNTING, DEFAULT_DEPENDENCIES, DELEGATE, DESCRIPTION, IO_ACCOUNTING,
    MEMORY_ACCOUNTING, PIDS, SLICE, TASKS_ACCOUNTING, WANTS,
};
use oci_spec::runtime::LinuxDeviceCgroup;
use rootling_config::limits::Limits;
use serde::{Deserialize, Serialize};
use zbus::zvariant::Value;

use super::bus::{Bus, Property};
use super::name::Unit;
use super::properties::Translator;
use super::{annotation, devices, properties};
use crate::devices::Ruleset;
use crate::path::{Own, below};
use crate::v1::{self, Legacy};
use crate::v2::{self, Unified};
use crate::wanted::Wanted;
use crate::{CgroupError, Request};

/// A unit, and the cgroups that it has.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Scope {
    unit: Unit,
    rootless: bool,
    /// `None` until it is known where systemd puts the unit.
    pub(crate) cgroups: Option<Cgroups>,
    /// Whether the place is known but the unit has not been started yet.
    #[serde(skip)]
    pending: bool,
    #[serde(skip)]
    plan: Plan,
    #[serde(skip)]
    bus: OnceLock<Bus>,
}

/// The cgroups that the processes are in.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Cgroups {
    V2(Unified),
    V1(Legacy),
}

/// What is needed only to start the unit.
#[derive(Debug, Clone, Default)]
struct Plan {
    mount: PathBuf,
    unified: bool,
    wanted: Wanted,
    annotations: Vec<(String, String)>,
    /// `memory.oom.group`, which systemd accepts as `OOMPolicy=` at the start and never later.
    oom_group: Option<String>,
}

impl Scope {
    /// Determines the unit for `request`. Neither systemd nor its bus is accessed.
    pub(crate) fn plan(
        mount: &Path,
        unified: bool,
        request: &Request,
        wanted: Wanted,
    ) -> Result<Self, CgroupError> {
        // sd_booted(3).
        if !Path::new("/run/systemd/system").is_dir() {
            return Err(CgroupError::NotBooted);
        }
        if !unified && request.rootless {
            return Err(CgroupError::RootlessSystemdOnV1);
        }
        let unit = Unit::parse(request.path, request.id, request.rootless)?;
        let oom_group = request.limits.and_then(|l| l.unified.get("memory.oom.group").map(str::to_owned));
        let plan = Plan { mount: mount.to_owned(), unified, wanted, oom_group, ..Plan::default() };
        Ok(Self {
            unit,
            rootless: request.rootless,
            cgroups: None,
            pending: false,
            plan,
            bus: OnceLock::new(),
        })
    }

    /// Keeps `org.systemd.property.*` for the start of the unit, and ignores all other annotations.
    pub(crate) fn annotate(&mut self, key: &str, value: &str) -> Result<(), CgroupError> {
        if annotation::property(key, value)?.is_some() {
            self.plan.annotations.push((key.to_owned(), value.to_owned()));
        }
        Ok(())
    }

    /// The unit, and which systemd manages it, for the log.
    pub(crate) fn describe(&self) -> String {
        let whose = if self.rootless { "the user's" } else { "the system's" };
        format!("{} in {} of {whose} systemd", self.unit.name, self.unit.slice)
    }

    fn bus(&self) -> Result<&Bus, CgroupError> {
        if let Some(bus) = self.bus.get() {
            return Ok(bus);
        }
        let bus = Bus::connect(self.rootless)?;
        Ok(self.bus.get_or_init(|| bus))
    }

    /// Starts the unit with process `pid` in it, or moves the process into the unit that was started.
    pub(crate) fn attach(&mut self, pid: i32) -> Result<(), CgroupError> {
        self.locate()?;
        if !self.pending {
            self.bus()?.attach(&self.unit.name, "/", pid)?;
            // systemd moves processes only in the hierarchies that it uses itself.
            return match &mut self.cgroups {
                Some(Cgroups::V1(c)) => c.attach(pid),
                _ => Ok(()),
            };
        }
        self.pending = false;
        let started = self.start_properties(pid).and_then(|p| self.bus()?.start(&self.unit.name, &p));
        if let Err(error) = started {
            // The unit that has this name is not ours to remove.
            self.cgroups = None;
            return Err(error);
        }
        self.complete(pid).inspect_err(|_| {
            let _ = self.remove();
        })
    }

    /// Moves process `pid` into `dir`, which is the unit's cgroup on v2 or one below it.
    pub(crate) fn attach_below(&self, pid: i32, dir: &Path) -> Result<(), CgroupError> {
        let inner = match &self.cgroups {
            Some(Cgroups::V2(c)) => dir.strip_prefix(&c.path).unwrap_or(Path::new("")),
            _ => Path::new(""),
        };
        self.bus()?.attach(&self.unit.name, &Path::new("/").join(inner).to_string_lossy(), pid)
    }

    /// Finds out where systemd will put the unit, and returns whether that was unknown: whoever stores the result
    /// before [`attach`](Self::attach) can remove the unit even if this process ends in the middle.
    pub(crate) fn locate(&mut self) -> Result<bool, CgroupError> {
        if self.cgroups.is_some() {
            return Ok(false);
        }
        let cgroups = self.place()?;
        // systemd takes over an existing directory, even one in which nothing would ever run.
        match &cgroups {
            Cgroups::V2(c) => v2::place::check_reusable(&c.path)?,
            Cgroups::V1(c) => v1::place::check_reusable(&c.paths)?,
        }
        self.cgroups = Some(cgroups);
        self.pending = true;
        Ok(true)
    }

    /// Where systemd will put the unit.
    fn place(&self) -> Result<Cgroups, CgroupError> {
        let path = self.unit.path()?;
        if self.plan.unified {
            let manager = if self.rootless { self.bus()?.control_group()? } else { PathBuf::new() };
            let path = below(&below(&self.plan.mount, &manager), &path);
            return Ok(Cgroups::V2(Unified { path }));
        }
        let own =
            Own::read().map_err(|source| CgroupError::Read { path: "/proc/self/cgroup".into(), source })?;
        let paths = v1::hierarchy::locate(&self.plan.mount, &own, &Path::new("/").join(path));
        Ok(Cgroups::V1(Legacy { paths, rootless: false }))
    }

    fn start_properties(&self, pid: i32) -> Result<Vec<Property>, CgroupError> {
        let named = |name: &str, value: Value<'static>| (name.to_owned(), value);
        let description = format!("rootling container {}", self.unit.name);
        let mut properties = vec![named(DESCRIPTION, description.into())];
        if self.unit.is_slice() {
            properties.push(named(WANTS, vec![self.unit.slice.clone()].into()));
        } else {
            properties.push(named(SLICE, self.unit.slice.clone().into()));
            properties.push(named(DELEGATE, true.into()));
            properties.push(named(PIDS, vec![pid.cast_unsigned()].into()));
        }
        let io = if self.plan.unified { IO_ACCOUNTING } else { BLOCK_IO_ACCOUNTING };
        for accounting in [MEMORY_ACCOUNTING, CPU_ACCOUNTING, io, TASKS_ACCOUNTING] {
            properties.push(named(accounting, true.into()));
        }
        properties.push(named(DEFAULT_DEPENDENCIES, false.into()));
        for (key, value) in &self.plan.annotations {
            properties.extend(annotation::property(key, value)?);
        }
        let policy = match self.plan.oom_group.as_deref().map(str::trim) {
            Some("0") => "continue",
            Some("1") => "kill",
            _ => return Ok(properties),
        };
        if self.bus()?.version() >= 253 {
            properties.push(named("OOMPolicy", policy.into()));
        }
        Ok(properties)
    }

    /// Does what systemd leaves to us: enables all controllers on v2, and joins the other hierarchies on v1.
    fn complete(&mut self, pid: i32) -> Result<(), CgroupError> {
        match &mut self.cgroups {
            Some(Cgroups::V2(c)) => {
                v2::place::enable(&self.plan.mount, &c.path, &self.plan.wanted);
                v2::place::check_controllers(&c.path, &self.plan.wanted)
            }
            Some(Cgroups::V1(c)) => {
                v1::place::mkdir_all(&mut c.paths, false, &mut Vec::new())?;
                c.attach(pid)
            }
            None => Ok(()),
        }
    }

    /// Sets limits through systemd and in the files; returns what was left out.
    pub(crate) fn update(&self, limits: &Limits) -> Result<Vec<String>, CgroupError> {
        let Some(cgroups) = &self.cgroups else { return Err(self.not_started("set limits")) };
        if let Cgroups::V2(c) = cgroups {
            // Before systemd sets a limit that could kill.
            c.check_usage(limits)?;
        }
        let translator = Translator {
            unified: matches!(cgroups, Cgroups::V2(_)),
            version: &|| self.bus().map_or(0, Bus::version),
        };
        let properties = translator.properties(limits)?;
        if !properties.is_empty() {
            self.bus()?.set(&self.unit.name, &properties)?;
        }
        let limits = &properties::as_systemd_rounds(limits);
        match cgroups {
            Cgroups::V2(c) => c.apply(limits),
            Cgroups::V1(c) => c.apply(limits),
        }
    }

    /// Sets device rules through systemd and directly.
    pub(crate) fn apply_devices(&self, rules: &[LinuxDeviceCgroup]) -> Result<(), CgroupError> {
        let Some(cgroups) = &self.cgroups else { return Err(self.not_started("set device rules")) };
        self.bus()?.set(&self.unit.name, &devices::properties(&Ruleset::of(rules)?))?;
        match cgroups {
            Cgroups::V2(c) => c.apply_devices(rules),
            Cgroups::V1(c) => c.apply_devices(rules),
        }
    }

    fn not_started(&self, action: &'static str) -> CgroupError {
        tracing::debug!("{} has not been started", self.unit.name);
        CgroupError::NoCgroup { action, remedy: "attach a process first, which starts its systemd scope" }
    }

    /// Stops the unit, and removes what systemd leaves behind.
    pub(crate) fn remove(&self) -> Result<(), CgroupError> {
        // A unit with this name that we have not started is not ours.
        let Some(cgroups) = self.cgroups.as_ref().filter(|_| !self.pending) else { return Ok(()) };
        let stopped = self.bus().and_then(|bus| bus.stop(&self.unit.name));
        let removed = match cgroups {
            Cgroups::V2(c) => crate::remove::tree(&c.path),
            Cgroups::V1(c) => c.remove(),
        };
        // Without its cgroup and processes a scope is gone, whatever the bus reported.
        if let (Err(e), Ok(())) = (&stopped, &removed) {
            tracing::warn!("{e}");
        }
        removed
    }
}
