//! The output of `--version`, in the same form as runc's, because engines parse it.

use std::fmt::Write as _;

use rootling_config::generate::OCI_VERSION;
use rootling_config::seccomp;

/// The version of the program.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The commit that it was built from, if that was a git checkout.
pub(crate) const COMMIT: Option<&str> = option_env!("ROOTLING_COMMIT");

/// Everything that follows `NAME version`.
pub(crate) fn text() -> String {
    let mut text = VERSION.to_owned();
    if let Some(commit) = COMMIT {
        let _ = write!(text, "\ncommit: {commit}");
    }
    let _ = write!(text, "\nspec: {OCI_VERSION}");
    if let Some(version) = seccomp::library_version() {
        let _ = write!(text, "\nlibseccomp: {version}");
    }
    text
}
