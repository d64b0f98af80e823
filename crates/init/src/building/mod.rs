//! Room 2, Building: the host has been left. The root is a private one that no image can influence, and the image's
//! tree is reached through a single descriptor. First libcontainer's init does its work. Then the mounts, devices and
//! masks are made, all of them by descriptor, and each path of the image is looked up only once.

pub(crate) mod capture;
mod complete;
mod console;
mod libcontainer;
mod paths;

pub(crate) use complete::Building;
pub(crate) use console::{DevConsole, set_up as set_up_console};
