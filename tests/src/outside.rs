//! A directory that no container has, which a hostile image may try to get changed.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::{lchown, symlink};
use std::path::{Path, PathBuf};

use crate::snapshot::{self, Snapshot};
use crate::{Account, Test};

/// A directory of the account, next to the bundles.
#[derive(Debug)]
pub struct Outside {
    dir: PathBuf,
    account: Account,
    directories: Vec<String>,
    files: BTreeMap<String, String>,
    links: BTreeMap<String, PathBuf>,
    before: Snapshot,
}

impl Outside {
    /// Makes it with a `ptmx`, which libcontainer would replace with a link, and with no other name that is in the
    /// way of what is made in a `/dev`.
    pub fn like_dev(test: &Test) -> Self {
        Self::with(test, &["pts", "shm"], &["ptmx", "kept"])
    }

    /// Makes it with nearly every name that is mounted on, covered or read in a root file system.
    pub fn full(test: &Test) -> Self {
        let directories = ["pts", "shm", "mqueue", "fs/cgroup", "sys/kernel", "self", "work", "firmware"];
        let files = ["null", "ptmx", "console", "passwd", "group", "kcore", "timer_list", "file"];
        Self::with(test, &directories, &files)
    }

    /// Makes it with these directories and files.
    pub fn with(test: &Test, directories: &[&str], files: &[&str]) -> Self {
        let content = |name: &&str| ((*name).to_owned(), format!("{name} of outside\n"));
        let mut outside = Self {
            dir: test.path(&format!("outside{}", test.next_serial())),
            account: test.account().clone(),
            directories: directories.iter().map(|&name| name.to_owned()).collect(),
            files: files.iter().map(content).collect(),
            links: BTreeMap::new(),
            before: Snapshot::new(),
        };
        outside.make();
        outside
    }

    /// Replaces the contents of a file in it.
    #[must_use]
    pub fn file(mut self, name: &str, text: &str) -> Self {
        self.files.insert(name.to_owned(), text.to_owned());
        self.remake();
        self
    }

    /// Makes a link in it.
    #[must_use]
    pub fn link(mut self, name: &str, target: &Path) -> Self {
        self.links.insert(name.to_owned(), target.to_owned());
        self.remake();
        self
    }

    fn remake(&mut self) {
        fs::remove_dir_all(&self.dir).expect("remove what lies outside");
        self.make();
    }

    fn make(&mut self) {
        fs::create_dir(&self.dir).expect("make a directory outside");
        for name in &self.directories {
            fs::create_dir_all(self.dir.join(name)).expect("make a directory outside");
        }
        for (name, text) in &self.files {
            fs::write(self.dir.join(name), text).expect("make a file outside");
        }
        for (name, target) in &self.links {
            symlink(target, self.dir.join(name)).expect("make a link outside");
        }
        for path in snapshot::take(&self.dir).keys() {
            lchown(path, Some(self.account.uid), Some(self.account.gid)).expect("chown outside");
        }
        self.before = snapshot::take(&self.dir);
    }

    /// Its name, which no other file of the test has.
    pub fn name(&self) -> &OsStr {
        self.dir.file_name().expect("it has a name")
    }

    /// Its path.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Its path as text.
    pub fn text(&self) -> &str {
        self.dir.to_str().expect("a path in UTF-8")
    }

    /// A link target that leads to it from a root file system, going up as far as possible.
    pub fn relative(&self) -> String {
        format!("{}{}", "../".repeat(16), self.text().trim_start_matches('/'))
    }

    /// Whether anything in it differs from when it was made. If so, it is made anew.
    pub fn was_changed(&mut self) -> bool {
        let changed = !snapshot::changes(&self.dir, &self.before).is_empty();
        if changed {
            self.remake();
        }
        changed
    }

    /// Asserts that it is as it was made; `context` says what ran in between.
    pub fn assert_unchanged(&self, context: &dyn std::fmt::Display) {
        snapshot::assert_unchanged(&self.dir, &self.before, context);
    }
}
