//! Turns errors of libcontainer into messages that name the field.
//!
//! libcontainer's error types do not say which path failed, but its log does. The first error that it logs is kept,
//! which costs nothing as long as nothing fails.

use std::fmt::Write;
use std::sync::{Arc, Mutex};

use libcontainer::apparmor::AppArmorError;
use libcontainer::process::init::error::InitProcessError;
use nix::errno::Errno;
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span;
use tracing::{Dispatch, Event, Level, Metadata, Subscriber};

use crate::error::{Error, chain, errno_of};

/// Runs `f` and returns its result and the text of the first error that was logged meanwhile.
pub fn errors_of<T>(f: impl FnOnce() -> T) -> (T, Option<String>) {
    let first = Arc::new(Mutex::new(None));
    let outer = tracing::dispatcher::get_default(Clone::clone);
    let level = LevelFilter::current().max(LevelFilter::ERROR);
    let capture = Capture { first: Arc::clone(&first), outer, level };
    let result = tracing::subscriber::with_default(capture, f);
    let text = first.lock().ok().and_then(|mut first| first.take());
    (result, text)
}

struct Capture {
    first: Arc<Mutex<Option<String>>>,
    outer: Dispatch,
    level: LevelFilter,
}

impl Subscriber for Capture {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() == Level::ERROR
            || (self.level >= LevelFilter::DEBUG && self.outer.enabled(metadata))
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.level)
    }

    fn event(&self, event: &Event<'_>) {
        if *event.metadata().level() != Level::ERROR {
            // Its warnings concern what it leaves to us, such as seccomp, and would be misleading.
            if *event.metadata().level() != Level::WARN && self.level >= LevelFilter::DEBUG {
                self.outer.event(event);
            }
            return;
        }
        // An error of libcontainer is reported as one by us: for the log it is a detail.
        if let Ok(mut first) = self.first.lock()
            && first.is_none()
        {
            let mut text = Text::default();
            event.record(&mut text);
            *first = Some(text.finish());
        }
    }

    fn new_span(&self, span: &span::Attributes<'_>) -> span::Id {
        self.outer.new_span(span)
    }

    fn record(&self, span: &span::Id, values: &span::Record<'_>) {
        self.outer.record(span, values);
    }

    fn record_follows_from(&self, span: &span::Id, follows: &span::Id) {
        self.outer.record_follows_from(span, follows);
    }

    fn enter(&self, span: &span::Id) {
        self.outer.enter(span);
    }

    fn exit(&self, span: &span::Id) {
        self.outer.exit(span);
    }
}

/// The message of a logged error, and the strings and numbers that it carries. Its other fields are errors and
/// structures in Rust's debug format.
#[derive(Default)]
struct Text {
    message: String,
    named: String,
}

impl Text {
    fn finish(self) -> String {
        let message = self.message.strip_prefix("failed to ").unwrap_or(&self.message);
        [message, self.named.trim_end()].join(" ").trim().to_owned()
    }
}

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        let text = format!("{value:?}");
        if field.name() == "message" {
            self.message = text;
        } else if text.starts_with(|c: char| c == '"' || c.is_ascii_digit()) {
            let _ = write!(self.named, "{} {text} ", field.name());
        }
    }
}

/// The error in our own words: what was being done, what the kernel answered, and what to do.
pub(crate) fn explain(error: &InitProcessError, event: Option<&str>) -> Error {
    let cause = cause(error);
    if let InitProcessError::AppArmor(AppArmorError::ActivateProfile { profile, .. }) = error {
        return Error::system(format!("process.apparmorProfile: {profile:?}: {cause}"))
            .remedy("load the profile on the host, or name another one");
    }
    let text = match error {
        // libcontainer opens only files of sysctls through pathrs.
        InitProcessError::Sysctl(_) | InitProcessError::Pathrs(_) => "linux.sysctl",
        InitProcessError::Hooks(_) => "error running createContainer hook",
        InitProcessError::SetHostname(_) => "hostname: sethostname",
        InitProcessError::SetDomainname(_) => "domainname: setdomainname",
        InitProcessError::AppArmor(_) => "process.apparmorProfile",
        InitProcessError::RootFS(_) => "prepare the root file system",
        InitProcessError::Namespaces(_) => "make the container's namespaces",
        InitProcessError::Network(_) => "linux.netDevices",
        _ => "prepare the container",
    };
    if let (InitProcessError::Pathrs(_), Some((path, errno))) = (error, refused_variable(&cause)) {
        return not_opened(&path, errno);
    }
    let error = Error::system(match event.filter(|text| !text.is_empty()) {
        Some(detail) if detail.contains(&cause) => format!("{text}: {detail}"),
        Some(detail) => format!("{text}: {detail}: {cause}"),
        None => format!("{text}: {cause}"),
    })
    .with_errno(errno_of(error).or_else(|| refusal(&cause)));
    match text {
        "linux.sysctl" => error.remedy(
            "the variable has to be in /proc/sys, in the container's namespaces, and take the value; correct or remove it",
        ),
        _ => error,
    }
}

