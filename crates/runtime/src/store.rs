//! The state directories: one for each container, below a directory that only the user can write to.
//!
//! `mkdir` decides which of two creators wins. The creator holds a lock on the directory until the container is
//! complete, so that a half-made container can be told from one that is being made, even after the creator was killed.
//! Files are replaced as a whole, by rename.

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

/// What `exec` needs to know about the container.
pub(crate) const PROCESS: &str = "process.json";
/// The compiled seccomp filter, in the format of seccomp(2).
pub(crate) const FILTER: &str = "seccomp.bpf";
/// The directory in which the container reports that it is ready, and the socket in it.
pub(crate) const NOTIFY: &str = "notify";
pub(crate) const NOTIFY_SOCKET: &str = "notify.sock";
const RECORD: &str = "state.json";
/// What is needed to end the container, in case the record is damaged.
const RECOVERY: &str = "recovery";
/// The same, before the container is complete.
const UNCOMMITTED: &str = "recovery.new";
/// The socket on which a created container waits for its start.
const START: &str = "start.sock";

/// No more than this is read from a file, in bytes. A filter has at most 32 KiB; a record is somewhat larger than
/// config.json's hooks and annotations.
const MOST: u64 = 2 * rootling_config::load::MOST;
/// The mode of the directories: nobody else may even search them, and so reach the sockets in them. What a container is
/// to have of them is bind-mounted into it.
const MODE: Mode = Mode::S_IRWXU;

/// Where the state of containers is stored (`--root`).
#[derive(Clone, Debug)]
pub struct Store {
    place: Place,
}

/// The state directory of one container.
pub struct Slot {
    id: ContainerId,
    path: PathBuf,
    /// The directory that it is in.
    root: Arc<OwnedFd>,
    dir: OwnedFd,
    /// Whether the lock on it is ours.
    ours: Arc<AtomicBool>,
}

/// Keeps a container from being removed. It holds a shared lock on the container's directory, of which there may be
/// several.
pub(crate) struct Held<'a>(&'a Slot);

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.unlock();
    }
}

/// How often to look for the record in an unlocked directory, which may have been made just now.
const LOOKS: u32 = 10;
/// How long somebody may take to check whether a directory is locked.
const LOOK: Duration = Duration::from_secs(10);

/// One entry of [`Store::list`].
pub enum Listed {
    /// A container with its record.
    Container(Slot, Box<Record>),
    /// A directory whose record is missing or damaged: its name, and what is wrong with it.
    Damaged(String, Error),
}

impl Store {
    /// A store in a directory that only the caller may own. It need not exist yet.
    pub fn own(root: impl Into<PathBuf>) -> Self {
        Self { place: Place::Own(root.into()) }
    }

    /// A store in the directory `rootling` of the caller's runtime directory.
    pub fn below(runtime_dir: impl Into<PathBuf>) -> Self {
        Self { place: Place::Below(runtime_dir.into(), "rootling") }
    }

    /// A store in a directory that the caller chose. Looking for containers in one that cannot exist is an error then,
    /// as with runc.
    pub fn named(root: impl Into<PathBuf>) -> Self {
        Self { place: Place::Named(root.into()) }
    }

