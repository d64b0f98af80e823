//! Turns `linux.seccomp` into a BPF program.
//!
//! OCI runtime specification, "Seccomp"; seccomp(2), `seccomp_rule_add(3)`. libseccomp compiles the profile. A short
//! program of ours is put in front of its program, which answers ENOSYS to system calls that are newer than the
//! profile (`enosys`). Compiling takes milliseconds, more than the rest of a container's start, so the result is
//! cached ([`load_or_compile`]).

mod bpf;
mod cache;
mod compile;
mod default;
mod engine;
mod enosys;
mod key;
mod names;
mod profile;
mod size;

pub use self::cache::load_or_compile;
pub use self::compile::{Program, compile, library_version, supported_flags};
pub use self::default::{default_document, default_profile};
pub use self::engine::{Conditions, ProfileError, read as read_profile};
pub use self::names::{ACTIONS, ARCHITECTURES, FLAGS, OPERATORS};
pub use self::profile::{SeccompError, check, is_off, notifies};

#[cfg(test)]
mod tests;
