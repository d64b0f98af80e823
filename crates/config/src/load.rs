//! Reading `config.json`.
//!
//! The common case is one open, one read and one parse straight into the typed spec. Only if that parse fails, if a
//! list stands where an object may be meant, or if a name is spelled in another case, the document is examined again
//! as plain JSON: what runc accepts nevertheless is then corrected (see [`crate::load`]'s `relax`), and what is
//! really wrong is reported with the path of its field.

mod names;
mod relax;
mod shape;
mod text;

use std::io;
use std::path::{Path, PathBuf};

use oci_spec::runtime::Spec;

use self::shape::Strict;
pub use self::text::without_lone_surrogates;
use crate::{container, mounts};

/// The file's name inside a bundle (OCI runtime specification, "Filesystem Bundle").
pub const CONFIG_FILE: &str = "config.json";

/// The longest document that is read, in bytes: thousands of times what an engine writes.
pub const MOST: u64 = 64 << 20;

/// A parsed `config.json`.
#[derive(Debug)]
pub struct Loaded {
    /// The spec as written; nothing has been adapted or checked yet.
    pub spec: Spec,
    /// What was ignored or looks odd, one line each.
    pub warnings: Vec<String>,
}

/// Why a `config.json` could not be loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The bundle does not exist.
    #[error("bundle {}: no such directory", .0.display())]
    NoBundle(PathBuf),
    /// The bundle is something other than a directory.
    #[error("bundle {}: not a directory", .0.display())]
    NotADirectory(PathBuf),
    /// The bundle has no `config.json`.
    #[error("bundle {}: no {CONFIG_FILE}; create one with `rootling spec`", .0.display())]
    NoConfig(PathBuf),
    /// The file could not be opened or read.
    #[error("{}: cannot be read: {reason}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The reason that the system gave.
        reason: io::Error,
    },
    /// The file is not JSON.
    #[error("{}: line {line} column {column}: {reason}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Line of the mistake, from 1.
        line: usize,
        /// Column of the mistake in bytes, from 1 (0 at the start of a line).
        column: usize,
        /// What is wrong there.
        reason: String,
    },
    /// The file is JSON, but a field is missing or of another type.
    #[error("{}: {reason}", path.display())]
    Field {
        /// The file.
        path: PathBuf,
        /// The field's path, such as `process.args` or `mounts[3].options`; empty for the document.
        field: String,
        /// The field's path and what is wrong with it.
        reason: String,
    },
}

/// Reads the `config.json` of the bundle at `dir`.
///
/// # Errors
/// [`LoadError`]: no such bundle, no `config.json`, unreadable, not JSON, or not a spec.
pub fn bundle(dir: &Path) -> Result<Loaded, LoadError> {
    let path = dir.join(CONFIG_FILE);
    let json = read(&path).map_err(|error| explain(dir, &path, error))?;
    from_slice(&path, &json)
}

/// Reads a spec from any file, for `run --config FILE`.
///
/// # Errors
/// [`LoadError`], as for [`bundle`].
pub fn file(path: &Path) -> Result<Loaded, LoadError> {
    let json = read(path).map_err(|reason| LoadError::Unreadable { path: path.to_owned(), reason })?;
    from_slice(path, &json)
}

/// Parses `json`; `name` is the file that errors refer to.
///
/// # Errors
/// [`LoadError::Syntax`] or [`LoadError::Field`].
pub fn from_slice(name: &Path, json: &[u8]) -> Result<Loaded, LoadError> {
    let mut warnings = Vec::new();
    let mut spec: Spec = typed(name, json, &mut warnings, relax::spec)?;
    mounts::separate(&mut spec);
    if spec.linux().as_ref().is_some_and(|linux| linux.seccomp().is_some()) {
        refuse_old_names(name, json)?;
    }
    warnings.extend(container::warnings(&spec));
    Ok(Loaded { spec, warnings })
}

