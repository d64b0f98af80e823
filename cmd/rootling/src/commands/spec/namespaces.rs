//! Which namespaces a spec asks for: other containers are looked up, and ids.

use std::path::PathBuf;

use oci_spec::runtime::LinuxNamespaceType;
use rootling_config::generate::{Mode, NamespaceChoice, Namespaces, User, UserNamespace};
use rootling_config::id::ContainerId;
use rootling_config::idmap::mapping;
use rootling_rootless::adapt::AdaptError;
use rootling_rootless::idmap::{self, MapOwner, WantedMaps};
use rootling_runtime::{Error, Result, Status};

use crate::args::SpecFlags;
use crate::log;
use crate::roots::Context;

pub(super) fn namespaces(
    context: Context<'_>,
    flags: &SpecFlags,
    rootless: bool,
    user: Option<&User>,
) -> Result<Namespaces> {
    let mut lookup = Lookup { context, user: None };
    let mut one = |flag, file, text: &Option<String>| match text {
        Some(text) => lookup.namespace(flag, file, text),
        None => Ok(NamespaceChoice::Default),
    };
    let mut namespaces = Namespaces {
        pid: one("pid", "pid", &flags.pid)?,
        ipc: one("ipc", "ipc", &flags.ipc)?,
        uts: one("uts", "uts", &flags.uts)?,
        network: one("network", "net", &flags.network)?,
        cgroup: one("cgroupns", "cgroup", &flags.cgroupns)?,
        user: UserNamespace::Default,
    };
    namespaces.user = lookup.user_namespace(flags, rootless, user)?;
    Ok(namespaces)
}

/// Looks up containers, and keeps in mind whose user namespace has to be joined for it.
struct Lookup<'a> {
    context: Context<'a>,
    /// The user namespace that owns what is joined, and its container.
    user: Option<(PathBuf, String)>,
}

impl Lookup<'_> {
    fn namespace(&mut self, flag: &'static str, file: &str, text: &str) -> Result<NamespaceChoice> {
        match Mode::parse(flag, text).map_err(|e| Error::invalid(e.to_string()))? {
            Mode::Host => Ok(NamespaceChoice::Host),
            Mode::Private => Ok(NamespaceChoice::Private),
            Mode::Container(id) => self.join(flag, file, &id).map(NamespaceChoice::Joined),
        }
    }

    /// The path of a container's namespace. To enter one takes the capabilities of the user namespace
    /// that owns it, so that is entered as well. setns(2)
    fn join(&mut self, flag: &str, file: &str, id: &str) -> Result<PathBuf> {
        let pid = self.pid(flag, id)?;
        let user = PathBuf::from(format!("/proc/{pid}/ns/user"));
        if !self.context.host.is_own_namespace(LinuxNamespaceType::User, &user) {
            let same = |(other, _): &(PathBuf, String)| {
                std::fs::read_link(other).ok() == std::fs::read_link(&user).ok()
            };
            match &self.user {
                Some(other) if !same(other) => {
                    return Err(Error::invalid(format!(
                        "--{flag} container:{id}: its user namespace is another than that of {:?}, and only one can be \
                         joined; name one container",
                        other.1
                    )));
                }
                Some(_) => {}
                None => self.user = Some((user, id.to_owned())),
            }
        }
        Ok(format!("/proc/{pid}/ns/{file}").into())
    }

    fn pid(&self, flag: &str, id: &str) -> Result<i32> {
        let slot = self.context.store()?.open(&ContainerId::parse(id)?)?;
        let record = slot.read()?;
        let status = slot.status(&record)?;
        match record.init {
            Some(init) if matches!(status, Status::Created | Status::Running | Status::Paused) => {
                Ok(init.pid)
            }
            _ => Err(Error::invalid(format!(
                "--{flag} container:{id}: it is {status} and has no namespaces; start it first"
            ))),
        }
    }

    fn user_namespace(
        &mut self,
        flags: &SpecFlags,
        rootless: bool,
        user: Option<&User>,
    ) -> Result<UserNamespace> {
        let Some(text) = flags.userns.as_deref() else {
            return match &self.user {
                Some((path, _)) => Ok(UserNamespace::Joined(path.clone())),
                // One id is enough for root, starts fastest and works everywhere.
                None if rootless && user.is_some_and(|user| (user.uid, user.gid) != (0, 0)) => {
                    self.maps_for(user)
                }
                None => Ok(UserNamespace::Default),
            };
        };
        if let Some(id) = text.strip_prefix("container:") {
            let path = self.join("userns", "user", id)?;
            return Ok(UserNamespace::Joined(path));
        }
        if let Some((_, id)) = &self.user {
            return Err(Error::invalid(format!(
                "--userns {text:?}: the namespaces of {id:?} belong to a user namespace of its own, which has to be \
                 joined with them; leave out --userns"
            )));
        }
        match text {
            "host" => Ok(UserNamespace::Host),
            "auto" => self.maps_for(user),
            "single" => Ok(UserNamespace::Maps {
                uid: vec![mapping(0, self.context.host.euid(), 1)],
                gid: vec![mapping(0, self.context.host.egid(), 1)],
            }),
            owner => {
                let wanted =
                    owner.parse::<MapOwner>().and_then(|owner| idmap::maps_of(self.context.host, &owner));
                let wanted = wanted.map_err(|e| Error::invalid(format!("--userns {owner:?}: {e}")))?;
                Ok(announced(wanted))
            }
        }
    }

    /// The caller's own maps, which have to hold the process's user.
    fn maps_for(&self, user: Option<&User>) -> Result<UserNamespace> {
        let wanted =
            idmap::default_maps(self.context.host).map_err(|e| Error::invalid(format!("--userns: {e}")))?;
        let user = user.cloned().unwrap_or_default();
        for (field, id) in [("--user: uid", user.uid), ("--user: gid", user.gid)] {
            if let Some(why) = wanted.only_own.clone().filter(|_| id != 0) {
                return Err(Error::invalid(AdaptError::NeedsMoreIds { field, id, why }.to_string()));
            }
        }
        Ok(announced(wanted))
    }
}

fn announced(wanted: WantedMaps) -> UserNamespace {
    for note in &wanted.notes {
        log::warning(&note.to_string());
    }
    UserNamespace::Maps { uid: wanted.maps.uid, gid: wanted.maps.gid }
}
