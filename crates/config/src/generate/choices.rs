//! The choices that the namespace flags offer.

use std::path::PathBuf;

use oci_spec::runtime::LinuxIdMapping;

use super::error::{GenerateError, wrong};

/// The value of a namespace flag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The caller's namespace.
    Host,
    /// A new namespace.
    Private,
    /// The namespace of the container with this id.
    Container(String),
}

impl Mode {
    /// Parses `host`, `private` or `container:ID`.
    ///
    /// # Errors
    /// [`GenerateError::Flag`] for anything else.
    pub fn parse(flag: &'static str, text: &str) -> Result<Self, GenerateError> {
        match text.split_once(':') {
            None if text == "host" => Ok(Self::Host),
            None if text == "private" => Ok(Self::Private),
            Some(("container", id)) if !id.is_empty() => Ok(Self::Container(id.to_owned())),
            _ if flag == "network" => {
                Err(wrong(flag, text, "is not host, private, pasta[:OPTION,...] or container:ID"))
            }
            _ => Err(wrong(flag, text, "is not host, private or container:ID")),
        }
    }
}

/// Which namespace of one kind the container gets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum NamespaceChoice {
    /// The default without the flag.
    #[default]
    Default,
    /// The caller's namespace.
    Host,
    /// A new namespace.
    Private,
    /// The namespace at this path.
    Joined(PathBuf),
}

/// Which user namespace the container gets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum UserNamespace {
    /// The caller's for root; for an ordinary user a new one, in which the user's own id is 0.
    #[default]
    Default,
    /// The caller's namespace.
    Host,
    /// A new namespace with these maps.
    Maps {
        /// The map of user ids.
        uid: Vec<LinuxIdMapping>,
        /// The map of group ids.
        gid: Vec<LinuxIdMapping>,
    },
    /// The namespace at this path.
    Joined(PathBuf),
}

/// The choices for all kinds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)] // Each field is the namespace that it is named after.
pub struct Namespaces {
    pub pid: NamespaceChoice,
    pub ipc: NamespaceChoice,
    pub uts: NamespaceChoice,
    pub network: NamespaceChoice,
    pub cgroup: NamespaceChoice,
    pub user: UserNamespace,
}

/// `--network pasta`: the network that the hook is to give the container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pasta {
    /// Options for pasta(1).
    pub options: Vec<String>,
    /// The rootling program, which contains the hook.
    pub program: PathBuf,
}

impl Pasta {
    /// Parses `pasta` or `pasta:OPTION,...`, a value of `--network`; `None` if it is another value.
    pub fn parse(text: &str, program: PathBuf) -> Option<Self> {
        let options = match text.strip_prefix("pasta")? {
            "" => Vec::new(),
            rest => rest.strip_prefix(':')?.split(',').map(str::to_owned).collect(),
        };
        Some(Self { options, program })
    }
}
