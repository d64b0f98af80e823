//! `--security-opt` and `--privileged-in-userns`.

use std::path::PathBuf;

use oci_spec::runtime::{LinuxNamespaceType, LinuxSeccomp, Spec};

use super::error::{GenerateError, wrong};
use super::namespaces::has;
use super::words::boolean;
use super::{Facts, Files, Request};
use crate::seccomp;

/// How system calls are filtered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Seccomp {
    #[default]
    Default,
    Unconfined,
    File(PathBuf),
}

/// The options that were given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Options {
    no_new_privileges: Option<bool>,
    seccomp: Option<Seccomp>,
    apparmor: Option<String>,
    label: Label,
}

/// The parts of an SELinux context.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Label {
    disable: bool,
    user: Option<String>,
    role: Option<String>,
    typ: Option<String>,
    level: Option<String>,
}

impl Label {
    /// Whether a context was asked for. None is set by default.
    fn is_wanted(&self) -> bool {
        !self.disable && *self != Self::default()
    }

    /// The contexts of the process and of its mounts.
    fn contexts(&self) -> [String; 2] {
        let part =
            |part: &Option<String>, otherwise: &str| part.clone().unwrap_or_else(|| otherwise.to_owned());
        let (user, level) = (part(&self.user, "system_u"), part(&self.level, "s0"));
        let process =
            [user.clone(), part(&self.role, "system_r"), part(&self.typ, "container_t"), level.clone()];
        let files = [user, "object_r".to_owned(), "container_file_t".to_owned(), level];
        [process.join(":"), files.join(":")]
    }
}

pub(super) fn run(
    spec: &mut Spec,
    request: &Request,
    facts: &Facts,
    files: &dyn Files,
    warnings: &mut Vec<String>,
) -> Result<(), GenerateError> {
    let options = parse(&request.security_opt, warnings)?;
    if request.privileged_in_userns {
        open(spec)?;
    }
    let seccomp = options.seccomp.clone().unwrap_or(if request.privileged_in_userns {
        Seccomp::Unconfined
    } else {
        Seccomp::Default
    });
    let profile = profile(&seccomp, spec, facts, files)?;
    let Some(process) = spec.process_mut() else { return Ok(()) };
    if let Some(wanted) = options.no_new_privileges.or(request.privileged_in_userns.then_some(false)) {
        process.set_no_new_privileges(Some(wanted));
    }
    match options.apparmor {
        Some(name) if name != "unconfined" && facts.apparmor => {
            process.set_apparmor_profile(Some(name));
        }
        Some(name) if name != "unconfined" => {
            warnings.push(format!("--security-opt apparmor={name}: AppArmor is not enabled here; left out"));
        }
        _ => {}
    }
    let wanted = options.label.is_wanted();
    if wanted && !facts.selinux {
        warnings.push("--security-opt label: SELinux is not enabled here; left out".to_owned());
    }
    let labels = (wanted && facts.selinux).then(|| options.label.contexts());
    if let Some([context, _]) = &labels {
        process.set_selinux_label(Some(context.clone()));
    }
    if let Some(linux) = spec.linux_mut() {
        linux.set_seccomp(profile);
        if let Some([_, context]) = labels {
            linux.set_mount_label(Some(context));
        }
    }
    Ok(())
}

fn parse(given: &[String], warnings: &mut Vec<String>) -> Result<Options, GenerateError> {
    let mut options = Options::default();
    for text in given {
        let (name, value) = match (text.split_once('='), text.split_once(':')) {
            (Some((name, value)), _) if !name.contains(':') => (name, Some(value)),
            (_, Some((name, value))) => {
                warnings.push(format!(
                    "--security-opt {text:?}: a colon after the name is deprecated; write {name}={value}"
                ));
                (name, Some(value))
            }
            _ => (text.as_str(), None),
        };
        one(&mut options, name, value).map_err(|problem| GenerateError::SecurityOption {
            value: text.clone(),
            problem: if problem.is_empty() { problem } else { format!(": {problem}") },
        })?;
    }
    Ok(options)
}

fn one(options: &mut Options, name: &str, value: Option<&str>) -> Result<(), String> {
    match (name, value) {
        ("no-new-privileges", None) => options.no_new_privileges = Some(true),
        ("no-new-privileges", Some(value)) => {
            options.no_new_privileges =
                Some(boolean(value).ok_or_else(|| format!("{value:?} is neither true nor false"))?);
        }
        ("seccomp", Some("default")) => options.seccomp = Some(Seccomp::Default),
        ("seccomp", Some("unconfined")) => options.seccomp = Some(Seccomp::Unconfined),
        ("seccomp", Some(file)) if !file.is_empty() => options.seccomp = Some(Seccomp::File(file.into())),
        ("apparmor", Some(name)) if !name.is_empty() => options.apparmor = Some(name.to_owned()),
        // Docker's older name for it.
        ("disable", None) => options.label.disable = true,
        ("label", Some(label)) => return set_label(&mut options.label, label),
        _ => return Err(String::new()),
    }
    Ok(())
}

fn set_label(label: &mut Label, text: &str) -> Result<(), String> {
    match text.split_once(':') {
        None if text == "disable" => label.disable = true,
        Some((_, "")) => return Err(format!("label {text:?} has no value")),
        Some(("user", value)) => label.user = Some(value.to_owned()),
        Some(("role", value)) => label.role = Some(value.to_owned()),
        Some(("type", value)) => label.typ = Some(value.to_owned()),
        Some(("level", value)) => label.level = Some(value.to_owned()),
        _ => return Err(format!("label {text:?} is not known")),
    }
    Ok(())
}

/// Allows everything that root of a user namespace can have. Without such a namespace it would be the whole host.
fn open(spec: &mut Spec) -> Result<(), GenerateError> {
    if !has(spec, LinuxNamespaceType::User) {
        let problem = "needs a user namespace, or the container's root would be the host's; add --userns";
        return Err(wrong("privileged-in-userns", true, problem));
    }
    if let Some(linux) = spec.linux_mut() {
        linux.set_masked_paths(None).set_readonly_paths(None);
    }
    for mount in spec.mounts_mut().iter_mut().flatten() {
        if matches!(mount.typ().as_deref(), Some("sysfs" | "cgroup"))
            && let Some(options) = mount.options_mut()
        {
            options.retain(|option| option != "ro");
        }
    }
    Ok(())
}

fn profile(
    wanted: &Seccomp,
    spec: &Spec,
    facts: &Facts,
    files: &dyn Files,
) -> Result<Option<LinuxSeccomp>, GenerateError> {
    let process = spec.process().as_ref().and_then(|process| process.capabilities().as_ref());
    let capabilities = process.and_then(|sets| sets.bounding().clone()).unwrap_or_default();
    match wanted {
        Seccomp::Unconfined => Ok(None),
        Seccomp::Default => Ok(Some(seccomp::default_profile(&capabilities))),
        Seccomp::File(path) => {
            let value = || format!("seccomp={}", path.display());
            let bytes = files
                .read(&facts.cwd.join(path))
                .map_err(|error| wrong("security-opt", value(), format!("cannot be read: {error}")))?;
            let conditions = seccomp::Conditions { capabilities: &capabilities, kernel: facts.kernel };
            seccomp::read_profile(&bytes, &conditions)
                .map(Some)
                .map_err(|error| wrong("security-opt", value(), error.to_string()))
        }
    }
}
