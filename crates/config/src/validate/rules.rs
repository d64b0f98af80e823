//! The order of the rules, and those for the top of the document.

use oci_spec::runtime::{Hook, Spec};

use super::{devices, idmaps, linux, mounts, namespaces, nul, process, sysctl};
use crate::error::{ValidateError, invalid, quoted};

/// Checks a spec, after it was adapted to an ordinary user where that was needed.
///
/// It may be without `process`, which a container needs to be started and not to be created (runtime-spec, config.md
/// "Process"): [`no_process`] is for those that start it.
///
/// # Errors
/// The first rule that is broken, as a [`ValidateError`].
pub fn spec(spec: &Spec) -> Result<(), ValidateError> {
    version(spec.version())?;
    root(spec)?;
    spec.process().as_ref().map_or(Ok(()), process)?;
    nul::check(spec)?;
    let set = crate::namespaces::set(spec)?;
    namespaces::check(spec, &set)?;
    mounts::check(spec, &set)?;
    idmaps::check(spec, &set)?;
    sysctl::check(spec, &set)?;
    devices::check(spec)?;
    linux::check(spec)?;
    hooks(spec)?;
    annotations(spec)
}

/// What a start of a spec without `process` is answered.
pub fn no_process() -> ValidateError {
    invalid("process", "process property must not be empty", "add an object with args, cwd and user")
}

/// Checks the annotations alone, some of which have an effect before the rest can be checked.
///
/// # Errors
/// The first rule that is broken, as a [`ValidateError`].
pub fn annotations(spec: &Spec) -> Result<(), ValidateError> {
    spec.annotations().as_ref().map_or(Ok(()), crate::annotations::check)
}

/// What is accepted, but probably not meant. One line each.
pub fn warnings(spec: &Spec) -> Vec<String> {
    let mut warnings = Vec::new();
    if spec.version().is_empty() {
        warnings.push("ociVersion: missing; taken as 1.x".to_owned());
    }
    mounts::warn(spec, &mut warnings);
    linux::warn(spec, &mut warnings);
    warnings
}

/// Semantic versioning: within one major version every later minor one is compatible.
fn version(version: &str) -> Result<(), ValidateError> {
    if version.is_empty() || version == "1" || version.starts_with("1.") {
        return Ok(());
    }
    Err(invalid("ociVersion", format!("{version:?} is not supported"), "write a 1.x version, such as 1.3.0"))
}

fn root(spec: &Spec) -> Result<(), ValidateError> {
    let remedy = "set root.path to the directory of the root filesystem";
    let root = spec.root().as_ref().ok_or_else(|| invalid("root", "root must be specified", remedy))?;
    if root.path().as_os_str().is_empty() {
        return Err(invalid("root.path", "path is empty", remedy));
    }
    nul::no_nul("root.path", root.path())
}

fn hooks(spec: &Spec) -> Result<(), ValidateError> {
    let Some(hooks) = spec.hooks() else { return Ok(()) };
    #[allow(deprecated)] // Deprecated by the specification, still in use.
    let prestart = hooks.prestart();
    for (kind, list) in [
        ("prestart", prestart),
        ("createRuntime", hooks.create_runtime()),
        ("createContainer", hooks.create_container()),
        ("startContainer", hooks.start_container()),
        ("poststart", hooks.poststart()),
        ("poststop", hooks.poststop()),
    ] {
        for (index, entry) in list.iter().flatten().enumerate() {
            hook(&format!("hooks.{kind}[{index}]"), entry)?;
        }
    }
    Ok(())
}

fn hook(field: &str, hook: &Hook) -> Result<(), ValidateError> {
    if !hook.path().is_absolute() {
        let problem = format!("{} is not an absolute path", quoted(hook.path()));
        return Err(invalid(format!("{field}.path"), problem, "write the program's path from / on"));
    }
    nul::hook(field, hook)?;
    if let Some(timeout) = hook.timeout().filter(|timeout| *timeout <= 0) {
        let problem = format!("{timeout} seconds is not a time to wait");
        return Err(invalid(format!("{field}.timeout"), problem, "use a number above 0, or leave it out"));
    }
    Ok(())
}
