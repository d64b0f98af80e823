//! rootling-image: makes bundles from images, as `rootling image`.
//!
//! Only `main` prints an error and chooses the exit code.
#![forbid(unsafe_code)]

mod args;
mod commands;

use std::process::ExitCode;

use rootling_cli::{caller, log};
use rootling_image::{Error, ErrorKind};

rootling_sys::without_name_service!();

fn main() -> ExitCode {
    caller::make_ordinary();
    rootling_sys::process::ignore_file_size_signal();
    let cli = match args::parse(std::env::args_os()) {
        Ok(cli) => cli,
        Err(end) => return end.show(),
    };
    let result = caller::check_not_set_id()
        .and_then(|()| log::start(&cli.global))
        .and_then(|()| commands::execute(&cli));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => report(&error, cli.command.name()),
    }
}

fn report(error: &Error, command: &str) -> ExitCode {
    log::failure(&format!("image {command}: {error}"));
    ExitCode::from(match error.kind() {
        // As in a shell: POSIX.1, "Exit Status for Commands".
        ErrorKind::Interrupted(signal) => u8::try_from(128 + signal).unwrap_or(1),
        _ => 1,
    })
}
