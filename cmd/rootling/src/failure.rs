//! How a failure is reported: one line for people, a JSON line for engines, and an exit code.

use std::io::Write;
use std::process::ExitCode;

use rootling_runtime::{Error, ErrorKind};

use crate::args::{Command, End};
use crate::log;

/// Reports the error and chooses the exit code.
pub(crate) fn report(error: &Error, command: Option<&Command>) -> ExitCode {
    let message = match command {
        Some(command) => match command.id() {
            Some(id) => format!("{} {:?}: {error}", command.name(), shorten(id)),
            None => format!("{}: {error}", command.name()),
        },
        None => error.to_string(),
    };
    let message = message.replace('\n', " ");
    log::failure(&message);
    let run = matches!(command, Some(Command::Run(_)));
    if matches!(command, Some(Command::Exec(_))) {
        // As in runc, a failure of ours can be distinguished from those of most programs.
        return ExitCode::from(255);
    }
    ExitCode::from(match error.kind() {
        // As in a shell: POSIX.1, "Exit Status for Commands".
        ErrorKind::ProgramNotFound if run => 127,
        ErrorKind::ProgramNotExecutable if run => 126,
        ErrorKind::Interrupted(signal) => u8::try_from(128 + signal).unwrap_or(1),
        _ => 1,
    })
}

/// Shortens an id, which is what the caller typed and can be of any length.
fn shorten(id: &str) -> String {
    if id.chars().count() <= 64 { id.to_owned() } else { id.chars().take(61).chain("...".chars()).collect() }
}

/// Prints the answer to a command line without a command, or what is wrong with it.
pub(crate) fn end(end: &End) -> ExitCode {
    match end {
        End::Answer(text) => {
            // A reader that has closed the pipe has seen enough.
            let _ = std::io::stdout().write_all(text.as_bytes());
            ExitCode::SUCCESS
        }
        End::Wrong(message, global) => {
            // That the log cannot be written is not the primary problem.
            let _ = global.as_ref().map(log::start);
            log::failure(message);
            ExitCode::FAILURE
        }
    }
}
