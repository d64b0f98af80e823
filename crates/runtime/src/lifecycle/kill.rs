//! `kill`.

use std::str::FromStr;

use nix::sys::signal::Signal;
use rootling_config::id::ContainerId;

use crate::error::{Error, ErrorKind, Result};
use crate::state::Status;
use crate::store::Store;

/// Sends a signal to the first process of a container, with `all` to every one.
pub fn kill(store: &Store, id: &ContainerId, signal: i32, all: bool) -> Result<()> {
    let slot = store.open(id)?;
    let record = slot.read()?;
    let status = slot.status(&record);
    // Without a pid namespace of its own, its other processes may outlive the first one.
    if (all || !record.own_pid_namespace) && !record.cgroup.is_none() {
        return match record.cgroup.kill_all(signal) {
            // As runc, and as engines expect of `kill --all`: nobody left to get it is no failure.
            Ok(()) => Ok(()),
            Err(error) => Err(error.into()),
        };
    }
    let not_running = || {
        Error::new(
            ErrorKind::WrongState,
            format!(
                "container not running: \"{id}\" has stopped, and no process is left to get signal {signal}"
            ),
        )
    };
    match record.init {
        _ if status == Status::Stopped => Err(not_running()),
        Some(init) => {
            init.signal(signal).map_err(|e| if e.kind() == ErrorKind::WrongState { not_running() } else { e })
        }
        None => Err(not_running()),
    }
}

/// A signal by number or by name, with or without `SIG`.
pub fn parse_signal(text: &str) -> Result<i32> {
    let unknown = || {
        Error::invalid(format!(
            "unknown signal {text:?}; give a name such as TERM or SIGTERM, or a number from 1 to 64"
        ))
    };
    if let Ok(number) = text.parse::<i32>() {
        // 0 asks only whether the process is there: kill(2).
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
