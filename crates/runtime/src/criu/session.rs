//! A `criu swrk` process, which gets one request after the other through a socket; criu.org, "RPC".

use std::io::{IoSliceMut, Read, Seek};
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::memfd::{MemFdCreateFlag, memfd_create};
use nix::sys::signal::Signal;
use nix::sys::socket::{
    AddressFamily, ControlMessageOwned, MsgFlags, SockFlag, SockType, UnixAddr, recvmsg, socketpair,
};
use protobuf::{Message, MessageField};
use rust_criu::rust_criu_protobuf::rpc::{Criu_features, Criu_opts, Criu_req, Criu_req_type, Criu_resp};

use super::Progress;
use crate::error::{Context, Error, ErrorKind, Result};
use rootling_sys as sys;
use rootling_sys::poll::wait_readable;
use rootling_sys::signals::Signals;

/// The oldest release that supports external pid namespaces and sends every notice that we wait for.
const OLDEST: (i32, i32) = (3, 15);
/// How long CRIU may take to exit after its last answer or after closing the socket: what remains takes milliseconds.
const END_LIMIT: Duration = Duration::from_secs(30);
/// The size limit of an answer, in bytes.
const LIMIT: usize = 64 * 1024;

/// A notification that CRIU sends while it works.
pub(crate) struct Notice {
    /// The point in CRIU's work; criu.org, "Action scripts".
    pub(crate) name: String,
    /// The pid of the process that the notice is about.
    pub(crate) pid: i32,
    /// The descriptor that comes with the notice.
    pub(crate) fd: Option<OwnedFd>,
}

/// A running CRIU. It is killed if this is dropped before it has exited.
pub(crate) struct Session {
    socket: OwnedFd,
    child: Child,
    /// The file that gets its standard error, unless that is the container's.
    complaint: Option<std::fs::File>,
    /// `None` if CRIU may wait for somebody else for any length of time.
    progress: Option<Progress>,
}

