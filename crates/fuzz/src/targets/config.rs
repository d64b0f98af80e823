//! config.json, up to the point where the first process would be made.

use std::path::{Path, PathBuf};

use rootling_config::CgroupManager;
use rootling_config::id::ContainerId;
use rootling_config::load::{self, Loaded};
use rootling_init::error::chain;
use rootling_rootless::adapt;
use rootling_rootless::host::{Fixture, Host};
use rootling_runtime::{CreateOptions, fuzzing};

use super::host::{choice, directory, hosts};
use super::state::canonical;
use crate::check::{Answer, Run};

pub(super) fn start() -> Run {
    let bundle = directory();
    std::fs::create_dir(bundle.path().join("rootfs")).expect("make a rootfs");
    let hosts = hosts();
    Box::new(move |input| run(input, bundle.path(), &hosts))
}

fn run(input: &[u8], bundle: &Path, hosts: &[Fixture]) -> Result<Answer, String> {
    let loaded = match load::from_slice(Path::new("config.json"), input) {
        Ok(loaded) => loaded,
        Err(error) => return Ok(Answer::Refused(chain(&error))),
    };
    let options = options(input, bundle);
    let machine = &hosts[choice(input, hosts.len())];
    adapts_once(&loaded, machine, &options)?;
    comes_back(&loaded)?;
    let again = Loaded { spec: loaded.spec.clone(), warnings: loaded.warnings.clone() };
    let answer = planned(loaded, machine, &options);
    if answer != planned(again, machine, &options) {
        return Err("planned twice, the answer is another one".to_owned());
    }
    Ok(answer)
}

fn planned(loaded: Loaded, machine: &Fixture, options: &CreateOptions) -> Answer {
    let mut said = Vec::new();
    match fuzzing::plan(loaded, &Host::on(machine.clone()), options, &mut |line| said.push(line)) {
        Ok(_) => Answer::Accepted(said),
        Err(error) => Answer::Refused(error.to_string()),
    }
}

/// What was parsed is the same after it is written and parsed again.
fn comes_back(loaded: &Loaded) -> Result<(), String> {
    let json =
        |loaded: &Loaded| serde_json::to_value(&loaded.spec).map_err(|e| format!("cannot be written: {e}"));
    let written = json(loaded)?;
    let again = load::from_slice(Path::new("config.json"), written.to_string().as_bytes())
        .map_err(|e| format!("what was written cannot be read: {}", chain(&e)))?;
    if canonical(json(&again)?) == canonical(written) {
        Ok(())
    } else {
        Err("read, written and read again it is another spec".into())
    }
}

/// Adapting an adapted spec changes nothing.
fn adapts_once(loaded: &Loaded, machine: &Fixture, options: &CreateOptions) -> Result<(), String> {
    let wanted = adapt::Options {
        bundle: options.bundle.clone(),
        ignore_cgroup_limits: options.ignore_cgroup_limits,
        strict: options.strict,
        cgroup_manager: options.cgroup_manager,
        map_owner: None,
    };
    let mut once = loaded.spec.clone();
    if rootling_runtime::adapt(&mut once, &Host::on(machine.clone()), &wanted).is_err() {
        return Ok(());
    }
    let mut twice = once.clone();
    let again = rootling_runtime::adapt(&mut twice, &Host::on(machine.clone()), &wanted)
        .map_err(|e| format!("adapted once, and refused when adapted again: {e}"))?;
    match again.first() {
        None if once == twice => Ok(()),
        None => Err("adapting again changes the spec without a word".to_owned()),
        Some(change) => Err(format!("adapting again changes: {}: {}", change.what, change.why)),
    }
}

/// Options of `create`, which are derived from the input.
fn options(input: &[u8], bundle: &Path) -> CreateOptions {
    let flags = choice(input, 1 << 12) >> 2;
    CreateOptions {
        pid_file: None,
        console_socket: (flags & 1 != 0).then(|| PathBuf::from("/run/console.sock")),
        cgroup_manager: [
            CgroupManager::Cgroupfs,
            CgroupManager::Systemd,
            CgroupManager::Disabled,
            CgroupManager::Cgroupfs,
        ][flags >> 1 & 3],
        ignore_cgroup_limits: flags & 8 != 0,
        strict: flags & 0x30 == 0,
        no_adapt: flags & 0x1c0 == 0,
        ..CreateOptions::new(ContainerId::parse("web").expect("an id"), bundle)
    }
}
