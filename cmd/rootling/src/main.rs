//! rootling: runs OCI containers as an ordinary user.
//!
//! `main` is the only place that prints an error and picks the exit code.
#![forbid(unsafe_code)]

mod args;
mod commands;
mod failure;
mod log;
mod roots;
mod terminal;
mod version;

use std::process::ExitCode;

fn main() -> ExitCode {
    let args = match args::parse(std::env::args_os()) {
        Ok(args) => args,
        Err(end) => return end,
    };
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
