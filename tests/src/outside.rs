//! A directory that no container has: what a hostile image would like to get changed.

use std::fs;
use std::os::unix::fs::{chown, lchown, symlink};
use std::path::{Path, PathBuf};

use crate::snapshot::{self, Snapshot};
use crate::{Account, Test};

/// A directory of the account beside the bundles, with names that a runtime touches in a root file system.
#[derive(Debug)]
pub struct Outside {
    dir: PathBuf,
    account: Account,
    before: Snapshot,
}

impl Outside {
    /// Makes it. It holds a `ptmx`, which libcontainer would replace by a link, and has no other name in the
    /// way of what is made in a `/dev`.
    pub fn like_dev(test: &Test) -> Self {
        Self::with(test, &["pts", "shm"], &["ptmx", "kept"])
    }

    /// Makes it with nearly every name that is mounted on, covered or read.
    pub fn full(test: &Test) -> Self {
        let directories = ["pts", "shm", "mqueue", "fs/cgroup", "sys/kernel", "self", "work", "firmware"];
        let files = ["null", "ptmx", "console", "passwd", "group", "kcore", "timer_list", "file"];
        Self::with(test, &directories, &files)
    }

    /// Makes it with these directories and files.
    pub fn with(test: &Test, directories: &[&str], files: &[&str]) -> Self {
        let dir = test.path(&format!("outside{}", test.next_serial()));
        for name in directories {
            fs::create_dir_all(dir.join(name)).expect("make a directory outside");
        }
        for name in files {
            fs::write(dir.join(name), format!("{name} of outside\n")).expect("make a file outside");
        }
        let account = test.account().clone();
        for path in snapshot::take(&dir).keys() {
            chown(path, Some(account.uid), Some(account.gid)).expect("chown outside");
        }
        let before = snapshot::take(&dir);
        Self { dir, account, before }
    }

    /// Where it is.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The text of its path.
    pub fn text(&self) -> &str {
        self.dir.to_str().expect("a path in UTF-8")
    }

    /// A link to it that goes up from a directory of the root file system of a bundle, as far as there is
    /// something above.
    pub fn relative(&self) -> String {
        format!("{}{}", "../".repeat(16), self.text().trim_start_matches('/'))
    }

    /// Replaces the text of a file in it.
    #[must_use]
    pub fn file(mut self, name: &str, text: &str) -> Self {
        let path = self.dir.join(name);
        fs::write(&path, text).expect("write a file outside");
        self.own(&path);
        self
    }

    /// Makes a link in it.
    #[must_use]
    pub fn link(mut self, name: &str, target: &Path) -> Self {
        let path = self.dir.join(name);
        symlink(target, &path).expect("make a link outside");
        self.own(&path);
        self
    }

    fn own(&mut self, path: &Path) {
        lchown(path, Some(self.account.uid), Some(self.account.gid)).expect("chown outside");
        self.before = snapshot::take(&self.dir);
    }

    /// What differs from when it was made, or from when this was called the last time.
    pub fn changes(&mut self) -> Vec<String> {
        let changes = snapshot::changes(&self.dir, &self.before);
        self.before = snapshot::take(&self.dir);
        changes
    }

    /// Asserts that it is as it was made; `context` says what ran in between.
    pub fn assert_unchanged(&self, context: &dyn std::fmt::Display) {
        snapshot::assert_unchanged(&self.dir, &self.before, context);
    }
}
