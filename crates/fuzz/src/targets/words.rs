//! Short texts: lines of `KIND TEXT`.

use rootling_config::id::ContainerId;
use rootling_config::process::affinity;
use rootling_init::error::chain;
use rootling_rootless::idmap::MapOwner;
use rootling_runtime::{fuzzing, parse_signal};

use crate::check::{Answer, Run};

pub(super) fn start() -> Run {
    Box::new(|input| {
        let text = String::from_utf8_lossy(input);
        let mut refused = None;
        for line in text.lines().take(1000) {
            let (kind, word) = line.split_once(' ').unwrap_or((line, ""));
            if let Err(error) = read(kind, word)? {
                refused = Some(error);
            }
        }
        Ok(refused.map_or(Answer::Accepted(Vec::new()), Answer::Refused))
    })
}

/// Parses a word: the inner error is the caller's, and the outer one says which property is violated.
fn read(kind: &str, word: &str) -> Result<Result<(), String>, String> {
    fn told<T, E: std::error::Error>(result: Result<T, E>) -> Result<(), String> {
        result.map(drop).map_err(|e| chain(&e))
    }
    Ok(match kind {
        "id" => match ContainerId::parse(word) {
            // It becomes the name of a directory.
            Ok(id) if id.as_str().contains('/') || [".", "..", ""].contains(&id.as_str()) => {
                return Err(format!("{id:?} is an id"));
            }
            other => told(other),
        },
        "cpus" => told(affinity::parse(word)),
        "signal" => match parse_signal(word) {
            Ok(signal) if !(0..=64).contains(&signal) => return Err(format!("{word:?} is signal {signal}")),
            other => told(other),
        },
        "owner" => told(word.parse::<MapOwner>()),
        "stat" => {
            fuzzing::stat(word.as_bytes());
            Ok(())
        }
        "cgroup" => told(fuzzing::cgroups(&word.split(' ').map(str::to_owned).collect::<Vec<_>>())),
        _ => Ok(()),
    })
}
