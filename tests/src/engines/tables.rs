//! The scenarios. Each table is a list of lines in their order; [`super::Step`] says what a line is. rustfmt skips them, since it
//! would give each name and each command a line of its own.

pub(super) mod containerd;
pub(super) mod deb;
pub(super) mod docker;
pub(super) mod lifecycle;
pub(super) mod nested;
pub(super) mod podman;
pub(super) mod run;
pub(super) mod together;
