//! The error type of launch and lifecycle: one line that reads from outside in, and a kind to decide by.

use std::fmt::{self, Write as _};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use oci_spec::OciSpecError;
use rootling_config::cgroup_parent::CgroupParentError;
use rootling_config::container::ValidateError;
use rootling_config::id::IdError;
use rootling_config::idmap::IdmapError;
use rootling_config::load::LoadError;
use rootling_config::namespaces::{NamespaceError, NamespaceSet};
use rootling_config::process::memory_policy::MemoryPolicyError;
use rootling_config::seccomp::SeccompError;
use serde::{Deserialize, Serialize};

/// The kind of a failure; it determines the exit code and what a caller may do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Something that was passed in is wrong: an id, a flag, or config.json.
    Invalid,
    /// There is no container with that id.
    NotFound,
    /// A container with that id already exists.
    AlreadyExists,
    /// The container is in a state that does not permit the operation.
    WrongState,
    /// The container's program does not exist (exit code 127 from `run`).
    ProgramNotFound,
    /// The container's program cannot be executed (exit code 126 from `run`).
    ProgramNotExecutable,
    /// A system call failed.
    System,
    /// This signal asked the runtime to stop.
    Interrupted(i32),
}

/// What the system refused to do, in cases where the host may show why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Operation {
    /// To make a user namespace, perhaps together with others.
    NewUserNamespace,
    /// To make other new namespaces.
    NewNamespaces,
    /// To make a process.
    NewProcess,
    /// To checkpoint or restore.
    Criu,
    /// Anything else between the clone of the container's first process and the execution of its program.
    Launch,
}

/// An error of the runtime.
///
/// Its text reads from outside in: what was asked for, what failed, why, and what to do.
#[derive(Clone, Debug, thiserror::Error, Serialize, Deserialize)]
#[error("{message}")]
pub struct Error {
    kind: ErrorKind,
    message: String,
    /// The reason that the system gave.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    errno: Option<i32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    operation: Option<Operation>,
    /// What was refused is at this place in the container's root file system, or was to be made there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    place: Option<PathBuf>,
}

/// Shorthand for results of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// Makes an error of this kind.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: one_line(message.into()), errno: None, operation: None, place: None }
    }

    /// Makes an error about something that was passed in.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Invalid, message)
    }

    /// Makes an error about a failure of the system.
    pub fn system(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::System, message)
    }

    /// Returns the kind of the failure.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Returns the errno that the system gave, if the failure came from the system.
    pub fn errno(&self) -> Option<i32> {
        self.errno
    }

    /// Whether the system gave this reason.
    pub fn is(&self, errno: Errno) -> bool {
        self.errno == Some(errno as i32)
    }

    /// Returns the same error with this errno, or with none.
    #[must_use]
    pub fn with_errno(self, errno: Option<Errno>) -> Self {
        Self { errno: errno.map(|errno| errno as i32), ..self }
    }

    /// Returns what the system refused to do.
    pub fn operation(&self) -> Option<Operation> {
        self.operation
    }

    /// Returns the same error, attributed to this operation unless it already has one.
    #[must_use]
    pub fn during(self, operation: Operation) -> Self {
        Self { operation: self.operation.or(Some(operation)), ..self }
    }

    /// Returns the place in the container's root file system where permission was missing.
    pub fn place(&self) -> Option<&Path> {
        self.place.as_deref()
    }

    /// Returns the same error, attributed to this place in the container's root file system if `errno` is about
    /// permission. From inside, all owners that the container does not have look alike, so the runtime has to add who
    /// the owner is.
    #[must_use]
    pub fn at(self, errno: Errno, place: &Path) -> Self {
        let is_about_permission = matches!(errno, Errno::EACCES | Errno::EPERM | Errno::EOVERFLOW);
        Self { place: is_about_permission.then(|| place.to_owned()), ..self }
    }

    /// Returns the same error with a prefix, as seen from one layer further out.
    #[must_use]
    pub fn wrap(self, outer: impl fmt::Display) -> Self {
        Self { message: one_line(format!("{outer}: {}", self.message)), ..self }
    }

    /// Returns the same error with what to do about it appended.
    #[must_use]
    pub fn remedy(self, remedy: impl fmt::Display) -> Self {
        Self { message: one_line(format!("{}; {remedy}", self.message)), ..self }
    }

    /// Returns the same error, with a reference to `rootling doctor` if that has a check for it.
    #[must_use]
    pub fn see_doctor(self, has_check: bool) -> Self {
        if has_check { self.remedy("see `rootling doctor`") } else { self }
    }
}

