//! `image`: executes rootling-image, which is looked up as git does for its commands: next to this program, or else
//! in PATH. The runtime contains none of it.

use std::convert::Infallible;
use std::ffi::OsString;
use std::io::ErrorKind;
use std::os::unix::process::CommandExt;
use std::process::Command;

use rootling_runtime::{Error, Result};

const PROGRAM: &str = "rootling-image";

/// Executes it with the words of this command line, except for the name of the command.
pub(crate) fn image(args: &crate::args::Image) -> Result<Infallible> {
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

/// The global options, which it accepts as well, and the `after` words that follow `image`.
fn words(all: impl Iterator<Item = OsString>, after: usize) -> Vec<OsString> {
    let mut words: Vec<OsString> = all.skip(1).collect();
    // Words that were parsed as options of this program come before the rest, and may also follow the name of the
    // command.
    let last = words.len().saturating_sub(after);
    if let Some(at) = words[..last].iter().rposition(|word| word == "image") {
        words.remove(at);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_words_but_the_name_of_the_command_are_handed_on() {
        for (line, after, wanted) in [
            ("rootling image unpack image dir", 3, "unpack image dir"),
            ("rootling --root image image list image", 2, "--root image list image"),
            ("rootling image", 0, ""),
            ("rootling image --debug list d", 2, "--debug list d"),
        ] {
            let found = words(line.split(' ').map(OsString::from), after);
            assert_eq!(found.join(&OsString::from(" ")), wanted, "{line}");
        }
    }
}
