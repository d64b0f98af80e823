//! `profile`: prints what an installation has in addition to the program, from the definitions that the program
//! itself uses.

use std::path::{Path, PathBuf};

use rootling_config::seccomp;
use rootling_rootless::host::apparmor_profile;
use rootling_runtime::{Error, Result};

use crate::args::{Profile, ProfileKind};
use crate::terminal::print;

pub(crate) fn profile(args: &Profile) -> Result<()> {
    match (args.kind, &args.program) {
        (ProfileKind::Seccomp, None) => print(&format!("{:#}\n", seccomp::default_document())),
        (ProfileKind::Seccomp, Some(_)) => Err(Error::invalid(
            "--program: a seccomp profile is not for a single program: leave it out".to_owned(),
        )),
        (ProfileKind::Apparmor, program) => {
            let program = program.clone().map_or_else(own_path, Ok)?;
            print(&apparmor_profile(check(&program)?))
        }
    }
}

fn own_path() -> Result<PathBuf> {
    std::env::current_exe().map_err(|error| Error::from(error).wrap("where this program is: use --program"))
}

/// The path as text, by which alone AppArmor identifies a program.
fn check(program: &Path) -> Result<&str> {
    let text = program.to_str().filter(|text| text.starts_with('/') && !text.contains(char::is_control));
    text.ok_or_else(|| {
        Error::invalid(format!(
            "--program {program:?} is not an absolute path of printable text: give the whole path"
        ))
    })
}
