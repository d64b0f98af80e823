//! rootling: runs OCI containers as an ordinary user.
//!
//! Only `main` prints an error and chooses the exit code.
#![forbid(unsafe_code)]

mod args;
mod commands;
mod failure;
#[cfg(test)]
mod picture;
mod version;

use std::process::ExitCode;

use rootling_cli::{caller, log, roots, terminal};

rootling_sys::without_name_service!();
rootling_sys::with_musl!();

/// The command line parser alone needs more than the smallest stack that a caller may allow.
const STACK: usize = 8 << 20;

fn main() -> ExitCode {
    caller::make_ordinary();
    // Checking is cheaper than a second stack, which few callers need.
    if caller::stack_limit() < STACK as u64 { stacker::grow(STACK, run) } else { run() }
}

fn run() -> ExitCode {
    let args = match args::parse(std::env::args_os()) {
        Ok(args) => args,
        Err(end) => return failure::end(&end),
    };
    if let Err(error) = caller::check_not_set_id() {
        return failure::report(&error, None);
    }
    // Before we open anything, since our descriptors could be taken for ones to be preserved.
    if let Err(error) = commands::check_preserved(&args.command) {
        return failure::report(&error, Some(&args.command));
    }
    if let Err(error) = log::start(&args.global) {
        return failure::report(&error, None);
    }
    match commands::execute(&args) {
        Ok(code) => code,
        Err(error) => failure::report(&error, Some(&args.command)),
    }
}
