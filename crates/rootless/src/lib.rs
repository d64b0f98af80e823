//! What an ordinary user needs to know to run containers, in code.
//!
//! [`host::Host`] holds the facts about the machine and the caller, each of which is looked up once and only when
//! it is needed. [`adapt::adapt`] changes what cannot work in a spec for this caller on this host, with a reason
//! for every change. [`idmap`] decides which ids a container gets and how its id maps are written. [`doctor`]
//! checks whether containers can run here at all.
//!
//! Nothing in this crate starts a container, writes a file or prints.
#![deny(unsafe_code)]

pub mod adapt;
pub mod doctor;
pub mod host;
pub mod idmap;

mod adaptation;
mod distribution;
mod pass;
mod passes;
