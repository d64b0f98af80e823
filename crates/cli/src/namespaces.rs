//! Determines which namespaces a spec asks for; this looks up other containers and ids.

use std::path::PathBuf;

use oci_spec::runtime::LinuxNamespaceType;
use rootling_config::generate::{Mode, NamespaceChoice, Namespaces, Pasta, User, UserNamespace};
use rootling_config::id::ContainerId;
use rootling_config::idmap::mapping;
use rootling_rootless::adapt::AdaptError;
use rootling_rootless::idmap::{self, MapOwner, ROOT_IS_NOT_MAPPED, WantedMaps};
use rootling_runtime::{Error, Result, Status};

use crate::log;
use crate::roots::Context;
use crate::spec_flags::SpecFlags;

/// Which ids the container of an ordinary user gets if no flag says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DefaultIds {
    /// The caller's own ids, unless `--user` needs others: this is enough for root, starts fastest and works
    /// everywhere.
    Few,
    /// All ids that the caller may use, because the files of an image have many owners.
    All,
}

/// The namespaces that the flags ask for. `rootless` means that they are for an ordinary user, and `user` is the
/// user whose ids must be mapped.
///
/// # Errors
/// A mode is unknown, a container does not run, or ids cannot be mapped.
pub fn namespaces(
    context: Context<'_>,
    flags: &SpecFlags,
    rootless: bool,
    default: DefaultIds,
    user: Option<&User>,
) -> Result<Namespaces> {
    let mut lookup = Lookup { context, user: None, of_caller: Vec::new() };
    let mut one = |flag, typ, text: &Option<String>| match text {
        Some(text) => lookup.namespace(flag, typ, text),
        None => Ok(NamespaceChoice::Default),
    };
    let mut namespaces = Namespaces {
        pid: one("pid", LinuxNamespaceType::Pid, &flags.pid)?,
        ipc: one("ipc", LinuxNamespaceType::Ipc, &flags.ipc)?,
        uts: one("uts", LinuxNamespaceType::Uts, &flags.uts)?,
        // The hook connects a new namespace to a network.
        network: match flags.network.as_deref().and_then(|text| Pasta::parse(text, PathBuf::new())) {
            Some(_) => NamespaceChoice::Private,
            None => one("network", LinuxNamespaceType::Network, &flags.network)?,
        },
        cgroup: one("cgroupns", LinuxNamespaceType::Cgroup, &flags.cgroupns)?,
        user: UserNamespace::Default,
    };
    let all = rootless && default == DefaultIds::All;
    namespaces.user = lookup.user_namespace(flags, rootless, all, user)?;
    if matches!(namespaces.user, UserNamespace::Maps { .. }) {
        lookup.check_mounts()?;
    }
    Ok(namespaces)
}

/// Looks up containers, and remembers whose user namespace has to be joined for that.
struct Lookup<'a> {
    context: Context<'a>,
    /// The user namespace to join.
    user: Option<Owner>,
    /// Flags with their containers whose namespaces belong to the caller's user namespace.
    of_caller: Vec<(&'static str, String)>,
}

/// The user namespace of a container.
struct Owner {
    path: PathBuf,
    id: String,
    /// Whether it owns a namespace that is joined; otherwise it goes along with one of the host's, which others
    /// may share as well.
    needed: bool,
}

impl Lookup<'_> {
    fn namespace(
        &mut self,
        flag: &'static str,
        typ: LinuxNamespaceType,
        text: &str,
    ) -> Result<NamespaceChoice> {
        match Mode::parse(flag, text).map_err(|e| Error::invalid(e.to_string()))? {
            Mode::Host => Ok(NamespaceChoice::Host),
            Mode::Private => Ok(NamespaceChoice::Private),
            Mode::Container(id) => {
                Ok(self.join(flag, typ, &id)?.map_or(NamespaceChoice::Host, NamespaceChoice::Joined))
            }
        }
    }

    /// The path of a container's namespace; `None` if the container shares that of the host, which its own user
    /// namespace does not own. Entering a namespace requires capabilities in the user namespace that owns it, so
    /// that one is entered as well; setns(2).
    fn join(&mut self, flag: &'static str, typ: LinuxNamespaceType, id: &str) -> Result<Option<PathBuf>> {
        let host = self.context.host;
        let pid = self.pid(flag, id)?;
        let path = PathBuf::from(format!("/proc/{pid}/ns/{typ}"));
        let user = PathBuf::from(format!("/proc/{pid}/ns/user"));
        let shared = host.is_own_namespace(typ, &path);
        if !host.is_own_namespace(LinuxNamespaceType::User, &user) {
            self.enter(flag, Owner { path: user, id: id.to_owned(), needed: !shared })?;
        } else if !shared {
            self.of_caller.push((flag, id.to_owned()));
        }
        Ok(Some(path).filter(|_| !shared))
    }

    fn enter(&mut self, flag: &str, new: Owner) -> Result<()> {
        let target = |owner: &Owner| std::fs::read_link(&owner.path).ok();
        match &mut self.user {
            Some(known) if target(known) == target(&new) => known.needed |= new.needed,
            Some(known) if known.needed && new.needed => {
                return Err(Error::invalid(format!(
                    "--{flag} container:{}: its user namespace differs from that of {:?}, and only one can be \
                     joined; name one container",
                    new.id, known.id
                )));
            }
            Some(_) if !new.needed => {}
            _ => self.user = Some(new),
        }
        Ok(())
    }

    /// Checks that the file systems of a namespace can be mounted, which requires being in the user namespace
    /// that owns it.
    fn check_mounts(&self) -> Result<()> {
        for (flag, id) in &self.of_caller {
            if let Some((_, place)) =
                [("pid", "/proc"), ("ipc", "/dev/mqueue")].iter().find(|(f, _)| f == flag)
            {
                return Err(Error::invalid(format!(
                    "--{flag} container:{id}: its {flag} namespace belongs to the caller's user namespace, so that a \
                     container with another one cannot mount {place}; leave out --userns"
                )));
            }
        }
        Ok(())
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
        all: bool,
        user: Option<&User>,
    ) -> Result<UserNamespace> {
        let Some(text) = flags.userns.as_deref() else {
            return match &self.user {
                Some(owner) => Ok(UserNamespace::Joined(owner.path.clone())),
                None if all || rootless && user.is_some_and(|user| (user.uid, user.gid) != (0, 0)) => {
                    self.maps_for(user)
                }
                None => Ok(UserNamespace::Default),
            };
        };
        if let Some(id) = text.strip_prefix("container:") {
            let path = self.join("userns", LinuxNamespaceType::User, id)?;
            return Ok(path.map_or(UserNamespace::Host, UserNamespace::Joined));
        }
        if let Some(Owner { id, .. }) = self.user.as_ref().filter(|owner| owner.needed) {
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
            text => {
                let invalid = |e: idmap::IdmapError| Error::invalid(format!("--userns {text:?}: {e}"));
                let owner: MapOwner = text.parse().map_err(invalid)?;
                if owner.is_root() {
                    log::warning(&format!("--userns {text:?}: {ROOT_IS_NOT_MAPPED}"));
                    return Ok(UserNamespace::Host);
                }
                idmap::maps_of(self.context.host, &owner).map(announced).map_err(invalid)
            }
        }
    }

    /// The caller's own maps, which must contain the process's user.
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
