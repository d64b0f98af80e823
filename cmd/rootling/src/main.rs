//! rootling: runs OCI containers as an ordinary user.
//!
//! `main` is the only place that prints an error and picks the exit code.
#![forbid(unsafe_code)]

mod args;
mod commands;
mod failure;
#[cfg(test)]
mod picture;
mod version;

use std::process::ExitCode;

use rootling_cli::{caller, log, roots, terminal};

/// The parser of the command line alone takes more than the least that a caller may allow.
const STACK: usize = 8 << 20;

fn main() -> ExitCode {
    caller::make_ordinary();
    // Looking is cheaper than a second stack, which few callers need.
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
    // Before anything of ours is open: its descriptor could be taken for one that is to be preserved.
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
