//! `kill`.

use std::str::FromStr;

use nix::sys::signal::Signal;
use rootling_config::id::ContainerId;

use crate::error::{Error, ErrorKind, Result, of_cgroup};
use crate::process::ProcessRef;
use crate::state::{Record, Status};
use crate::store::Store;

/// Sends a signal to the first process of a container or, with `all`, to every process.
///
/// SIGKILL also goes to all of them if the container has no pid namespace of its own, since the other processes would
/// outlive the first one. With `all` it is no failure if no process is left to get the signal, as engines expect.
/// `signal` is a number of signal(7), as [`parse_signal`] returns it for a name.
///
/// # Errors
/// There is no such container, or it has stopped (`WrongState`).
pub fn kill(store: &Store, id: &ContainerId, signal: i32, all: bool) -> Result<()> {
    let slot = store.open(id)?;
    let record = slot.read()?;
    // Everything except a signal to the first process uses the path of the cgroup. If another command is making or
    // removing the container, no other container can have that cgroup.
    let _held = slot.hold_if_free()?;
    let stopped = slot.status(&record)? == Status::Stopped;
    let everyone = all || (signal == Signal::SIGKILL as i32 && !record.own_pid_namespace);
    if everyone && !record.cgroup.is_none() {
        if stopped && !all && record.cgroup.is_empty() {
            return Err(not_running(id, signal));
        }
        // A first process that has moved itself to another cgroup is not among the members of the container's.
        let outside = record.init.filter(|init| !stopped && !record.cgroup.pids().contains(&init.pid));
        record.cgroup.kill_all(signal).map_err(of_cgroup)?;
        return match outside.map_or(Ok(()), |init| signal_members(&record, init, signal)) {
            Err(e) if e.kind() == ErrorKind::WrongState => Ok(()),
            other => other,
        };
    }
    let Some(init) = record.init.filter(|_| !stopped) else {
        return if all { Ok(()) } else { Err(not_running(id, signal)) };
    };
    let sent =
        if everyone { signal_members(&record, init, signal) } else { signal_first(&record, init, signal) };
    match sent {
        Err(e) if e.kind() == ErrorKind::WrongState && all => Ok(()),
        Err(e) if e.kind() == ErrorKind::WrongState => Err(not_running(id, signal)),
        other => other,
    }
}

fn not_running(id: &ContainerId, signal: i32) -> Error {
    Error::new(
        ErrorKind::WrongState,
        format!("container not running: \"{id}\" has stopped, and no process is left to get signal {signal}"),
    )
}

fn signal_first(record: &Record, init: ProcessRef, signal: i32) -> Result<()> {
    init.signal(signal)?;
    // On cgroup v1 a frozen process does not die, not even of SIGKILL.
    if signal == Signal::SIGKILL as i32 {
        record.cgroup.release_killed().map_err(of_cgroup)?;
    }
    Ok(())
}

/// How often to look again for processes that were made while the others got their signal.
const LOOKS: usize = 5;

/// Without a cgroup nothing stops the processes from making new ones, so look until no new ones are found.
fn signal_members(record: &Record, init: ProcessRef, signal: i32) -> Result<()> {
    if signal == Signal::SIGKILL as i32 && record.own_pid_namespace {
        // The kernel kills the others when it ends: pid_namespaces(7).
        return init.signal(signal);
    }
    let mut sent = Vec::new();
    for _ in 0..LOOKS {
        let new: Vec<_> = super::ps::without_cgroup(record, init)
            .into_iter()
            .filter(|member| !sent.contains(member))
            .collect();
        if new.is_empty() {
            break;
        }
        for member in new {
            match member.signal(signal) {
                Err(e) if e.kind() == ErrorKind::WrongState && member != init => {}
                other => other?,
            }
            sent.push(member);
        }
    }
    Ok(())
}

/// Parses a signal that is given by number or by name, with or without `SIG`.
pub fn parse_signal(text: &str) -> Result<i32> {
    let unknown = || {
        Error::invalid(format!(
            "unknown signal {text:?}; give a name such as TERM or SIGTERM, or a number from 0 to 64"
        ))
    };
    if let Ok(number) = text.parse::<i32>() {
        // 0 only checks whether the process exists: kill(2).
        return if (0..=64).contains(&number) { Ok(number) } else { Err(unknown()) };
    }
    let upper = text.to_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    real_time(name)
        .or_else(|| Signal::from_str(&format!("SIG{name}")).ok().map(|s| s as i32))
        .ok_or_else(unknown)
}

/// `RTMIN`, `RTMIN+n`, `RTMAX`, `RTMAX-n`; signal(7).
fn real_time(name: &str) -> Option<i32> {
    let number = if let Some(rest) = name.strip_prefix("RTMIN") {
        34 + if rest.is_empty() { 0 } else { rest.strip_prefix('+')?.parse::<i32>().ok()? }
    } else {
        let rest = name.strip_prefix("RTMAX")?;
        64 - if rest.is_empty() { 0 } else { rest.strip_prefix('-')?.parse::<i32>().ok()? }
    };
    (34..=64).contains(&number).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_by_name_and_number() {
        for (text, number) in [
            ("TERM", 15),
            ("SIGTERM", 15),
            ("sigkill", 9),
            ("9", 9),
            ("0", 0),
            ("RTMIN+1", 35),
            ("SIGRTMAX", 64),
        ] {
            assert_eq!(parse_signal(text).unwrap(), number, "{text}");
        }
        for text in ["", "SIG", "FOO", "-1", "65", "RTMIN+99", "RTMAX-64"] {
            assert!(parse_signal(text).unwrap_err().to_string().contains("unknown signal"), "{text}");
        }
    }
}