impl From<rootling_sys::mount::Refused> for Error {
    fn from(refused: rootling_sys::mount::Refused) -> Self {
        let error = Self::from(refused.errno);
        let error = refused.log.iter().fold(error, Self::remedy);
        refused.option.iter().fold(error, |error, option| error.wrap(format!("option {option:?}")))
    }
}

/// What is wrong with something that was passed in, in the words of the crate that has parsed it.
macro_rules! invalid {
    ($($error:ty),+ $(,)?) => {$(
        impl From<$error> for Error {
            fn from(error: $error) -> Self {
                Self::invalid(chain(&error))
            }
        }
    )+};
}

invalid!(
    IdError,
    IdmapError,
    LoadError,
    ValidateError,
    NamespaceError,
    CgroupParentError,
    MemoryPolicyError,
    SeccompError,
);

/// Of what we write ourselves; what others have written is parsed with an error of its own.
impl From<serde_json::Error> for Error {
    fn from(error: serde_json::Error) -> Self {
        Self::system(error.to_string())
    }
}

impl From<OciSpecError> for Error {
    fn from(error: OciSpecError) -> Self {
        Self::system(chain(&error))
    }
}

impl From<Errno> for Error {
    fn from(errno: Errno) -> Self {
        Self { errno: Some(errno as i32), ..Self::system(errno.to_string()) }
    }
}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Self {
        match error.raw_os_error() {
            Some(number) => Errno::from_raw(number).into(),
            None => Self::system(chain(&error)),
        }
    }
}

/// Classifies an error of a call that was to make a process. If a limit was reached, the runtime adds which one.
#[must_use]
pub fn no_process(error: Error) -> Error {
    if error.is(Errno::EAGAIN) { error.during(Operation::NewProcess) } else { error }
}

/// The error of a clone3(2) that was to make these namespaces.
#[must_use]
pub fn no_clone(errno: Errno, namespaces: &NamespaceSet) -> Error {
    let operation =
        if namespaces.user.is_new() { Operation::NewUserNamespace } else { Operation::NewNamespaces };
    Error::from(errno).wrap("clone3").during(operation)
}

/// The errno that the system gave for an error or for one of its causes.
pub fn errno_of(error: &(dyn std::error::Error + 'static)) -> Option<Errno> {
    std::iter::successors(Some(error), |error| error.source()).find_map(|error| {
        let number = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::raw_os_error);
        number.map(Errno::from_raw).or_else(|| error.downcast_ref::<Errno>().copied())
    })
}

/// An error and all its causes, on one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        let inner_text = inner.to_string();
        // Transparent wrappers repeat what they wrap; other errors already contain it, before the remedy.
        if !text.contains(&inner_text) {
            text.push_str(": ");
            text.push_str(&inner_text);
        }
        source = inner.source();
    }
    one_line(text)
}

/// Makes a message safe to print. It may contain what a caller passed in: line ends become blanks, other control
/// characters are shown as escapes, and values that are longer than a person would read are cut.
pub fn one_line(text: String) -> String {
    // Escape first, since escapes are longer than what they stand for.
    let text = escaped(text);
    if text.len() > MOST_OF_A_VALUE { shorten(&text) } else { text }
}

fn escaped(text: String) -> String {
    if !text.contains(char::is_control) {
        return text;
    }
    let mut line = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '\n' => line.push(' '),
            c if c.is_control() => line.extend(c.escape_default()),
            c => line.push(c),
        }
    }
    line
}

/// The longest part of a value that a message shows, in bytes.
const MOST_OF_A_VALUE: usize = 200;
/// The longest message, in bytes: more than everything that is said about one error, including paths.
const MOST_OF_A_MESSAGE: usize = 4000;

