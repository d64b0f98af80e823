//! Room 3, Container: the root is the container's. The only open descriptors are the channel to the runtime, the socket
//! on which a created container waits, and what the program keeps. From here on paths belong to the image, and lead
//! nowhere else.

mod denied;
pub(crate) mod identity;
mod obstacle;
mod prepare;
mod program;
mod ready;

pub(crate) use identity::set_apparmor_profile;
pub(crate) use obstacle::Obstacle;
pub(crate) use prepare::{Container, Joined};
pub(crate) use ready::Ready;
