//! The AppArmor profile that lets a single program make user namespaces; apparmor.d(5).

use std::borrow::Cow;
use std::ffi::OsStr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Its path, in the directory that AppArmor loads at boot.
pub const APPARMOR_FILE: &str = "/etc/apparmor.d/rootling";

/// The profile for the program at this absolute path. It confines nothing: it exists for Ubuntu's
/// `kernel.apparmor_restrict_unprivileged_userns`, which requires a profile that contains `userns`. AppArmor 4.0 is
/// the first version that knows this keyword.
pub fn apparmor_profile(program: &str) -> String {
    format!(
        "# Lets rootling make user namespaces where AppArmor restricts them; it confines nothing.\n\
         abi <abi/4.0>,\n\
         include <tunables/global>\n\n\
         profile rootling {} flags=(unconfined) {{\n  \
           userns,\n\n  \
           include if exists <local/rootling>\n\
         }}\n",
        quoted(program)
    )
}

/// The commands that give rootling its profile. `make install` and the package install the file for their own path only; for
/// a program elsewhere it must be made.
pub(crate) fn install_profile() -> String {
    let own = own_path();
    let program = own.as_deref().map_or("rootling".into(), Path::to_string_lossy);
    format!("as root: {program} profile apparmor > {APPARMOR_FILE} && apparmor_parser -r {APPARMOR_FILE}")
}

/// The path of this program, if it is rootling. One that is linked with its crates has no such command, and one that runs from
/// a copy in memory or from a view of its directory has a name that leads nowhere, or to something else.
fn own_path() -> Option<PathBuf> {
    let path =
        std::env::current_exe().ok().filter(|path| path.file_name() == Some(OsStr::new("rootling")))?;
    let identity = |path: &Path| std::fs::metadata(path).map(|meta| (meta.dev(), meta.ino())).ok();
    let own = identity(Path::new("/proc/self/exe"))?;
    (identity(&path) == Some(own)).then_some(path)
}

/// The path as a literal: quoted if it has unusual characters, with AppArmor's pattern characters escaped.
fn quoted(path: &str) -> Cow<'_, str> {
    let usual = |c: char| c.is_alphanumeric() || "/._-+".contains(c);
    if path.chars().all(usual) {
        return Cow::Borrowed(path);
    }
    let mut text = String::from('"');
    for c in path.chars() {
        if r#"\"*?[]{}"#.contains(c) {
            text.push('\\');
        }
        text.push(c);
    }
    text.push('"');
    Cow::Owned(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_of_the_program_is_taken_for_itself() {
        for (path, expected) in [
            ("/usr/bin/rootling", "/usr/bin/rootling"),
            ("/home/a b/rootling", "\"/home/a b/rootling\""),
            ("/opt/{x*}/root\"ling", "\"/opt/\\{x\\*\\}/root\\\"ling\""),
        ] {
            let text = apparmor_profile(path);
            assert!(
                text.contains(&format!("\nprofile rootling {expected} flags=(unconfined) {{\n")),
                "{text}"
            );
        }
    }
}
