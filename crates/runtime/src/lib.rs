//! See the README of the workspace.
#![deny(unsafe_code)]
