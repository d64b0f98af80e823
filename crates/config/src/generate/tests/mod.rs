//! Each rule of the flags, on hosts made of plain values.
mod limits;
mod mounts;
mod namespaces;
mod network;
mod process;
mod security;
