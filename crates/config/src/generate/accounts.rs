//! `--user`: looks up names in the image's own etc/passwd and etc/group.

use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::fcntl::OFlag;
use rootling_sys::accounts::{Account, entries};
use rootling_sys::file::{OPEN_FLAGS, contents};
use rootling_sys::mount::open_in_root;

use super::error::{GenerateError, wrong};

/// No more than this is read from a file of the image, in bytes.
const MOST: u64 = 4 << 20;

/// The contents of the image's account files; empty if it has none.
#[derive(Clone, Debug, Default)]
pub struct Accounts {
    /// passwd(5).
    pub passwd: String,
    /// group(5).
    pub group: String,
}

/// The user that the process runs as.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct User {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// The groups that the image lists the user in, and the user's own: a set-group-id program must not lose that
    /// one.
    pub groups: Vec<u32>,
}

impl Accounts {
    /// Reads the files of the image at `rootfs`. Links are followed only inside it, so that an image cannot make us
    /// read a file of the host.
    pub fn read(rootfs: &Path) -> Self {
        let mut only_to_begin_at = File::options();
        only_to_begin_at.read(true).custom_flags((OFlag::O_PATH | OFlag::O_DIRECTORY).bits());
        let root = only_to_begin_at.open(rootfs).ok();
        let text = |name: &str| {
            let file = open_in_root(root.as_ref()?.as_fd(), Path::new(name), OPEN_FLAGS).ok()?;
            let text = contents(file, MOST).ok()?;
            Some(String::from_utf8_lossy(&text).into_owned())
        };
        Self { passwd: text("etc/passwd").unwrap_or_default(), group: text("etc/group").unwrap_or_default() }
    }

    /// The first user for which `wanted` is true, and its gid.
    fn user(&self, wanted: impl Fn(&Account<'_>) -> bool) -> Option<(Account<'_>, u32)> {
        entries(&self.passwd).filter(wanted).find_map(|user| Some((user, user.gid()?)))
    }
}

/// Parses `UID`, `UID:GID`, `USER`, `USER:GROUP` or a mixture. Without a group, the user's own group in the image is
/// used, with its other groups; for a user that the image does not have it is group 0, as in Docker.
///
/// # Errors
/// [`GenerateError::Flag`] for any other form, and for a name that the image does not have.
pub fn user(text: &str, accounts: &Accounts) -> Result<User, GenerateError> {
    let (user, group) = match text.split_once(':') {
        Some((user, group)) => (user, Some(group)),
        None => (text, None),
    };
    if user.is_empty() || group.is_some_and(|group| group.is_empty() || group.contains(':')) {
        return Err(wrong("user", text, "is not of the form UID, UID:GID, USER or USER:GROUP"));
    }
    let number = |id: &str| id.parse::<u32>().ok().filter(|id| *id != u32::MAX);
    let known = match number(user) {
        Some(uid) => accounts.user(|known| known.id == uid),
        None => accounts.user(|known| known.name == user),
    };
    let uid = known.map(|(user, _)| user.id).or_else(|| number(user));
    let uid = uid.ok_or_else(|| unknown(text, user, "user", "etc/passwd"))?;
    if let Some(group) = group {
        let by_name = || entries(&accounts.group).find(|known| known.name == group).map(|known| known.id);
        let gid = number(group).or_else(by_name).ok_or_else(|| unknown(text, group, "group", "etc/group"))?;
        return Ok(User { uid, gid, groups: vec![gid] });
    }
    let gid = known.map_or(0, |(_, gid)| gid);
    let has =
        |group: &Account<'_>| known.is_some_and(|(user, _)| group.members().any(|one| one == user.name));
    let of_others = entries(&accounts.group).filter(has).map(|group| group.id);
    let mut groups: Vec<_> = of_others.chain([gid]).collect();
    groups.sort_unstable();
    groups.dedup();
    Ok(User { uid, gid, groups })
}

fn unknown(text: &str, name: &str, what: &str, file: &str) -> GenerateError {
    wrong(
        "user",
        text,
        format!("no {what} {name:?} in {file} of the root file system; give a number, or add it"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image() -> Accounts {
        Accounts {
            passwd: "1001:x:0:0::/:/bin/sh\nroot:x:0:0::/root:/bin/sh\nwww:x:33:34::/:/bin/sh\nbroken\n"
                .into(),
            group: "root:x:0:www\nwww:x:34:\nextra:x:50:a,www\nother:x:51:wwwx\n".into(),
        }
    }

    #[test]
    fn a_user_is_named_or_numbered() {
        for (text, uid, gid, groups) in [
            ("0", 0, 0, vec![0]),
            ("root", 0, 0, vec![0]),
            ("www", 33, 34, vec![0, 34, 50]),
            ("33", 33, 34, vec![0, 34, 50]),
            ("www:extra", 33, 50, vec![50]),
            ("www:7", 33, 7, vec![7]),
            ("1000", 1000, 0, vec![0]),
            ("1000:1000", 1000, 1000, vec![1000]),
            // A name that consists of digits is a number (CVE-2016-3697).
            ("1001", 1001, 0, vec![0]),
        ] {
            assert_eq!(user(text, &image()).expect(text), User { uid, gid, groups }, "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in ["", ":", "a:", ":b", "a:b:c"] {
            let error = user(text, &image()).expect_err(text).to_string();
            assert!(error.contains("is not of the form UID, UID:GID, USER or USER:GROUP"), "{error}");
        }
        for (text, expected) in [
            ("nobody", "--user \"nobody\": no user \"nobody\" in etc/passwd of the root file system"),
            ("www:nogroup", "--user \"www:nogroup\": no group \"nogroup\" in etc/group"),
            ("-1", "--user \"-1\": no user \"-1\""),
            ("4294967295", "--user \"4294967295\": no user"),
        ] {
            let error = user(text, &image()).expect_err(text).to_string();
            assert!(error.starts_with(expected), "{error}");
        }
    }

    #[test]
    fn a_link_of_the_image_stays_inside_of_it() {
        let rootfs = tempfile::tempdir().expect("a directory");
        let (etc, outside) = (rootfs.path().join("etc"), tempfile::tempdir().expect("a directory"));
        std::fs::create_dir(&etc).expect("etc");
        std::fs::write(outside.path().join("secret"), "www:x:1:1::/:\n").expect("secret");
        std::os::unix::fs::symlink(outside.path().join("secret"), etc.join("passwd")).expect("link");
        std::fs::write(etc.join("real"), "root:x:0:\n").expect("group");
        std::os::unix::fs::symlink("/etc/real", etc.join("group")).expect("link");
        let accounts = Accounts::read(rootfs.path());
        assert_eq!((accounts.passwd.as_str(), accounts.group.as_str()), ("", "root:x:0:\n"));
    }
}
