//! The AppArmor profile that lets a single program make user namespaces; apparmor.d(5).

use std::borrow::Cow;

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