impl Session {
    /// Starts CRIU. With `container_streams` it gets our standard streams, for the container.
    pub(crate) fn start(program: &Path, container_streams: bool) -> Result<Self> {
        let (socket, theirs) =
            socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)
                .context(|| "socketpair(AF_UNIX, SOCK_SEQPACKET)")?;
        let mut command = Command::new(program);
        let mut complaint = None;
        if !container_streams {
            let file = memfd_create(c"criu", MemFdCreateFlag::MFD_CLOEXEC).context(|| "memfd_create")?;
            let file = std::fs::File::from(file);
            let copy = file.try_clone().context(|| "dup")?;
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(copy);
            complaint = Some(file);
        }
        sys::fds::keep_on_exec(theirs.as_raw_fd()).context(|| "fcntl(F_SETFD)")?;
        let child = command.arg("swrk").arg(theirs.as_raw_fd().to_string()).spawn();
        let child = child.map_err(|e| {
            let error = Error::from(e).wrap(format!("start {program:?}"));
            error.remedy("install CRIU (package criu), or name the program with --criu")
        })?;
        Ok(Self { socket, child, complaint, progress: Some(Progress::new([])) })
    }

    /// Asks CRIU for its release and refuses one that is too old.
    pub(crate) fn check_release(program: &Path) -> Result<()> {
        let mut session = Self::start(program, false)?;
        let request = request(Criu_req_type::VERSION);
        let answer = session.ask(&request, None, &mut |_| Ok(()))?;
        let (major, minor) = (answer.version.major_number(), answer.version.minor_number());
        tracing::debug!("Using CRIU {major}.{minor}");
        if (major, minor) < OLDEST {
            let (old_major, old_minor) = OLDEST;
            return Err(Error::invalid(format!(
                "{program:?} is CRIU {major}.{minor}, and {old_major}.{old_minor} or newer is needed: install it, or \
                 name another program with --criu"
            )));
        }
        session.end()
    }

    /// Fails unless CRIU and the kernel can track memory changes, or move pages lazily.
    pub(crate) fn check_features(program: &Path, mem_track: bool, lazy_pages: bool) -> Result<()> {
        let mut session = Self::start(program, false)?;
        let mut request = request(Criu_req_type::FEATURE_CHECK);
        let features = Criu_features {
            mem_track: mem_track.then_some(true),
            lazy_pages: lazy_pages.then_some(true),
            ..Criu_features::default()
        };
        request.features = MessageField::some(features);
        let found = session.ask(&request, None, &mut |_| Ok(()))?.features;
        for (wanted, found, what) in [
            (mem_track, found.mem_track(), "--pre-dump needs a kernel with soft-dirty memory tracking"),
            (lazy_pages, found.lazy_pages(), "--lazy-pages needs a kernel with userfaultfd(2)"),
        ] {
            if wanted && !found {
                return Err(Error::invalid(format!("{what}, see `criu check`")));
            }
        }
        session.end()
    }

    /// Lets CRIU work as long as it makes progress; without a `progress`, for any length of time.
    pub(crate) fn watch(&mut self, progress: Option<Progress>) {
        self.progress = progress;
    }

    /// The pid of CRIU itself.
    pub(crate) fn pid(&self) -> i32 {
        self.child.id() as i32
    }

    /// Sends a request and passes the notices that come meanwhile to `notice`. One of `signals` that asks us to end
    /// ends the wait.
    pub(crate) fn perform(
        &mut self,
        kind: Criu_req_type,
        options: Criu_opts,
        signals: Option<&mut Signals>,
        notice: &mut dyn FnMut(Notice) -> Result<()>,
    ) -> Result<Criu_resp> {
        let mut request = request(kind);
        tracing::debug!("Using CRIU in {kind:?} mode: {options}");
        request.opts = MessageField::some(options);
        self.ask(&request, signals, notice)
    }

    fn ask(
        &mut self,
        asked: &Criu_req,
        mut signals: Option<&mut Signals>,
        notice: &mut dyn FnMut(Notice) -> Result<()>,
    ) -> Result<Criu_resp> {
        self.send(asked)?;
        loop {
            self.wait(signals.as_deref_mut())?;
            let (answer, fd) = self.receive()?;
            let kind = answer.type_();
            if !answer.success() {
                let errno = answer.cr_errno();
                let why = if errno == 0 { String::new() } else { format!(": {}", Errno::from_raw(errno)) };
                let text =
                    if answer.has_cr_errmsg() { format!(": {}", answer.cr_errmsg().trim()) } else { why };
                return Err(Error::system(format!("criu failed: type {kind:?}{text}")));
            }
            if kind != Criu_req_type::NOTIFY {
                return Ok(answer);
            }
            let name = answer.notify.script().to_owned();
            tracing::debug!("notify: {name}");
            notice(Notice { name, pid: answer.notify.pid(), fd })?;
            let mut reply = request(Criu_req_type::NOTIFY);
            reply.notify_success = Some(true);
            self.send(&reply)?;
        }
    }

    fn send(&mut self, request: &Criu_req) -> Result<()> {
        let bytes = request.write_to_bytes().map_err(|e| Error::system(e.to_string()))?;
        match nix::sys::socket::send(self.socket.as_raw_fd(), &bytes, MsgFlags::MSG_NOSIGNAL) {
            Err(_) => Err(self.early_end()),
            Ok(_) => Ok(()),
        }
    }

    /// Waits until CRIU has sent something.
    fn wait(&mut self, mut signals: Option<&mut Signals>) -> Result<()> {
        loop {
            let interval = self.progress.as_ref().map_or(Ok(PollTimeout::NONE), |p| p.interval().try_into());
            let mut fds = vec![PollFd::new(self.socket.as_fd(), PollFlags::POLLIN)];
            fds.extend(signals.as_ref().map(|signals| PollFd::new(signals.as_fd(), PollFlags::POLLIN)));
            match poll(&mut fds, interval.unwrap_or(PollTimeout::MAX)) {
                Err(Errno::EINTR) => continue,
                other => other.context(|| "poll")?,
            };
            let ready = fds[0].any().unwrap_or(false);
            while let Some((number, _)) = signals.as_mut().map_or(Ok(None), |signals| signals.next())? {
                if Signals::is_end(number) {
                    return Err(crate::launch::reactor::interrupted(number, "the container"));
                }
            }
            if ready {
                return Ok(());
            }
            if let Some(silent) = self.progress.as_mut().and_then(Progress::stalled) {
                return Err(Error::system(format!(
                    "criu has neither answered nor written anything for {} s; it was killed",
                    silent.as_secs()
                ))
                .remedy("see its log, and whether the machine or the disk of the images is overloaded"));
            }
        }
    }

    fn receive(&mut self) -> Result<(Criu_resp, Option<OwnedFd>)> {
        let mut buffer = vec![0u8; LIMIT];
        let mut space = nix::cmsg_space!([RawFd; 1]);
        let (length, fd) = loop {
            let mut parts = [IoSliceMut::new(&mut buffer)];
            let flags = MsgFlags::MSG_CMSG_CLOEXEC;
            match recvmsg::<UnixAddr>(self.socket.as_raw_fd(), &mut parts, Some(&mut space), flags) {
                Err(Errno::EINTR) => {}
                Err(Errno::ECONNRESET) => break (0, None),
                result => {
                    let message = result.context(|| "receive from criu")?;
                    let fd = message.cmsgs().ok().and_then(|mut all| {
                        all.find_map(|m| match m {
                            ControlMessageOwned::ScmRights(fds) => fds.first().copied().map(sys::fds::adopt),
                            _ => None,
                        })
                    });
                    break (message.bytes, fd);
                }
            }
        };
        if length == 0 {
            return Err(self.early_end());
        }
        let answer = Criu_resp::parse_from_bytes(&buffer[..length]);
        answer.map(|answer| (answer, fd)).map_err(|e| Error::system(format!("answer of criu: {e}")))
    }

    /// The error for a CRIU that exited without an answer, with what it left on standard error.
    fn early_end(&mut self) -> Error {
        let how = self.reap().map(|status| format!(" ({status})")).unwrap_or_default();
        let mut text = String::new();
        if let Some(file) = &mut self.complaint {
            let _ = file.rewind();
            let _ = file.take(LIMIT as u64).read_to_string(&mut text);
        }
        let line =
            text.lines().rfind(|line| !line.trim().is_empty()).map(|line| format!(": {}", line.trim()));
        Error::system(format!("criu ended without an answer{how}{}", line.unwrap_or_default()))
            .remedy("`criu check` tells whether it works on this kernel")
    }

    /// Waits until CRIU exits after its last answer.
    pub(crate) fn end(mut self) -> Result<()> {
        let _ = nix::sys::socket::shutdown(self.socket.as_raw_fd(), nix::sys::socket::Shutdown::Write);
        let status = self.reap().context(|| "wait for criu")?;
        if status.signal() == Some(Signal::SIGKILL as i32) {
            tracing::warn!(
                "criu had done its work, but did not end within {} s; it was killed",
                END_LIMIT.as_secs()
            );
        }
        Ok(())
    }

    /// CRIU's exit status. It is expected soon; otherwise CRIU is killed.
    fn reap(&mut self) -> std::io::Result<ExitStatus> {
        let ended = sys::process::pidfd_open(self.pid())
            .map(|pidfd| wait_readable(pidfd.as_fd(), END_LIMIT).unwrap_or(false));
        if ended != Ok(true) {
            let _ = self.child.kill();
        }
        self.child.wait()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

fn request(kind: Criu_req_type) -> Criu_req {
    Criu_req { type_: Some(kind.into()), ..Criu_req::default() }
}

/// The error in the words of CRIU's log, which say more than its answer.
pub(crate) fn explained(error: Error, log: &Path) -> Error {
    if matches!(error.kind(), ErrorKind::Interrupted(_)) {
        return error;
    }
    let text = std::fs::read(log).unwrap_or_default();
    match reason(&String::from_utf8_lossy(&text)) {
        Some(reason) => {
            Error::new(error.kind(), format!("criu failed: {reason}; {} has the rest", log.display()))
        }
        None => error,
    }
}

/// The last error of its own that CRIU logged before it gave up: `(SECONDS) Error (FILE:LINE): TEXT`.
fn reason(log: &str) -> Option<&str> {
    let said = |line| str::split_once(line, ") Error (")?.1.split_once("): ").map(|(_, text)| text.trim());
    // What CRIU logs for any failure, and for any program that it has run.
    let general = |text: &str| text.ends_with("FAILED.") || text.starts_with("exited, ");
    log.lines().filter_map(said).rfind(|text| !general(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_says_nothing_is_killed() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join("criu");
        std::fs::write(&program, "#!/bin/sh\nexec sleep 1000\n").unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        let mut session = Session::start(&program, false).unwrap();
        session.watch(Some(Progress::within(Duration::from_millis(100), [])));
        let (pid, mut options) = (session.pid(), Criu_opts::default());
        options.set_images_dir_fd(0);
        let error = session.perform(Criu_req_type::DUMP, options, None, &mut |_| Ok(())).unwrap_err();
        assert!(error.to_string().contains("criu has neither answered nor written"), "{error}");
        drop(session);
        assert_eq!(nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), None), Err(Errno::ESRCH));
    }

    #[test]
    fn the_reason_is_the_last_error_that_says_something() {
        let log = "(00.04) Error (criu/util.c:1534): rlimit: Can't setup RLIMIT_NOFILE for self\n\
                   (00.15) Error (criu/net.c:3332): net: Locking network failed\n\
                   (00.15) Error (criu/util.c:657): exited, status=1\n\
                   (00.16) Error (criu/cr-dump.c:2128): Dumping FAILED.\n";
        assert_eq!(reason(log), Some("net: Locking network failed"));
        assert_eq!(reason("(00.04) Warn  (criu/x.c:1): Error\n"), None);
    }
}