    /// Makes the state directory of a new container. It stays locked until [`Slot::unlock`].
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
                // Remove the name, which would belong to nobody: whoever tried to use it meanwhile has been told that
                // it exists.
                let _ = unlinkat(Some(root.as_raw_fd()), id.as_str(), UnlinkatFlags::RemoveDir);
            }
        })
    }

    /// Opens and locks the directory that was just made.
    fn take(&self, root: &Arc<OwnedFd>, id: &ContainerId) -> Result<Slot> {
        // `delete` takes an empty directory for one that a killed `create` has left.
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
        // Somebody who only checks the lock holds it for a moment.
        if !slot.lock(LOOK)? || slot.is_gone()? {
            return Err(removed());
        }
        // Our directory may have been removed before it was opened. This is then the one of another creator, and the
        // later of the two fails here.
        if slot.is_empty()? { Ok(slot) } else { Err(exists(id)) }
    }

    fn path(&self) -> PathBuf {
        self.place.path()
    }

    /// The path that the state directory of a container has or would have.
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

    /// Lists every container of the store, ordered by id. Each is opened when its turn comes, as there may be more
    /// containers than descriptors. A store that does not exist yet is empty, unless it was named by the caller.
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
            // It is just being made or removed.
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

    /// Another handle for the same directory.
    pub(crate) fn try_clone(&self) -> Result<Self> {
        let dir = sys::fds::duplicate(self.dir.as_fd()).context(|| "dup")?;
        let ours = Arc::clone(&self.ours);
        Ok(Self { id: self.id.clone(), path: self.path.clone(), root: Arc::clone(&self.root), dir, ours })
    }

    #[cfg(test)]
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn dir(&self) -> std::os::fd::BorrowedFd<'_> {
        self.dir.as_fd()
    }

    /// A path of a file in the directory that is short enough for a socket address (unix(7): 108 bytes).
    pub(crate) fn short_path(&self, name: &str) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}/{name}", self.dir.as_raw_fd()))
    }

    /// Listens on the socket on which a created container waits for its start.
    pub(crate) fn listen_for_start(&self) -> Result<OwnedFd> {
        sys::socket::listen_at(&self.short_path(START))
            .context(|| format!("bind({:?})", self.path.join(START)))
    }

    /// Connects to that socket; `None` if nobody waits any more.
    pub(crate) fn connect_for_start(&self) -> Result<Option<OwnedFd>> {
        match sys::socket::connect_to(&self.short_path(START)) {
            Ok(socket) => Ok(Some(socket)),
            Err(Errno::ENOENT | Errno::ECONNREFUSED) => Ok(None),
            Err(errno) => Err(errno).context(|| format!("connect({:?})", self.path.join(START))),
        }
    }

    /// Makes the directory in which the container reports that it is ready.
    pub(crate) fn make_notify_directory(&self) -> Result<()> {
        mkdirat(Some(self.dir.as_raw_fd()), NOTIFY, Mode::from_bits_truncate(0o755))
            .context(|| format!("mkdir({:?})", self.path.join(NOTIFY)))
    }

    /// Whether the container waits for its start.
    pub(crate) fn awaits_start(&self) -> Result<bool> {
        self.has(START)
    }

    /// Removes the socket: the container was started, or never will be.
    pub(crate) fn end_wait(&self) {
        let _ = unlinkat(Some(self.dir.as_raw_fd()), START, UnlinkatFlags::NoRemoveDir);
    }

    /// Locks the directory for making or removing the container; returns false if somebody else holds the lock for
    /// longer than `limit`. Somebody who only checks whether it is locked holds it just for a moment.
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

    /// Keeps the container from being removed for a moment: until the result is dropped, no other container can take
    /// its name, so that what is done by the path of its cgroup does not affect that one. Use it only for short
    /// operations, since a delete waits for them.
    ///
    /// # Errors
    /// Another command is making or removing the container, or has removed it.
    pub(crate) fn hold(&self) -> Result<Held<'_>> {
        match self.flock(FlockArg::LockSharedNonblock) {
            Ok(()) => self.ours.store(true, Ordering::Relaxed),
            Err(Errno::EWOULDBLOCK) => return Err(self.busy()),
            Err(errno) => return Err(errno).context(|| format!("flock({:?})", self.path)),
        }
        let held = Held(self);
        if self.is_gone()? { Err(self.removed()) } else { Ok(held) }
    }

    /// Like [`Slot::hold`], but for operations that are allowed while another command makes or removes the container:
    /// as long as that command has the lock, no other container can take the name.
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
            // No other file can get the inode number while this one is open.
            Ok(named) => Ok((named.st_dev, named.st_ino) != (own.st_dev, own.st_ino)),
            Err(Errno::ENOENT) => Ok(true),
            Err(errno) => Err(errno).context(what),
        }
    }

    /// Releases the lock once the container is complete.
    pub(crate) fn unlock(&self) {
        self.ours.store(false, Ordering::Relaxed);
        let _ = self.flock(FlockArg::Unlock);
    }

    // The lock is released through the descriptor. nix's Flock would release it whenever it is dropped, in the child,
    // too.
    #[allow(deprecated)]
    fn flock(&self, how: FlockArg) -> Result<(), Errno> {
        sys::retry(|| nix::fcntl::flock(self.dir.as_raw_fd(), how))
    }

    /// Whether another runtime is just making or removing the container.
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
            // A record that lacks these members is damaged: they come from the recovery file.
            Some(recovery) => record.recover(recovery),
            None => record.is_whole = false,
        }
        Ok(record)
    }

    /// Reads the record, which the creator writes shortly after making and locking the directory.
    fn read_record(&self) -> Result<Vec<u8>> {
        // Waits twice as long each time: checking the lock keeps others from taking it.
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

    /// The error for a missing file.
    fn without(&self, name: &str) -> Error {
        match (self.is_locked(), self.is_gone()) {
            (Ok(true), Ok(false)) => self.busy(),
            (Ok(_), Ok(true)) => self.removed(),
            (Ok(false), Ok(false)) => self.damaged(&format!("no {name}")),
            (Err(error), _) | (_, Err(error)) => error,
        }
    }

    /// `None` if there is no such file or it is damaged: the record must do then.
    fn read_recovery(&self) -> Result<Option<Recovery>> {
        match self.find_file(RECOVERY) {
            Err(e) if e.errno().is_none() => Ok(None),
            found => Ok(found?.and_then(|bytes| Recovery::from_bytes(&bytes))),
        }
    }

    /// What is needed to remove a container whose record is damaged; `None` if the container never had a process.
    ///
    /// # Errors
    /// What is left in the directory does not tell which processes are the container's.
    pub(crate) fn recover(&self, damage: &Error) -> Result<Option<Record>> {
        if let Some(recovery) = self.read_recovery()? {
            tracing::warn!("{damage}; removed with the help of {RECOVERY}: its poststop hooks are not run");
            return Ok(Some(recovery.into_record(&self.id)));
        }
        // A container that was never let go has no file but the record, which is complete or missing.
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

    /// Reads a file that every container has in its directory.
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

    /// The error for a file whose contents cannot be what was written.
    pub(crate) fn damaged(&self, why: &str) -> Error {
        Error::system(format!(
            "the state of container \"{id}\" is damaged ({why}): remove it with `rootling delete --force {id}`",
            id = self.id
        ))
    }

    /// Replaces the record.
    pub(crate) fn write(&self, record: &Record) -> Result<()> {
        let text = serde_json::to_vec(record)?;
        self.replace_file(RECORD, &text)
    }

    /// Writes what is needed to end the container, whose first process is known, under a name that nobody reads yet. A
    /// new file on a disk can take a millisecond, which costs nothing while the child is still working.
    pub(crate) fn prepare_recovery(&self, record: &Record) -> Result<()> {
        let Some(recovery) = record.recovery() else { return Ok(()) };
        let bytes = recovery.to_bytes().map_err(|e| Error::system(e.to_string()))?;
        self.write_file(UNCOMMITTED, &bytes)
    }

    /// Commits what was prepared: the container is complete, lives without the runtime from here on, and can be found
    /// even without its record.
    pub(crate) fn commit_recovery(&self) -> Result<()> {
        let at = Some(self.dir.as_raw_fd());
        nix::fcntl::renameat(at, UNCOMMITTED, at, RECOVERY)
            .context(|| format!("write({:?})", self.path.join(RECOVERY)))
    }

    /// Replaces a file atomically, so that nobody ever reads half of it.
    fn replace_file(&self, name: &str, bytes: &[u8]) -> Result<()> {
        // Two processes may do so at the same time.
        let new = format!("{name}.{}", std::process::id());
        self.write_file(&new, bytes).map_err(|error| self.or_missing(error))?;
        let at = Some(self.dir.as_raw_fd());
        nix::fcntl::renameat(at, new.as_str(), at, name)
            .context(|| format!("write({:?})", self.path.join(name)))
            .map_err(|error| self.or_missing(error))
    }

    /// Returns the same error or, if the directory has been removed meanwhile, that there is no such container.
    fn or_missing(&self, error: Error) -> Error {
        match self.is_gone() {
            Ok(true) if error.is(Errno::ENOENT) => {
                missing(&self.id, self.path.parent().unwrap_or(&self.path))
            }
            _ => error,
        }
    }

    /// Writes a file in the directory that only its owner can read.
    pub(crate) fn write_file(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let what = || format!("write({:?})", self.path.join(name));
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_TRUNC | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let at = Some(self.dir.as_raw_fd());
        let fd = nix::fcntl::openat(at, name, flags, Mode::from_bits_truncate(0o600)).context(what)?;
        fs::File::from(sys::fds::adopt(fd)).write_all(bytes).context(what)
    }

    /// Determines the status of a container with this record.
    ///
    /// # Errors
    /// It cannot be determined whether its first process is alive, waits for its start or is frozen.
    pub fn status(&self, record: &Record) -> Result<Status> {
        let Some(init) = record.init else {
            return Ok(if self.is_locked()? { Status::Creating } else { Status::Stopped });
        };
        if !init.is_alive()? {
            return Ok(Status::Stopped);
        }
        Ok(match self.awaits_start()? {
            // The socket is removed before the program runs, the lock only once the runtime knows that it runs.
            true if self.is_locked()? => Status::Creating,
            // `run` has no socket, and has not let its program go yet. An unlocked container without that file was made
            // by an older release.
            false if !record.is_whole && self.is_locked()? => Status::Creating,
            _ if record.cgroup.is_frozen().map_err(of_cgroup)? => Status::Paused,
            true => Status::Created,
            false => Status::Running,
        })
    }

    /// Removes the directory and everything in it.
    pub(crate) fn remove(&self) -> Result<()> {
        let at = Some(self.dir.as_raw_fd());
        let socket = Path::new(NOTIFY).join(NOTIFY_SOCKET);
        let _ = unlinkat(at, &socket, UnlinkatFlags::NoRemoveDir);
        let _ = unlinkat(at, NOTIFY, UnlinkatFlags::RemoveDir);
        // The record is removed last: if we are killed in between, what remains is a container that has ended, not a
        // damaged one.
        for name in [START, PROCESS, FILTER, RECOVERY, RECORD] {
            let _ = unlinkat(at, name, UnlinkatFlags::NoRemoveDir);
        }
        let what = || format!("remove {:?}", self.path);
        match self.remove_empty() {
            // The directory contains something that is not ours.
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

    /// Removes whatever is in the directory, through its descriptor.
    fn empty(&self) -> std::io::Result<()> {
        for entry in sys::directory::entries_of(self.dir.as_fd())? {
            let path = self.short_path(".").join(entry.name);
            if entry.is_directory { fs::remove_dir_all(path)? } else { fs::remove_file(path)? }
        }
        Ok(())
    }

    /// What another user has put there could contain hooks that would run as the caller.
    fn check_owner(&self) -> Result<()> {
        let stat = nix::sys::stat::fstat(self.dir.as_raw_fd()).context(|| format!("stat({:?})", self.path));
        stat.and_then(|stat| {
            root::belongs_to_caller(&stat, &self.path)?;
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
