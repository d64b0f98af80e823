//! Tests each rule of the flags, on hosts that consist of plain values.
mod limits;
mod mounts;
mod namespaces;
mod network;
mod process;
mod security;
