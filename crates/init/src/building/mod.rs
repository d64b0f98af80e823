//! Room 2, Building: the host is left. The root is a private one, in which no image has a say, and the image's tree is
//! reached by one descriptor. libcontainer's init works first; then the mounts, devices and masks are made, each by
//! descriptor, each path of the image looked up once.

pub(crate) mod capture;
mod complete;
mod console;
mod libcontainer;
mod paths;

pub(crate) use complete::Building;
pub(crate) use console::{DevConsole, set_up as set_up_console};
