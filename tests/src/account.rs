//! The accounts for which tests run.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use nix::unistd::{getegid, geteuid};

use crate::Ids;

/// The two callers that rootling serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// An ordinary user: the caller, or the test user if root started the tests.
    User,
    /// Root, if root started the tests.
    Root,
}

/// The account as which commands run.
#[derive(Clone, Debug)]
pub struct Account {
    /// Login name.
    pub name: String,
    /// User id.
    pub uid: u32,
    /// Primary group id.
    pub gid: u32,
    /// Home directory.
    pub home: PathBuf,
    /// `XDG_RUNTIME_DIR`, if there is one.
    pub runtime_dir: Option<PathBuf>,
}

impl Account {
    /// The account for `who`, or the reason why there is none here. Makes the test user if it does not exist.
    pub fn of(who: Who) -> Result<Self, String> {
        let started_as_root = geteuid().is_root();
        match who {
            Who::Root if !started_as_root => Err("needs root, and root did not start the tests".into()),
            Who::Root => Ok(Self::from_passwd("0")),
            Who::User if !started_as_root => Ok(Self::from_passwd(&geteuid().to_string())),
            Who::User => Ok(test_user().clone()),
        }
    }

    /// Parses /etc/passwd itself, since the static C library of the tests has no name service.
    pub(crate) fn from_passwd(name_or_uid: &str) -> Self {
        let passwd = fs::read_to_string("/etc/passwd").expect("read /etc/passwd");
        let entry = passwd
            .lines()
            .map(|line| line.split(':').collect::<Vec<_>>())
            .find(|fields| fields.len() > 5 && (fields[0] == name_or_uid || fields[2] == name_or_uid));
        let Some(fields) = entry else {
            // A user of a directory service.
            return Self {
                name: name_or_uid.to_owned(),
                uid: geteuid().as_raw(),
                gid: getegid().as_raw(),
                home: std::env::var_os("HOME").map_or_else(|| PathBuf::from("/"), PathBuf::from),
                runtime_dir: std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from),
            };
        };
        let uid = fields[2].parse().expect("uid in /etc/passwd");
        let of_session = PathBuf::from(format!("/run/user/{uid}"));
        Self {
            name: fields[0].to_owned(),
            uid,
            gid: fields[3].parse().expect("gid in /etc/passwd"),
            home: PathBuf::from(fields[5]),
            runtime_dir: of_session.is_dir().then_some(of_session),
        }
    }
}

impl Account {
    /// The caller's own ids, followed by the first range in /etc/subuid and /etc/subgid; `None` if there is none.
    pub fn ranges(&self) -> Option<Ids> {
        let ((uid, uids), (gid, gids)) = (self.subordinate("/etc/subuid")?, self.subordinate("/etc/subgid")?);
        Some(Ids::Ranges { uid, gid, count: uids.min(gids) })
    }

    /// The first range in subuid(5) or subgid(5), as start and count.
    fn subordinate(&self, file: &str) -> Option<(u32, u32)> {
        fs::read_to_string(file).ok()?.lines().find_map(|line| {
            let fields: Vec<_> = line.split(':').collect();
            let ours = fields.len() == 3 && (fields[0] == self.name || fields[0] == self.uid.to_string());
            if ours { Some((fields[1].parse().ok()?, fields[2].parse().ok()?)) } else { None }
        })
    }
}

/// The test user, made by hack/user.sh when it does not exist.
fn test_user() -> &'static Account {
    static USER: OnceLock<Account> = OnceLock::new();
    USER.get_or_init(|| {
        let made = Command::new(source("hack/user.sh")).output().expect("start hack/user.sh");
        assert!(made.status.success(), "hack/user.sh: {}", String::from_utf8_lossy(&made.stderr));
        Account::from_passwd(String::from_utf8_lossy(&made.stdout).trim())
    })
}

/// A file of the project. `ROOTLING_SOURCE` says where the files are on a machine other than the one that built the
/// tests.
#[must_use]
pub fn source(path: &str) -> PathBuf {
    let built_from = || Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    std::env::var_os("ROOTLING_SOURCE").map_or_else(built_from, PathBuf::from).join(path)
}
