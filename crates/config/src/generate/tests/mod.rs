//! Each rule of the flags, on hosts made of plain values.
mod limits;
mod mounts;
mod namespaces;
mod process;
mod security;
