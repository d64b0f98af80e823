//! Seccomp profiles, down to the program for the kernel.

use std::path::Path;

use rootling_config::{load, seccomp};
use rootling_init::error::chain;

use crate::check::{Answer, Run};

/// `struct sock_filter`, linux/filter.h.
const INSTRUCTION: usize = 8;

pub(super) fn start() -> Run {
    Box::new(run)
}

fn run(input: &[u8]) -> Result<Answer, String> {
    let document = [br#"{"ociVersion":"1.2.0","linux":{"seccomp":"#, input, b"}}"].concat();
    let spec = match load::from_slice(Path::new("config.json"), &document) {
        Ok(loaded) => loaded.spec,
        Err(error) => return Ok(Answer::Refused(chain(&error))),
    };
    let Some(profile) = spec.linux().as_ref().and_then(|linux| linux.seccomp().as_ref()) else {
        return Ok(Answer::Accepted(Vec::new()));
    };
    match seccomp::compile(profile) {
        Ok(Some(program)) if program.is_empty() || program.bpf.len() % INSTRUCTION != 0 => {
            Err(format!("a program of {} bytes", program.bpf.len()))
        }
        Ok(_) => Ok(Answer::Accepted(Vec::new())),
        Err(error) => Ok(Answer::Refused(chain(&error))),
    }
}
