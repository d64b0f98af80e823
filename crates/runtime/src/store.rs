//! The state directories: one for each container, below a directory that only the user can write.
//!
//! `mkdir` decides which of two creators wins. The creator holds a lock on the directory until the
//! container is complete, so that a half-made one and one that is being made can be told apart
//! even after the creator was killed. Files are replaced whole, by rename.

mod root;

use std::fs;
use std::io::Write;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{AtFlags, FlockArg, OFlag, ResolveFlag};
use nix::sys::stat::{Mode, mkdirat};
use nix::unistd::{UnlinkatFlags, unlinkat};
use rootling_config::id::ContainerId;

use self::root::Place;
use crate::error::{Context, Error, ErrorKind, Result, of_cgroup};
use crate::state::{Record, Recovery, Status};
use rootling_sys as sys;
use rootling_sys::mount::openat2;

/// What `exec` needs of the container.
pub(crate) const PROCESS: &str = "process.json";
/// Its compiled filter, as seccomp(2) takes it.
pub(crate) const FILTER: &str = "seccomp.bpf";
/// Where the container tells that it is ready, and the socket in there.
pub(crate) const NOTIFY: &str = "notify";
pub(crate) const NOTIFY_SOCKET: &str = "notify.sock";
const RECORD: &str = "state.json";
/// What it takes to end the container, for when the record is damaged.
const RECOVERY: &str = "recovery";
/// The same before the container is complete.
const UNCOMMITTED: &str = "recovery.new";
/// The socket on which a created container waits for its start.
const START: &str = "start.sock";

/// More than this of a file is not read; in bytes. A filter has at most 32 KiB, a record some more than config.json's
/// hooks and annotations.
const MOST: u64 = 2 * rootling_config::load::MOST;
/// Of the directories: nobody else may as much as pass, to the sockets in there. What a container is to have of them is
/// bound into it.
const MODE: Mode = Mode::S_IRWXU;

/// Where the state of containers is kept (`--root`).
#[derive(Clone, Debug)]
pub struct Store {
    place: Place,
}

/// The state directory of one container.
pub struct Slot {
    id: ContainerId,
    path: PathBuf,
    /// What it is in.
    root: Arc<OwnedFd>,
    dir: OwnedFd,
    /// Whether the lock on it is ours.
    ours: Arc<AtomicBool>,
}

/// Keeps a container from being removed, by the lock on its directory that any number of these may have.
pub(crate) struct Held<'a>(&'a Slot);

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.unlock();
    }
}

/// How often to look for the record in a directory that nobody has locked, which may have been made this moment.
const LOOKS: u32 = 10;
/// How long somebody may look whether a directory is locked.
const LOOK: Duration = Duration::from_secs(10);

/// One line of [`Store::list`].
pub enum Listed {
    /// A container with its record.
    Container(Slot, Box<Record>),
    /// A directory whose record is missing or damaged, and what is wrong with it.
    Damaged(String, Error),
}

impl Store {
    /// A store in a directory that is the caller's alone. It need not exist yet.
    pub fn own(root: impl Into<PathBuf>) -> Self {
        Self { place: Place::Own(root.into()) }
    }

    /// A store in the directory `rootling` of the caller's runtime directory.
    pub fn below(runtime_dir: impl Into<PathBuf>) -> Self {
        Self { place: Place::Below(runtime_dir.into(), "rootling") }
    }

    /// The store of a directory that the caller chose: to look for containers where none can be is an
    /// error then, as with runc.
    pub fn named(root: impl Into<PathBuf>) -> Self {
        Self { place: Place::Named(root.into()) }
    }

    /// Makes the state directory of a new container, locked until [`Slot::unlock`].
    pub(crate) fn create(&self, id: &ContainerId) -> Result<Slot> {
        let root = if let Some(root) = self.place.open()? {
            root
        } else {
            self.place.make()?;
            self.place.open()?.ok_or(Errno::ENOENT).context(|| self.path().display().to_string())?
        };
        mkdirat(Some(root.as_raw_fd()), id.as_str(), MODE).map_err(|errno| match errno {
            Errno::EEXIST => exists(id),
            errno => Error::from(errno).wrap(format!("mkdir({:?})", self.path_of(id))),
        })?;
        let root = Arc::new(root);
        self.take(&root, id).inspect_err(|error| {
            if error.errno().is_some() {
                // Without its name it is nobody's: whoever else has made one of this name meanwhile is told so.
                let _ = unlinkat(Some(root.as_raw_fd()), id.as_str(), UnlinkatFlags::RemoveDir);
            }
        })
    }

