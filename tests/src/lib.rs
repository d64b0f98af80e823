//! The harness of the integration tests: real containers, for the ordinary user and, if root started the tests, for
//! root as well.
//!
//! A test is a function that takes a [`Test`]. At the top of a file, the macros [`both!`], [`user!`] and [`root!`]
//! list which of them run for whom. Everything that a test makes carries its marker (see [`Test::marker`]), and
//! when it is over nothing with that marker may be left. Anything that goes wrong in the harness panics, and so
//! fails the test.
#![allow(clippy::missing_panics_doc)]

mod able;
mod account;
pub mod apparmor;
pub mod bounded;
mod bundle;
pub mod calls;
pub mod cgroups;
pub mod chart;
mod command;
pub mod docs;
pub mod engines;
mod exchange;
pub mod fault;
mod fixture;
pub mod hunt;
pub mod image;
pub mod leaks;
pub mod mountinfo;
mod outside;
pub mod race;
mod random;
pub mod registry;
pub mod selinux;
pub mod servers;
mod skip;
pub mod snapshot;
mod socket;
pub mod sys;
pub mod terminal;
mod variation;
pub mod vm;
mod wait;

pub use able::{can_trace, has_criu, has_linux, has_network_program, has_systemd};
pub use account::{Account, Who, source};
pub use bundle::{Bundle, Ids};
pub use command::{Cmd, Output, Running};
pub use exchange::{Exchange, Held};
pub use fixture::{Test, with};
pub use outside::Outside;
pub use random::{Random, Shown, seed};
pub use skip::skip;
pub use socket::Socket;
pub use variation::Variation;
pub use wait::{LIMIT, attempts, eventually, repeats};

/// Runs each of the functions as the ordinary user and, if root started the tests, as root.
#[macro_export]
macro_rules! both {
    ($($name:ident),+ $(,)?) => { $(
        mod $name {
            #[test]
            fn user() {
                $crate::with($crate::Who::User, super::$name);
            }
            #[test]
            fn root() {
                $crate::with($crate::Who::Root, super::$name);
            }
        }
    )+ };
}

/// Runs each of the functions as the ordinary user.
#[macro_export]
macro_rules! user {
    ($($name:ident),+ $(,)?) => { $(
        mod $name {
            #[test]
            fn user() {
                $crate::with($crate::Who::User, super::$name);
            }
        }
    )+ };
}

/// Runs each of the functions as root, if root started the tests.
#[macro_export]
macro_rules! root {
    ($($name:ident),+ $(,)?) => { $(
        mod $name {
            #[test]
            fn root() {
                $crate::with($crate::Who::Root, super::$name);
            }
        }
    )+ };
}
