//! `hook`: executes rootling-hook, as git finds its commands: beside this program, else in PATH. The runtime has nothing
//! of it.

use std::convert::Infallible;
use std::ffi::OsString;
use std::io::ErrorKind;
use std::os::unix::process::CommandExt;
use std::process::Command;

use rootling_runtime::{Error, Result};

const PROGRAM: &str = "rootling-hook";

/// Executes it with the words of this command line, but for the name of the command.
pub(crate) fn hook(args: &crate::args::Hook) -> Result<Infallible> {
    let beside =
        std::env::current_exe().ok().map(|own| own.with_file_name(PROGRAM)).filter(|path| path.is_file());
    let program = beside.unwrap_or_else(|| PROGRAM.into());
    let error = Command::new(&program).args(words(std::env::args_os(), args.words.len())).exec();
    if error.kind() == ErrorKind::NotFound {
        return Err(Error::invalid(format!(
            "there is no {PROGRAM}, neither beside this program nor in PATH: install the package or the tarball of rootling, or run \
             `make build && make install`, each of which brings it"
        )));
    }
    Err(Error::from(error).wrap(format!("{program:?}")))
}

/// The global options, which it knows as well, and what follows `hook`, of which there are `after` words.
fn words(all: impl Iterator<Item = OsString>, after: usize) -> Vec<OsString> {
    let mut words: Vec<OsString> = all.skip(1).collect();
    // Those that were taken for options of this program stand before the rest, and behind the name of the command perhaps.
    let last = words.len().saturating_sub(after);
    if let Some(at) = words[..last].iter().rposition(|word| word == "hook") {
        words.remove(at);
    }
    words
}
