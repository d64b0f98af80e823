//! The specs that `rootling spec` writes.
//!
//! [`default_spec_on`] and [`rootless_spec_on`] are what `runc spec` writes. [`build`] turns one of them into what
//! the flags ask for, with one module for each subject. Facts about the host come in as plain values ([`Facts`]) and
//! through one interface to its files ([`Files`]), so that table-driven tests can check each rule.

mod accounts;
mod base;
mod build;
mod capabilities;
mod cgroup;
mod choices;
mod devices;
mod error;
mod facts;
mod limits;
mod mounts;
mod namespaces;
mod network;
mod process;
mod propagation;
mod publish;
mod request;
mod rlimits;
mod security;
mod size;
mod words;

pub use accounts::{Accounts, User, user};
pub use base::{MASKED_PATHS, OCI_VERSION, READONLY_PATHS, default_spec_on, rootless_spec_on};
pub use build::{Generated, build};
pub use cgroup::{ManagerFacts, manager};
pub use choices::{Mode, NamespaceChoice, Namespaces, Pasta, UserNamespace};
pub use error::GenerateError;
pub use facts::{Facts, Files, Node, NodeKind, System};
pub use network::{BundleFile, NAME_SERVER};
pub use process::environment;
pub use publish::{Ports, Protocol, PublishError, PublishedPort};
pub use request::{LimitFlags, Request};
pub use size::size;

#[cfg(test)]
mod fixture;
#[cfg(test)]
mod tests;