/// Rejects the form that Docker's profiles had before 2016, with one name for each rule: the typed spec has no field
/// for it, and a rule that is lost denies nothing.
fn refuse_old_names(path: &Path, json: &[u8]) -> Result<(), LoadError> {
    if !shape::may_have("name", json) {
        return Ok(());
    }
    let mut value: serde_json::Value =
        serde_json::from_slice(&without_lone_surrogates(json)).unwrap_or_default();
    names::fold(&mut value);
    let rules = value["linux"]["seccomp"]["syscalls"].as_array();
    let has_name = |rule: &serde_json::Value| rule["name"].as_str().is_some_and(|name| !name.is_empty());
    match rules.into_iter().flatten().position(has_name) {
        Some(index) => {
            let field = format!("linux.seccomp.syscalls[{index}].name");
            let reason =
                format!("{field}: is not in the specification; write the name into the list \"names\"");
            Err(LoadError::Field { path: path.to_owned(), field, reason })
        }
        None => Ok(()),
    }
}

/// Corrects JSON as leniently as runc reads it: names in any case, and null for what is absent.
pub fn lenient(value: &mut serde_json::Value) {
    names::fold(value);
    relax::drop_nulls(value);
}

/// Parses the process object that `exec --process FILE` names, with the same tolerance and errors. The second value
/// of the result holds the warnings.
///
/// # Errors
/// [`LoadError::Syntax`] or [`LoadError::Field`].
pub fn process_from_slice(
    name: &Path,
    json: &[u8],
) -> Result<(oci_spec::runtime::Process, Vec<String>), LoadError> {
    let mut warnings = Vec::new();
    let process = typed(name, json, &mut warnings, relax::process)?;
    Ok((process, warnings))
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    rootling_sys::file::read(path, MOST)
}

/// Finds out why opening `dir/config.json` failed; only now is the bundle itself examined.
fn explain(dir: &Path, path: &Path, error: io::Error) -> LoadError {
    match error.kind() {
        io::ErrorKind::NotFound if !dir.exists() => LoadError::NoBundle(dir.to_owned()),
        io::ErrorKind::NotFound => LoadError::NoConfig(dir.to_owned()),
        io::ErrorKind::NotADirectory => LoadError::NotADirectory(dir.to_owned()),
        _ => LoadError::Unreadable { path: path.to_owned(), reason: error },
    }
}

fn typed<T: serde::de::DeserializeOwned>(
    name: &Path,
    json: &[u8],
    warnings: &mut Vec<String>,
    relax: fn(&mut serde_json::Value, &mut Vec<String>),
) -> Result<T, LoadError> {
    let json = &*without_lone_surrogates(json);
    if shape::lists_are_usual(json)
        && names::are_usual(json)
        && let Ok(spec) = serde_json::from_slice(json)
    {
        return Ok(spec);
    }
    // The typed parse may have stopped before a syntax error further down, and it reports a value that is no name of
    // an enumeration as a syntax error: this parse tells which it is.
    let mut value = serde_json::from_slice(json).map_err(|error| syntax(name, &error))?;
    names::fold(&mut value);
    relax(&mut value, warnings);
    serde_path_to_error::deserialize(Strict(value)).map_err(|error| field(name, &error))
}

fn syntax(name: &Path, error: &serde_json::Error) -> LoadError {
    let (line, column) = (error.line(), error.column());
    let text = error.to_string();
    let reason = text.strip_suffix(&format!(" at line {line} column {column}")).unwrap_or(&text).to_owned();
    LoadError::Syntax { path: name.to_owned(), line, column, reason }
}

fn field(name: &Path, error: &serde_path_to_error::Error<serde_json::Error>) -> LoadError {
    // serde_path_to_error calls the whole document ".".
    let field = Some(error.path().to_string()).filter(|path| path != ".").unwrap_or_default();
    let inner = format!("{}{}", what(&field), error.inner());
    let reason = if field.is_empty() { inner } else { format!("{field}: {inner}") };
    LoadError::Field { path: name.to_owned(), field, reason }
}

/// How runc describes a value of this field that is not one of the permitted names.
fn what(field: &str) -> &'static str {
    match field.strip_prefix("linux.memoryPolicy") {
        Some(flags) if flags.starts_with(".flags") => "invalid memory policy flag: ",
        // Whatever else is wrong in it, it means that there is no mode, or none with that name.
        Some("" | ".mode") => "invalid memory policy mode: ",
        _ => "",
    }
}

#[cfg(test)]
mod tests;
