//! What an ordinary user needs to run containers, put into code.
//!
//! [`host::Host`] holds the facts about the machine and the caller, each looked up once and only
//! when it is asked for. [`adapt::adapt`] takes a runtime specification and changes what cannot
//! work for this caller on this host, with a reason for every change. [`idmap`] decides which ids
//! a container gets and how its maps are written. [`doctor`] checks whether containers can run here
//! at all.
//!
//! Nothing here starts a container, writes a file or prints.
#![deny(unsafe_code)]

pub mod adapt;
pub mod doctor;
pub mod host;
pub mod idmap;

mod adaptation;
mod distribution;
mod pass;
mod passes;
