//! The child's side of a launch and of `exec`: from the clone to execve(2).
//!
//! The code is organised as rooms, one folder or file each, which are passed through in this order:
//!
//! | room | folder | what is in reach |
//! |---|---|---|
//! | Host | [`host`], [`exec`] | the caller's file systems; the image is looked up only below a descriptor |
//! | Building | `building` | a private, empty root; the image's tree and all sources, by descriptor |
//! | Container | `container` | the container's root; the channel, and what the program keeps |
//! | Sealed | `sealed` | the arguments of execve(2), and where its failure is reported |
//!
//! `mounting` is what two of the rooms use to mount. A room is a type, and its fields are what it may hold. A door
//! consumes one room and returns the next; whatever is not handed through is closed (`doors`). This crate knows neither
//! the store of containers nor their cgroups, so it cannot hold what a container must not get. docs/security.md says
//! which property each room has, and which test shows it.

pub mod attributes;
pub mod blueprint;
mod building;
pub mod channel;
mod container;
mod doors;
pub mod error;
pub mod exec;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
pub mod hooks;
pub mod host;
pub mod idmap;
mod log;
mod mounting;
mod ordinary;
mod roots;
pub mod scheduling;
mod sealed;

pub use building::capture::errors_of;
pub use doors::Held;
pub use host::sources::open_source;
pub use mounting::devices::{kind as device_kind, number as device_number};
