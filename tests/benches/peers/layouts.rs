//! How a program is laid out in the page cache, which can cost more than most changes to it gain.
//!
//! A page of a file is mapped at the first access to it, and the kernel also maps what is next to it in the cache:
//! much if that is one large folio, and little if each page is separate. All of this occurs on users' machines.

use std::cell::Cell;
use std::fs::{self, File};
use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};

/// A way in which a file came into the page cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layout {
    /// It was just copied, as after an installation.
    Copied,
    /// It was read from disk, as after a boot.
    Read,
    /// It was written page by page, so that no two pages belong to the same folio, as happens if memory is
    /// fragmented.
    Pieces,
}

impl Layout {
    pub(crate) const ALL: [Self; 3] = [Self::Copied, Self::Read, Self::Pieces];

    /// Its name in the tables.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Copied => "copied",
            Self::Read => "read",
            Self::Pieces => "pieces",
        }
    }
}

/// A program in each layout.
pub(crate) struct Program {
    copies: [PathBuf; Layout::ALL.len()],
    layout: Cell<Layout>,
}

impl Program {
    /// Copies a program into directories below `work`, under its own name, if that has not been done yet. If root
    /// does it, the copies are root's, as those of an installed program: one that belongs to the caller is copied
    /// into memory by each start (docs/security.md), which is not what is to be compared.
    pub(crate) fn copied(program: &Path, work: &Path) -> Self {
        let name = program.file_name().expect("the name of a program");
        let copies = Layout::ALL.map(|layout| {
            let directory = work.join("programs").join(layout.name());
            fs::create_dir_all(&directory).expect("make a directory for programs");
            let copy = directory.join(name);
            if !copy.exists() {
                lay(program, &copy, layout);
            }
            copy
        });
        Self { copies, layout: Cell::new(Layout::Copied) }
    }

    /// Chooses what is started from now on.
    pub(crate) fn choose(&self, layout: Layout) {
        self.layout.set(layout);
    }

    /// The path of the chosen copy.
    pub(crate) fn path(&self) -> &Path {
        &self.copies[self.layout.get() as usize]
    }
}

fn lay(from: &Path, to: &Path, layout: Layout) {
    match layout {
        Layout::Copied => drop(fs::copy(from, to).expect("copy a program")),
        Layout::Read => {
            fs::copy(from, to).expect("copy a program");
            let file = File::open(to).expect("open the copy");
            // Only pages that have been written to disk can be dropped: posix_fadvise(2).
            file.sync_all().expect("write the copy to disk");
            posix_fadvise(file.as_raw_fd(), 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED)
                .expect("drop the copy from the page cache");
        }
        Layout::Pieces => {
            let content = fs::read(from).expect("read a program");
            let mut file = File::create(to).expect("create a copy");
            for page in content.chunks(4096) {
                file.write_all(page).expect("write a page");
            }
            drop(file);
            fs::set_permissions(to, fs::Permissions::from_mode(0o755)).expect("make it a program");
        }
    }
}