/// Cuts each long value, which is quoted or has no blanks, and then the whole text.
fn shorten(text: &str) -> String {
    let mut short = String::with_capacity(MOST_OF_A_MESSAGE);
    let mut rest = text;
    while let Some(start) = rest.find(['"', '`']) {
        let (before, value) = rest.split_at(start + 1);
        push_words(&mut short, before);
        let Some(end) = end_of_value(value, rest.as_bytes()[start]) else {
            rest = value;
            break;
        };
        push_cut(&mut short, &value[..end], MOST_OF_A_VALUE);
        short.push_str(&value[end..=end]);
        rest = &value[end + 1..];
    }
    push_words(&mut short, rest);
    if short.len() <= MOST_OF_A_MESSAGE {
        return short;
    }
    let mut whole = String::new();
    push_cut(&mut whole, &short, MOST_OF_A_MESSAGE);
    whole
}

fn push_words(to: &mut String, text: &str) {
    for word in text.split_inclusive(' ') {
        push_cut(to, word, MOST_OF_A_VALUE);
    }
}

/// The end of the value that began after the quotation mark; Rust's Debug escapes one inside the value with a
/// backslash.
fn end_of_value(value: &str, mark: u8) -> Option<usize> {
    let mut escaped = false;
    value.bytes().position(|byte| {
        let ends = byte == mark && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    })
}

fn push_cut(to: &mut String, text: &str, most: usize) {
    if text.len() <= most {
        to.push_str(text);
        return;
    }
    let (first, last) =
        (text.floor_char_boundary(most * 3 / 4), text.ceil_char_boundary(text.len() - most / 8));
    let left_out = last - first;
    to.push_str(&text[..first]);
    let _ = write!(to, " ... {left_out} bytes ... ");
    to.push_str(&text[last..]);
}

/// Adds to a failure what was being done.
pub trait Context<T> {
    /// Wraps the error, if there is one, in a description of what was being done.
    fn context<D: fmt::Display>(self, what: impl FnOnce() -> D) -> Result<T>;
}

impl<T, E: Into<Error>> Context<T> for std::result::Result<T, E> {
    fn context<D: fmt::Display>(self, what: impl FnOnce() -> D) -> Result<T> {
        self.map_err(|error| error.into().wrap(what()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn context_reads_from_outside_in_and_keeps_the_kind() {
        let inner: Result<()> = Err(Error::new(ErrorKind::ProgramNotFound, "\"x\": not in $PATH"));
        let error = inner.context(|| "create \"web\"").unwrap_err();
        assert_eq!(error.to_string(), "create \"web\": \"x\": not in $PATH");
        assert_eq!(error.kind(), ErrorKind::ProgramNotFound);
    }

    #[test]
    fn a_long_value_is_cut_and_the_rest_is_not() {
        let value = "v".repeat(70_000);
        let text =
            Error::invalid(format!("process.cwd: {value:?}: is \\\"relative\\\"; correct it")).to_string();
        assert!(text.len() < 320, "{}", text.len());
        let (start, end) = ("process.cwd: \"vvvv", "vvvv\": is \\\"relative\\\"; correct it");
        assert!(text.starts_with(start) && text.ends_with(end) && text.contains(" bytes ... "), "{text}");
        let quoted = format!("\"{}\\\"{}\" and `{}`", "a".repeat(150), "b".repeat(150), "ü".repeat(300));
        let text = one_line(quoted);
        assert!(text.len() < 500 && text.ends_with("ü`") && text.matches('"').count() <= 3, "{text}");
        // Text without a value is bounded only as a whole.
        assert!(one_line("words ".repeat(10_000)).len() <= MOST_OF_A_MESSAGE + 40);
        assert!(one_line("\u{1b} ".repeat(3_000)).len() <= MOST_OF_A_MESSAGE + 40);
        let many = one_line(format!("{:?}", vec!["x"; 90]));
        assert_eq!(many, format!("{:?}", vec!["x"; 90]));
    }

    #[test]
    fn an_errno_keeps_its_name() {
        let error = Err::<(), _>(Errno::EPERM).context(|| "mount(\"proc\")").unwrap_err();
        assert_eq!(error.to_string(), "mount(\"proc\"): EPERM: Operation not permitted");
    }
}
