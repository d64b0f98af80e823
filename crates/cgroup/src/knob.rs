//! A value for a cgroup file, and what it means if the kernel refuses it.
//!
//! The resource modules build lists of these from `linux.resources` without touching the host, so that every
//! conversion can be tested with a table; only [`write_all`] writes them.

use std::borrow::Cow;
use std::io;
use std::path::{Path, PathBuf};

use nix::errno::Errno;

use crate::{CgroupError, file};

/// What a failed write means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OnError {
    /// The limit is not in force, which is an error.
    Fail,
    /// The kernel may lack the file without any loss.
    IgnoreMissing,
    /// The kernel checks the value against one that is written later in the list: try again at the end.
    RetryLater,
    /// Both of the above.
    RetryLaterIgnoreMissing,
}

/// A value for a cgroup file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Knob {
    /// The controller that it belongs to, which selects the directory on v1.
    pub(crate) controller: &'static str,
    pub(crate) file: Cow<'static, str>,
    pub(crate) value: String,
    pub(crate) on_error: OnError,
    /// Whether the controller must be available.
    pub(crate) is_limit: bool,
    /// The file and the value to write instead if the file does not exist.
    pub(crate) instead: Option<(&'static str, String)>,
}

// Numbers and texts by value read best in the tables that call these.
#[allow(clippy::needless_pass_by_value)]
impl Knob {
    pub(crate) fn new(
        controller: &'static str,
        file: impl Into<Cow<'static, str>>,
        value: impl ToString,
    ) -> Self {
        Self {
            controller,
            file: file.into(),
            value: value.to_string(),
            on_error: OnError::Fail,
            is_limit: true,
            instead: None,
        }
    }

    pub(crate) fn on_error(mut self, on_error: OnError) -> Self {
        self.on_error = on_error;
        self
    }

    /// Sets whether it restricts anything: if not, a missing controller means that there is no limit to lift.
    pub(crate) fn if_limit(self, is_limit: bool) -> Self {
        Self { is_limit, ..self }
    }

    pub(crate) fn or(mut self, file: &'static str, value: impl ToString) -> Self {
        self.instead = Some((file, value.to_string()));
        self
    }

    fn write(&self, dir: &Path) -> io::Result<()> {
        let result = by_line(dir, &self.file, &self.value);
        match (&result, &self.instead) {
            (Err(e), Some((file, value))) if file::is_gone(e) => file::write(dir, file, value),
            _ => result,
        }
    }

    fn error(&self, dir: &Path, source: io::Error) -> CgroupError {
        CgroupError::Write { path: dir.join(&*self.file), value: self.value.clone(), source }
    }
}

/// Writes a value line by line: kernel files take one line per write, and `unified` may contain several.
fn by_line(dir: &Path, name: &str, value: &str) -> io::Result<()> {
    if !value.contains('\n') {
        return file::write(dir, name, value);
    }
    let mut file = file::open(dir, name, false, true)?;
    value.split_inclusive('\n').try_for_each(|line| io::Write::write_all(&mut file, line.as_bytes()))
}

/// Writes `knobs` in order, each to the directory that `dir` returns for its controller.
///
/// # Errors
/// The first refusal that matters, with its file and value. `missing` makes the error for a controller that has
/// no directory.
pub(crate) fn write_all(
    knobs: &[Knob],
    dir: impl Fn(&str) -> Option<PathBuf>,
    missing: impl Fn(&Knob) -> CgroupError,
) -> Result<(), CgroupError> {
    let mut again = Vec::new();
    for knob in knobs {
        let Some(dir) = dir(knob.controller) else {
            if knob.is_limit {
                return Err(missing(knob));
            }
            continue;
        };
        let Err(e) = knob.write(&dir) else { continue };
        let may_miss = !knob.is_limit
            || matches!(knob.on_error, OnError::IgnoreMissing | OnError::RetryLaterIgnoreMissing);
        let may_wait = matches!(knob.on_error, OnError::RetryLater | OnError::RetryLaterIgnoreMissing);
        if may_miss && file::is_gone(&e) {
            tracing::debug!(file = %knob.file, "not offered by this kernel, skipped");
        } else if may_wait && rootling_sys::errno(&e) == Some(Errno::EINVAL) {
            again.push((knob, dir));
        } else {
            return Err(knob.error(&dir, e));
        }
    }
    for (knob, dir) in again {
        knob.write(&dir).map_err(|e| knob.error(&dir, e))?;
    }
    Ok(())
}

#[cfg(test)]
pub(crate) mod testing {
    use rootling_config::limits::Limits;

    /// The limits of `linux.resources` as JSON.
    pub(crate) fn limits(json: &str) -> Limits {
        Limits::parse(&serde_json::from_str(json).unwrap()).unwrap()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(dir: &Path, knobs: &[Knob]) -> Result<(), CgroupError> {
        write_all(knobs, |_| Some(dir.to_owned()), |_| unreachable!())
    }

    #[test]
    fn a_missing_file_counts_unless_it_may_be_missing() {
        let dir = tempfile::tempdir().unwrap();
        let knob = Knob::new("memory", "memory.swap.max", "max");
        let error = write(dir.path(), std::slice::from_ref(&knob)).unwrap_err().to_string();
        assert!(error.contains("\"max\"") && error.contains("memory.swap.max"), "{error}");
        write(dir.path(), &[knob.on_error(OnError::IgnoreMissing)]).unwrap();
    }

    #[test]
    fn the_alternative_is_written_when_the_file_is_missing() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("io.weight"), "").unwrap();
        write(dir.path(), &[Knob::new("io", "io.bfq.weight", 100).or("io.weight", 910)]).unwrap();
        assert_eq!(std::fs::read_to_string(dir.path().join("io.weight")).unwrap(), "910");
    }

    #[test]
    fn several_lines_are_all_written() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("io.max"), "").unwrap();
        write(dir.path(), &[Knob::new("io", "io.max", "8:0 rbps=1\n8:16 rbps=2")]).unwrap();
        let written = std::fs::read_to_string(dir.path().join("io.max")).unwrap();
        assert_eq!(written, "8:0 rbps=1\n8:16 rbps=2");
    }

    #[test]
    fn lifting_a_limit_needs_no_controller() {
        let knob = Knob::new("pids", "pids.max", "max");
        let missing = |_: &Knob| CgroupError::UnifiedOnV1;
        assert!(write_all(std::slice::from_ref(&knob), |_| None, missing).is_err());
        write_all(&[knob.if_limit(false)], |_| None, missing).unwrap();
    }
}
