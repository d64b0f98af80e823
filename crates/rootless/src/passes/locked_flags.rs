//! In a user namespace, the flags of the mount that a bind mount's source is on cannot be cleared, and a remount of
//! the bind mount that does not repeat them is refused; `mount_namespaces`(7).

use std::path::{Path, PathBuf};

use oci_spec::runtime::Mount;
use rootling_config::mounts::table::{Effect, SWITCHES, Switch, effect, is_about_access_times};
use rootling_sys::mount::{ST_NOATIME, ST_NODIRATIME, ST_RELATIME};

use super::view::{destination, options};
use crate::adaptation::Adaptation;
use crate::pass::{AdaptError, Pass};

/// The flags that cannot be cleared in a user namespace.
fn locked_switches() -> impl Iterator<Item = &'static Switch> {
    SWITCHES.iter().filter(|switch| switch.locked)
}

pub(crate) fn run(pass: &mut Pass<'_>) -> Result<(), AdaptError> {
    let mut changes = Vec::new();
    for (index, mount) in pass.spec.mounts_mut().iter_mut().flatten().enumerate() {
        let given = Given::by(mount);
        if !given.may_lose_flags {
            continue;
        }
        let Some(source) = mount.source().as_ref().map(|source| pass.options.bundle.join(source)) else {
            continue;
        };
        // A missing source is reported when it is mounted.
        let Ok(facts) = pass.host.filesystem(&source) else { continue };
        let mut bind =
            Bind { index, mount, source: &source, strict: pass.options.strict, changes: &mut changes };
        bind.keep_flags(facts.flags)?;
        if given.access_times {
            bind.keep_atime(facts.flags)?;
        }
    }
    pass.changes.append(&mut changes);
    Ok(())
}

/// What the options of a mount say about its flags.
struct Given {
    /// Only a bind mount with flags of its own is remounted, and one that already has all of the flags cannot lose any.
    may_lose_flags: bool,
    /// The access time mode is locked as a whole: without an option about it, the kernel keeps that of the source's mount.
    access_times: bool,
}

impl Given {
    /// Each word is looked up once: there may be thousands of mounts.
    fn by(mount: &Mount) -> Self {
        let mut is_bind = mount.typ().as_deref() == Some("bind");
        let (mut has_flags, mut access_times, mut set) = (false, false, 0);
        for effect in options(mount).iter().filter_map(|option| effect(option)) {
            is_bind |= matches!(effect, Effect::Bind(_));
            access_times |= effect.is_about_access_times();
            for switch in &SWITCHES {
                if effect.sets(switch) {
                    (has_flags, set) = (true, set | switch.ms);
                } else if effect.clears(switch) {
                    (has_flags, set) = (true, set & !switch.ms);
                }
            }
        }
        let lacks_one = || locked_switches().any(|switch| set & switch.ms == 0);
        Self { may_lose_flags: is_bind && (access_times || has_flags && lacks_one()), access_times }
    }
}

/// Whether the flag is set: of two contradictory options the later one counts, as in mount(8).
fn is_set(given: &[String], switch: &Switch) -> bool {
    let last = given.iter().rev().find(|option| switch.is_set_by(option) || switch.is_cleared_by(option));
    last.is_some_and(|option| switch.is_set_by(option))
}

struct Bind<'a> {
    index: usize,
    mount: &'a mut Mount,
    source: &'a Path,
    strict: bool,
    changes: &'a mut Vec<Adaptation>,
}

impl Bind<'_> {
    fn keep_flags(&mut self, locked: u64) -> Result<(), AdaptError> {
        for switch in locked_switches().filter(|switch| locked & switch.st != 0) {
            if is_set(options(self.mount), switch) {
                continue;
            }
            let contrary = options(self.mount).iter().find(|option| switch.is_cleared_by(option)).cloned();
            self.replace(|option| switch.is_cleared_by(option), &[switch.name]);
            self.report(contrary, switch.name)?;
        }
        Ok(())
    }

    fn keep_atime(&mut self, locked: u64) -> Result<(), AdaptError> {
        let given: Vec<String> =
            options(self.mount).iter().filter(|option| is_about_access_times(option)).cloned().collect();
        let wanted = atime_options(locked);
        if given == wanted {
            return Ok(());
        }
        self.replace(is_about_access_times, &wanted);
        self.report(given.first().cloned(), wanted[0])
    }

    fn replace(&mut self, gone: impl Fn(&str) -> bool, new: &[&str]) {
        let all = self.mount.options_mut().get_or_insert_default();
        all.retain(|option| !gone(option));
        all.extend(new.iter().map(|option| (*option).to_owned()));
    }

    fn report(&mut self, contrary: Option<String>, locked: &'static str) -> Result<(), AdaptError> {
        let destination: PathBuf = destination(self.mount);
        let why = format!(
            "the mount of {} has it, and it cannot be cleared in a user namespace",
            self.source.display()
        );
        let at = format!("mounts[{}]: {}", self.index, destination.display());
        match contrary {
            None => self.changes.push(Adaptation::note(format!("{at}: added option \"{locked}\""), why)),
            Some(option) if self.strict => {
                let (index, source_path) = (self.index, self.source.to_owned());
                return Err(AdaptError::LockedFlag { index, destination, option, source_path, locked });
            }
            Some(option) => {
                let what = format!("{at}: option \"{option}\" replaced by \"{locked}\"");
                self.changes.push(Adaptation::warning(what, why));
            }
        }
        Ok(())
    }
}

fn atime_options(flags: u64) -> Vec<&'static str> {
    let kept = match flags {
        _ if flags & ST_NOATIME != 0 => "noatime",
        _ if flags & ST_RELATIME != 0 => "relatime",
        _ => "strictatime",
    };
    let dirs = (flags & ST_NODIRATIME != 0).then_some("nodiratime");
    std::iter::once(kept).chain(dirs).collect()
}
