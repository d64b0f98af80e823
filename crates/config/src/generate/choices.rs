//! What the flags of namespaces may ask for.

use std::path::PathBuf;

use oci_spec::runtime::LinuxIdMapping;

use super::error::{GenerateError, wrong};

/// The value of a namespace's flag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The caller's.
    Host,
    /// A new one.
    Private,
    /// That of the container with this id.
    Container(String),
}

impl Mode {
    /// Reads `host`, `private` or `container:ID`.
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

/// Which namespace of one type the container gets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum NamespaceChoice {
    /// As without the flag.
    #[default]
    Default,
    /// The caller's.
    Host,
    /// A new one.
    Private,
    /// The one at this path.
    Joined(PathBuf),
}

/// Which user namespace the container gets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum UserNamespace {
    /// None for root; for an ordinary user a new one with its own id as 0.
    #[default]
    Default,
    /// The caller's.
    Host,
    /// A new one with these maps.
    Maps {
        /// Of user ids.
        uid: Vec<LinuxIdMapping>,
        /// Of group ids.
        gid: Vec<LinuxIdMapping>,
    },
    /// The one at this path.
    Joined(PathBuf),
}

/// All of them.
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

/// `--network pasta`: what the hook is to give the container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pasta {
    /// Options of pasta(1).
    pub options: Vec<String>,
    /// rootling itself, which has the hook.
    pub program: PathBuf,
}

impl Pasta {
    /// Reads `pasta` or `pasta:OPTION,...`, the value of `--network`; none where it is another one.
    pub fn parse(text: &str, program: PathBuf) -> Option<Self> {
        let options = match text.strip_prefix("pasta")? {
            "" => Vec::new(),
            rest => rest.strip_prefix(':')?.split(',').map(str::to_owned).collect(),
        };
        Some(Self { options, program })
    }
}
