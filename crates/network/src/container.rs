//! The container for which a hook is called.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::unistd::geteuid;
use oci_spec::runtime::{ContainerState, State};

use crate::error::{Context, Error, Result};

/// The size limit of a state, in bytes: annotations come from the user and may be long.
const MOST: u64 = 4 << 20;

/// A container as its runtime describes it; runtime-spec, runtime.md "State".
#[derive(Debug)]
pub struct Container {
    state: State,
}

impl Container {
    /// Parses the state that a runtime writes to the standard input of a hook.
    ///
    /// # Errors
    /// [`Error::NoState`] if the input is not a state.
    pub fn read(input: impl Read) -> Result<Self> {
        let no_state = |why: &dyn ToString| Error::NoState(why.to_string());
        let bytes = rootling_sys::file::stream(input, MOST).map_err(|error| no_state(&error))?;
        let state: State = serde_json::from_slice(&bytes).map_err(|error| no_state(&error))?;
        if state.id().is_empty() { Err(no_state(&"it has no id")) } else { Ok(Self { state }) }
    }

    /// The id of the container.
    pub fn id(&self) -> &str {
        self.state.id()
    }

    /// Whether its program has ended, which means that this is a poststop hook.
    pub fn has_ended(&self) -> bool {
        *self.state.status() == ContainerState::Stopped
    }

    /// The pid of its first process.
    ///
    /// # Errors
    /// [`Error::NoProcess`] if there is none.
    pub fn pid(&self) -> Result<i32> {
        self.state.pid().filter(|pid| *pid > 0).ok_or_else(|| Error::NoProcess(self.id().to_owned()))
    }

    /// The state as JSON, for another process.
    pub(crate) fn json(&self) -> String {
        serde_json::to_string(&self.state).unwrap_or_default()
    }

    /// A name that no other container of this user has: ids are unique only for one runtime and its state
    /// directory.
    pub(crate) fn name(&self) -> String {
        let mut hash = DefaultHasher::new();
        (self.state.bundle(), self.id()).hash(&mut hash);
        format!("rootling-network/{}/{:016x}", geteuid(), hash.finish())
    }
}

/// The namespaces of the container's first process.
#[derive(Debug)]
pub(crate) struct Namespaces {
    pub(crate) network: PathBuf,
    /// `None` if it is the caller's.
    pub(crate) user: Option<PathBuf>,
}

impl Namespaces {
    pub(crate) fn of(container: &Container) -> Result<Self> {
        let pid = container.pid()?;
        let path = |name: &str| PathBuf::from(format!("/proc/{pid}/ns/{name}"));
        let (network, user) = (path("net"), path("user"));
        if is_own(&network, "net")? {
            return Err(Error::HostsNetwork(container.id().to_owned()));
        }
        let user = if is_own(&user, "user")? { None } else { Some(user) };
        Ok(Self { network, user })
    }
}

/// A network namespace as a file, in the manner of ip-netns(8). pasta gives up its capabilities before it opens the
/// namespace, and then can no longer access root's own processes in /proc; it exits when the file is removed.
#[derive(Debug)]
pub(crate) struct Pin(pub(crate) PathBuf);

impl Pin {
    fn place(container: &Container) -> PathBuf {
        Path::new("/run").join(container.name().replace('/', "."))
    }

    pub(crate) fn new(container: &Container, namespace: &Path) -> Result<Self> {
        Self::remove(container);
        let place = Self::place(container);
        let words = || place.display().to_string();
        fs::File::create_new(&place).context(words)?;
        let pin = Self(place.clone());
        mount(Some(namespace), &place, None::<&str>, MsFlags::MS_BIND, None::<&str>).context(words)?;
        Ok(pin)
    }

    /// Removes what a killed supervisor has left.
    pub(crate) fn remove(container: &Container) {
        drop(Self(Self::place(container)));
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        let _ = umount2(&self.0, MntFlags::MNT_DETACH | MntFlags::UMOUNT_NOFOLLOW);
        let _ = fs::remove_file(&self.0);
    }
}

/// Whether this process is in that namespace.
fn is_own(path: &Path, name: &str) -> Result<bool> {
    let target = |path: &Path| match fs::read_link(path) {
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            Err(Error::Closed { path: path.to_owned() })
        }
        other => other.context(|| path.display().to_string()),
    };
    Ok(target(path)? == target(&Path::new("/proc/self/ns").join(name))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn container(status: &str, pid: i32) -> Container {
        let text = format!(
            r#"{{"ociVersion":"1.0.2","id":"c","status":"{status}","pid":{pid},"bundle":"/b","annotations":{{}}}}"#
        );
        Container::read(text.as_bytes()).expect("a state")
    }

    #[test]
    fn a_state_tells_the_hook() {
        let own = std::process::id() as i32;
        for (status, ended) in
            [("creating", false), ("created", false), ("running", false), ("stopped", true)]
        {
            assert_eq!(container(status, own).has_ended(), ended, "{status}");
        }
        assert_eq!(container("creating", own).pid().expect("a process"), own);
        assert!(matches!(container("creating", 0).pid(), Err(Error::NoProcess(id)) if id == "c"));
    }

    #[test]
    fn what_is_no_state_is_an_error() {
        for text in ["", "{}", "[]", "ociVersion"] {
            let error = Container::read(text.as_bytes()).expect_err(text).to_string();
            assert!(error.starts_with("standard input is not the state of a container"), "{text}: {error}");
        }
    }

    #[test]
    fn the_network_of_the_host_is_refused() {
        let error =
            Namespaces::of(&container("creating", std::process::id() as i32)).expect_err("the host's");
        assert!(error.to_string().contains("has the network of the host"), "{error}");
    }
}