    /// Opens and locks the directory that was made a moment ago.
    fn take(&self, root: &Arc<OwnedFd>, id: &ContainerId) -> Result<Slot> {
        // To a delete, an empty one is what a killed create has left.
        let removed = || {
            Error::new(
                ErrorKind::WrongState,
                format!(
                    "container \"{id}\" was removed by another command while it was created: create it again"
                ),
            )
        };
        let slot = self
            .open_dir(Arc::clone(root), id)
            .map_err(|e| if e.kind() == ErrorKind::NotFound { removed() } else { e })?;
        // Who only looks has it locked for a moment.
        if !slot.lock(LOOK)? || slot.is_gone()? {
            return Err(removed());
        }
        // Ours may have been removed before it was open, and this be the next creator's, of which one comes second here.
        if slot.is_empty()? { Ok(slot) } else { Err(exists(id)) }
    }

    fn path(&self) -> PathBuf {
        self.place.path()
    }

    /// Where the state directory of a container is, or would be.
    pub(crate) fn path_of(&self, id: &ContainerId) -> PathBuf {
        self.path().join(id)
    }

    /// Opens the state directory of a container.
    pub fn open(&self, id: &ContainerId) -> Result<Slot> {
        let root = self.place.open()?.ok_or_else(|| self.missing(id))?;
        self.open_dir(Arc::new(root), id)
    }

    pub(crate) fn missing(&self, id: &ContainerId) -> Error {
        missing(id, &self.path())
    }

    /// Every container of the store, ordered by id, each opened when its turn comes: there may be more
    /// than descriptors. Where nobody named the store, one that does not exist yet is empty.
    pub fn list(&self) -> Result<impl Iterator<Item = Listed>> {
        let what = || format!("state directory {:?}", self.path());
        let root = match self.place.open()? {
            None if self.place.is_named() => return Err(Errno::ENOENT).context(what),
            found => found.map(Arc::new),
        };
        let mut names: Vec<String> = Vec::new();
        if let Some(root) = &root {
            let entries = sys::directory::entries_of(root.as_fd()).context(what)?;
            names.extend(entries.into_iter().filter_map(|entry| entry.name.into_string().ok()));
        }
        names.sort_unstable();
        let list_one = move |name: String| self.list_one(root.as_ref()?, &name);
        Ok(names.into_iter().filter_map(list_one))
    }

    fn list_one(&self, root: &Arc<OwnedFd>, name: &str) -> Option<Listed> {
        let id = ContainerId::parse(name).ok()?;
        let slot = match self.open_dir(Arc::clone(root), &id) {
            // Removed since the directory was read, or not a directory.
            Err(e) if e.kind() == ErrorKind::NotFound => return None,
            Err(e) => return Some(Listed::Damaged(name.into(), e)),
            Ok(slot) => slot,
        };
        match slot.read() {
            Ok(record) => Some(Listed::Container(slot, Box::new(record))),
            // It is being made or removed this moment.
            Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::WrongState) => None,
            Err(error) => Some(Listed::Damaged(name.into(), error)),
        }
    }

    fn open_dir(&self, root: Arc<OwnedFd>, id: &ContainerId) -> Result<Slot> {
        let path = self.path_of(id);
        let flags = OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let dir = nix::fcntl::openat(Some(root.as_raw_fd()), id.as_str(), flags, Mode::empty()).map_err(
            |errno| match errno {
                Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP => self.missing(id),
                errno => Error::from(errno).wrap(format!("open({path:?})")),
            },
        )?;
        let slot = Slot { id: id.clone(), path, root, dir: sys::fds::adopt(dir), ours: Arc::default() };
        slot.check_owner()?;
        Ok(slot)
    }
}

fn exists(id: &ContainerId) -> Error {
    Error::new(
        ErrorKind::AlreadyExists,
        format!(
            "container \"{id}\" already exists: choose another id, or remove it with `rootling delete {id}`"
        ),
    )
}

fn missing(id: &ContainerId, root: &Path) -> Error {
    Error::new(ErrorKind::NotFound, format!("container \"{id}\" does not exist in {root:?}"))
}