/// The file of a sysctl and the errno, extracted from a message of pathrs. The message quotes the path below the root
/// in which pathrs looked for it, and otherwise describes internals of pathrs.
fn refused_variable(cause: &str) -> Option<(String, Errno)> {
    let number = cause.rsplit_once("(os error ")?.1.split(')').next()?.parse().ok()?;
    let path = cause.split('"').find_map(|word| word.trim_start_matches('/').strip_prefix("sys/"));
    Some((format!("/proc/sys/{}", path.unwrap_or_default()), Errno::from_raw(number)))
}

fn not_opened(path: &str, errno: Errno) -> Error {
    if errno == Errno::ENOENT {
        // In runc's words, by which engines recognise this error.
        return Error::system(format!("linux.sysctl: open {path}: no such file or directory"))
            .with_errno(Some(errno))
            .remedy("the kernel has no such variable in the container's namespaces: correct or remove it");
    }
    Error::from(errno).wrap(format!("linux.sysctl: open {path}")).remedy(
        "the variable has to be in /proc/sys, in the container's namespaces, and take the value; correct or remove it",
    )
}

/// Recognises a reason by its beginning, where libcontainer's transparent types hide the number from [`errno_of`].
fn refusal(cause: &str) -> Option<Errno> {
    [Errno::EACCES, Errno::EPERM, Errno::ENOSYS]
        .into_iter()
        .find(|errno| cause.starts_with(&errno.to_string()))
}

/// The innermost reason, which is the one that the system gave.
fn cause(error: &InitProcessError) -> String {
    let whole = chain(error);
    if matches!(error, InitProcessError::Pathrs(_)) {
        // The innermost one is just an errno; the path is in an outer one.
        return whole;
    }
    let mut inner: &dyn std::error::Error = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    let number = inner.downcast_ref::<std::io::Error>().and_then(std::io::Error::raw_os_error);
    let inner = number.map_or_else(|| inner.to_string(), |number| Errno::from_raw(number).to_string());
    let inner = inner.replace('\n', " ");
    if inner.is_empty() { whole } else { inner }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variable_that_cannot_be_opened_is_named_in_plain_words() {
        let there = "openat2([24]<\"/\">, \"sys/net/ipv4/none\", { flags: OpenFlags(O_WRONLY), resolve: 0 }, 24): No such file or \
                     directory (os error 2)";
        let mismatch = "fd [29]<\"/sys/net/ipv4/x\"> is on the same procfs mount: (mnt_id is Some(50)): Invalid cross-device link \
                        (os error 18)";
        for (cause, path, errno, text) in [
            (
                there,
                "/proc/sys/net/ipv4/none",
                Errno::ENOENT,
                "open /proc/sys/net/ipv4/none: no such file or directory; ",
            ),
            (mismatch, "/proc/sys/net/ipv4/x", Errno::EXDEV, "open /proc/sys/net/ipv4/x: EXDEV: "),
        ] {
            let (found, reason) = refused_variable(cause).unwrap();
            assert_eq!((found.as_str(), reason), (path, errno));
            let error = not_opened(&found, reason);
            assert!(error.to_string().contains(text) && error.is(errno), "{error}");
        }
        let none = refused_variable("fd [17]<\"/\">: Invalid cross-device link (os error 18)");
        assert_eq!(none, Some(("/proc/sys/".to_owned(), Errno::EXDEV)));
        assert_eq!(refused_variable("no number"), None);
    }

    #[test]
    fn the_first_error_is_kept_and_the_rest_is_not() {
        let ((), text) = errors_of(|| {
            tracing::debug!("nothing");
            tracing::error!(path = ?"/a", "first");
            tracing::error!("second");
        });
        let text = text.unwrap();
        assert!(text.contains("first") && text.contains("/a") && !text.contains("second"), "{text}");
    }
}
