//! Cgroups that systemd makes: a transient scope for each container
//! (org.freedesktop.systemd1(5), systemd.resource-control(5)).
//!
//! The D-Bus library has threads of its own, so nothing here touches the bus before the container's first process
//! exists: [`Scope::plan`] only determines names.

mod annotation;
mod bus;
mod devices;
mod gvariant;
#[cfg(test)]
mod mock;
mod name;
mod properties;
mod scope;

#[cfg(feature = "fuzzing")]
pub(crate) use self::{annotation::property, gvariant::parse, name::Unit, properties::Translator};
pub(crate) use scope::{Cgroups, Scope};