impl Slot {
    /// The container's id.
    pub fn id(&self) -> &ContainerId {
        &self.id
    }

    /// The same directory, for another owner.
    pub(crate) fn try_clone(&self) -> Result<Self> {
        let dir = sys::fds::duplicate(self.dir.as_fd()).context(|| "dup")?;
        let ours = Arc::clone(&self.ours);
        Ok(Self { id: self.id.clone(), path: self.path.clone(), root: Arc::clone(&self.root), dir, ours })
    }

    /// The directory's path.
    #[cfg(test)]
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The directory.
    pub(crate) fn dir(&self) -> std::os::fd::BorrowedFd<'_> {
        self.dir.as_fd()
    }

    /// A path of something in it that is short enough for a socket address (unix(7): 108 bytes).
    pub(crate) fn short_path(&self, name: &str) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}/{name}", self.dir.as_raw_fd()))
    }

    /// The socket on which a created container waits for its start.
    pub(crate) fn listen_for_start(&self) -> Result<OwnedFd> {
        sys::socket::listen_at(&self.short_path(START))
            .context(|| format!("bind({:?})", self.path.join(START)))
    }

    /// Connects to it; `None` where nobody waits any more.
    pub(crate) fn connect_for_start(&self) -> Result<Option<OwnedFd>> {
        match sys::socket::connect_to(&self.short_path(START)) {
            Ok(socket) => Ok(Some(socket)),
            Err(Errno::ENOENT | Errno::ECONNREFUSED) => Ok(None),
            Err(errno) => Err(errno).context(|| format!("connect({:?})", self.path.join(START))),
        }
    }

    /// Makes the directory in which the container tells that it is ready.
    pub(crate) fn make_notify_directory(&self) -> Result<()> {
        mkdirat(Some(self.dir.as_raw_fd()), NOTIFY, Mode::from_bits_truncate(0o755))
            .context(|| format!("mkdir({:?})", self.path.join(NOTIFY)))
    }

    /// Whether the container waits for its start.
    pub(crate) fn awaits_start(&self) -> Result<bool> {
        self.has(START)
    }

    /// Removes the socket: the container is started, or never will be.
    pub(crate) fn end_wait(&self) {
        let _ = unlinkat(Some(self.dir.as_raw_fd()), START, UnlinkatFlags::NoRemoveDir);
    }

    /// Locks the directory, as whoever makes or removes the container does; false if somebody else has it for so long.
    /// Where one looks this moment whether it is locked, that is over at once.
    pub(crate) fn lock(&self, limit: Duration) -> Result<bool> {
        let end = Instant::now() + limit;
        loop {
            match self.flock(FlockArg::LockExclusiveNonblock) {
                Ok(()) => {
                    self.ours.store(true, Ordering::Relaxed);
                    return Ok(true);
                }
                Err(Errno::EWOULDBLOCK) if Instant::now() < end => {
                    std::thread::sleep(Duration::from_millis(5));
                }
                Err(Errno::EWOULDBLOCK) => return Ok(false),
                Err(errno) => return Err(errno).context(|| format!("flock({:?})", self.path)),
            }
        }
    }

    /// Keeps the container from being removed for a moment: what is done by a path of its cgroup until this is dropped is not
    /// done to the next container of its name. For what does not wait, since a delete waits for it.
    ///
    /// # Errors
    /// Another command makes or removes the container, or has removed it.
    pub(crate) fn hold(&self) -> Result<Held<'_>> {
        match self.flock(FlockArg::LockSharedNonblock) {
            Ok(()) => self.ours.store(true, Ordering::Relaxed),
            Err(Errno::EWOULDBLOCK) => return Err(self.busy()),
            Err(errno) => return Err(errno).context(|| format!("flock({:?})", self.path)),
        }
        let held = Held(self);
        if self.is_gone()? { Err(self.removed()) } else { Ok(held) }
    }

    /// As [`Slot::hold`], but for what may be done while another command makes or removes the container: as long as that
    /// has it, no other has its name.
    pub(crate) fn hold_if_free(&self) -> Result<Option<Held<'_>>> {
        match self.hold() {
            Err(e) if e.kind() == ErrorKind::WrongState => Ok(None),
            other => other.map(Some),
        }
    }

    fn busy(&self) -> Error {
        Error::new(
            ErrorKind::WrongState,
            format!(
                "container \"{}\" is being created or removed by another command: try again when that has ended",
                self.id
            ),
        )
    }

    fn removed(&self) -> Error {
        missing(&self.id, self.path.parent().unwrap_or(&self.path))
    }

    /// Whether the directory has been removed: what has its name now, if anything, is another container.
    pub(crate) fn is_gone(&self) -> Result<bool> {
        let what = || format!("stat({:?})", self.path);
        let own = nix::sys::stat::fstat(self.dir.as_raw_fd()).context(what)?;
        let at = Some(self.root.as_raw_fd());
        match nix::sys::stat::fstatat(at, self.id.as_str(), AtFlags::AT_SYMLINK_NOFOLLOW) {
            // No other file has the number as long as this one is open.
            Ok(named) => Ok((named.st_dev, named.st_ino) != (own.st_dev, own.st_ino)),
            Err(Errno::ENOENT) => Ok(true),
            Err(errno) => Err(errno).context(what),
        }
    }

    /// The container is complete.
    pub(crate) fn unlock(&self) {
        self.ours.store(false, Ordering::Relaxed);
        let _ = self.flock(FlockArg::Unlock);
    }

    // Through the descriptor and not through nix's Flock, which would unlock whenever it is dropped,
    // in the child too.
    #[allow(deprecated)]
    fn flock(&self, how: FlockArg) -> Result<(), Errno> {
        sys::retry(|| nix::fcntl::flock(self.dir.as_raw_fd(), how))
    }

    /// Whether a runtime, and not we, is making or removing the container this moment.
    pub(crate) fn is_locked(&self) -> Result<bool> {
        if self.ours.load(Ordering::Relaxed) {
            return Ok(false);
        }
        match self.flock(FlockArg::LockSharedNonblock) {
            Err(Errno::EWOULDBLOCK) => Ok(true),
            Err(errno) => Err(errno).context(|| format!("flock({:?})", self.path)),
            Ok(()) => {
                let _ = self.flock(FlockArg::Unlock);
                Ok(false)
            }
        }
    }

    /// Reads the record.
    pub fn read(&self) -> Result<Record> {
        let text = self.read_record()?;
        let mut record: Record = serde_json::from_slice(&text).map_err(|e| self.damaged(&e.to_string()))?;
        if record.id != self.id.as_str() {
            return Err(self.damaged(&format!("{RECORD} is of another container, {:?}", record.id)));
        }
        match self.read_recovery()? {
            Some(recovery) if record.init.is_some_and(|init| init != recovery.init) => {
                return Err(self.damaged(&format!("{RECORD} and {RECOVERY} name different processes")));
            }
            // The record is damaged where it has none.
            Some(recovery) => record.recover(recovery),
            None => record.is_whole = false,
        }
        Ok(record)
    }

    /// The record, which whoever makes the container writes a moment after the directory is there and locked.
    fn read_record(&self) -> Result<Vec<u8>> {
        // Twice as long each time: who looks whether it is locked keeps others from locking it.
        for look in 0..LOOKS {
            if let Some(bytes) = self.find_file(RECORD)? {
                return Ok(bytes);
            }
            if self.ours.load(Ordering::Relaxed) || self.is_locked()? || self.is_gone()? {
                break;
            }
            std::thread::sleep(Duration::from_millis(1 << look));
        }
        self.read_file(RECORD)
    }

    /// Why there is no such file.
    fn without(&self, name: &str) -> Error {
        match (self.is_locked(), self.is_gone()) {
            (Ok(true), Ok(false)) => self.busy(),
            (Ok(_), Ok(true)) => self.removed(),
            (Ok(false), Ok(false)) => self.damaged(&format!("no {name}")),
            (Err(error), _) | (_, Err(error)) => error,
        }
    }

    /// None where there is none or it is damaged: the record tells then.
    fn read_recovery(&self) -> Result<Option<Recovery>> {
        match self.find_file(RECOVERY) {
            Err(e) if e.errno().is_none() => Ok(None),
            found => Ok(found?.and_then(|bytes| Recovery::from_bytes(&bytes))),
        }
    }

    /// What it takes to remove a container whose record is damaged; none where it never had a process.
    ///
    /// # Errors
    /// What is left of the directory does not tell which processes are the container's.
    pub(crate) fn recover(&self, damage: &Error) -> Result<Option<Record>> {
        if let Some(recovery) = self.read_recovery()? {
            tracing::warn!("{damage}; removed with the help of {RECOVERY}: its poststop hooks are not run");
            return Ok(Some(recovery.into_record(&self.id)));
        }
        // Of what was never let go there is no more than the record, which is whole or not there.
        let mut names = [RECOVERY, RECORD, PROCESS].iter();
        if names.try_fold(true, |none, name| Ok::<_, Error>(none && !self.has(name)?))? {
            return Ok(None);
        }
        let (id, path) = (&self.id, &self.path);
        Err(Error::system(format!(
            "the processes of container \"{id}\" cannot be found, because neither {RECORD} nor {RECOVERY} in {path:?} is \
             whole: nothing was changed; end them by hand and remove that directory"
        )))
    }

    fn has(&self, name: &str) -> Result<bool> {
        match nix::sys::stat::fstatat(Some(self.dir.as_raw_fd()), name, AtFlags::AT_SYMLINK_NOFOLLOW) {
            Ok(_) => Ok(true),
            Err(Errno::ENOENT) => Ok(false),
            Err(errno) => Err(errno).context(|| format!("stat({:?})", self.path.join(name))),
        }
    }

    /// Reads a file of the directory, all of which a container has.
    pub(crate) fn read_file(&self, name: &str) -> Result<Vec<u8>> {
        self.find_file(name)?.ok_or_else(|| self.without(name))
    }

    fn find_file(&self, name: &str) -> Result<Option<Vec<u8>>> {
        let flags = sys::file::OPEN_FLAGS | OFlag::O_NOFOLLOW;
        let file = match openat2(self.dir.as_fd(), Path::new(name), flags, ResolveFlag::RESOLVE_BENEATH) {
            Err(Errno::ENOENT) => return Ok(None),
            Err(Errno::ELOOP) => return Err(self.damaged(&format!("{name} is a link"))),
            other => other.context(|| format!("open({:?})", self.path.join(name)))?,
        };
        sys::file::contents(file, MOST).map(Some).map_err(|e| match sys::errno(&e) {
            Some(Errno::EISDIR) => self.damaged(&format!("{name} is a directory")),
            None => self.damaged(&format!("{name} {e}")),
            Some(_) => Error::from(e).wrap(format!("read({:?})", self.path.join(name))),
        })
    }

    /// The error for a file that cannot be what was written.
    pub(crate) fn damaged(&self, why: &str) -> Error {
        Error::system(format!(
            "the state of container \"{id}\" is damaged ({why}): remove it with `rootling delete --force {id}`",
            id = self.id
        ))
    }

    /// Replaces the record.
    pub(crate) fn write(&self, record: &Record) -> Result<()> {
        let text = serde_json::to_vec(record).map_err(|e| Error::system(e.to_string()))?;
        self.replace_file(RECORD, &text)
    }

    /// Writes what it takes to end the container, whose first process is known, under a name that nobody reads. A new
    /// file on a disk can take a millisecond, and as long as the child works it costs nothing.
    pub(crate) fn prepare_recovery(&self, record: &Record) -> Result<()> {
        let Some(recovery) = record.recovery() else { return Ok(()) };
        let bytes = recovery.to_bytes().map_err(|e| Error::system(e.to_string()))?;
        self.write_file(UNCOMMITTED, &bytes)
    }

    /// Keeps what was prepared: the container is complete, lives without the runtime from here on, and is found even
    /// without its record.
    pub(crate) fn commit_recovery(&self) -> Result<()> {
        let at = Some(self.dir.as_raw_fd());
        nix::fcntl::renameat(at, UNCOMMITTED, at, RECOVERY)
            .context(|| format!("write({:?})", self.path.join(RECOVERY)))
    }

    /// Nobody ever reads half of it.
    fn replace_file(&self, name: &str, bytes: &[u8]) -> Result<()> {
        // Two may do so at once.
        let new = format!("{name}.{}", std::process::id());
        self.write_file(&new, bytes).map_err(|error| self.or_missing(error))?;
        let at = Some(self.dir.as_raw_fd());
        nix::fcntl::renameat(at, new.as_str(), at, name)
            .context(|| format!("write({:?})", self.path.join(name)))
            .map_err(|error| self.or_missing(error))
    }

    /// The same error, or if the directory has been removed meanwhile, that there is no such container.
    fn or_missing(&self, error: Error) -> Error {
        match self.is_gone() {
            Ok(true) if error.is(Errno::ENOENT) => {
                missing(&self.id, self.path.parent().unwrap_or(&self.path))
            }
            _ => error,
        }
    }

    /// Writes a file of the directory that only the owner can read.
    pub(crate) fn write_file(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let what = || format!("write({:?})", self.path.join(name));
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_TRUNC | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let at = Some(self.dir.as_raw_fd());
        let fd = nix::fcntl::openat(at, name, flags, Mode::from_bits_truncate(0o600)).context(what)?;
        fs::File::from(sys::fds::adopt(fd)).write_all(bytes).context(what)
    }

    /// The status of a container with this record.
    ///
    /// # Errors
    /// Whether its first process lives, waits for its start or is frozen cannot be told.
    pub fn status(&self, record: &Record) -> Result<Status> {
        let Some(init) = record.init else {
            return Ok(if self.is_locked()? { Status::Creating } else { Status::Stopped });
        };
        if !init.is_alive()? {
            return Ok(Status::Stopped);
        }
        Ok(match self.awaits_start()? {
            // The socket goes before the program runs, the lock only when the runtime has heard that it does.
            true if self.is_locked()? => Status::Creating,
            // `run` has no socket, and has not let its program go yet. One without the file that nobody has locked is of an
            // older release.
            false if !record.is_whole && self.is_locked()? => Status::Creating,
            _ if record.cgroup.is_frozen().map_err(of_cgroup)? => Status::Paused,
            true => Status::Created,
            false => Status::Running,
        })
    }

    /// Removes the directory with all that is in it.
    pub(crate) fn remove(&self) -> Result<()> {
        let at = Some(self.dir.as_raw_fd());
        let socket = Path::new(NOTIFY).join(NOTIFY_SOCKET);
        let _ = unlinkat(at, &socket, UnlinkatFlags::NoRemoveDir);
        let _ = unlinkat(at, NOTIFY, UnlinkatFlags::RemoveDir);
        // The record is the last: whoever is killed in between leaves a container that has ended, and not a damaged one.
        for name in [START, PROCESS, FILTER, RECOVERY, RECORD] {
            let _ = unlinkat(at, name, UnlinkatFlags::NoRemoveDir);
        }
        let what = || format!("remove {:?}", self.path);
        match self.remove_empty() {
            // Something that is not ours lies in it.
            Err(Errno::ENOTEMPTY) => {
                self.empty().context(what)?;
                self.remove_empty().context(what)
            }
            other => other.context(what),
        }
    }

    /// Whether nothing has been made in it yet.
    fn is_empty(&self) -> Result<bool> {
        let entries = sys::directory::entries_of(self.dir.as_fd());
        Ok(entries.context(|| format!("read {:?}", self.path))?.is_empty())
    }

    fn remove_empty(&self) -> Result<(), Errno> {
        match unlinkat(Some(self.root.as_raw_fd()), self.id.as_str(), UnlinkatFlags::RemoveDir) {
            Err(Errno::ENOENT) => Ok(()),
            other => other,
        }
    }

    /// Removes whatever is in the directory, by way of its descriptor.
    fn empty(&self) -> std::io::Result<()> {
        for entry in sys::directory::entries_of(self.dir.as_fd())? {
            let path = self.short_path(".").join(entry.name);
            if entry.is_directory { fs::remove_dir_all(path)? } else { fs::remove_file(path)? }
        }
        Ok(())
    }

    /// What another user has put there could have hooks that would run as the caller.
    fn check_owner(&self) -> Result<()> {
        root::belongs_to_caller(&self.dir, &self.path)
            .and_then(|()| {
                let stat = nix::sys::stat::fstat(self.dir.as_raw_fd())?;
                root::only_caller_writes(&stat, 0o022, &self.path)
            })
            .map_err(|e| e.wrap(format!("container \"{}\": state directory", self.id)))
    }

    /// Uid of the owner of the directory.
    pub fn owner(&self) -> Result<u32> {
        let stat =
            nix::sys::stat::fstat(self.dir.as_raw_fd()).context(|| format!("stat({:?})", self.path))?;
        Ok(stat.st_uid)
    }
}

#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;
