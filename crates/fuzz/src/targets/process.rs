//! The `process` object of `exec --process`, and what is stored of a container's own process for `exec`.

use std::path::{Path, PathBuf};

use rootling_rootless::host::{Fixture, Host};
use rootling_runtime::{ExecOptions, Slot, fuzzing};
use serde_json::Value;

use super::state::{canonical, container, write};
use crate::check::{Answer, Run};

/// What is stored for a container of a typical engine.
const STORED: &str = include_str!("../../corpus/stored-process/usual.json");

/// The file of `exec --process`.
pub(super) fn file() -> Run {
    let (root, dir, slot) = container();
    write(&dir.join("process.json"), STORED.as_bytes());
    let path = root.path().join("asked.json");
    let options = options(Some(path.clone()), &slot);
    Box::new(move |input| {
        let _held = &root;
        write(&path, input);
        Ok(exec(&slot, &options).0)
    })
}

/// `process.json` of the state directory.
pub(super) fn stored() -> Run {
    let (root, dir, slot) = container();
    let path = dir.join("process.json");
    let options = options(None, &slot);
    Box::new(move |input| {
        let _held = &root;
        write(&path, input);
        let (answer, read) = exec(&slot, &options);
        if let Some(read) = read {
            write(&path, read.to_string().as_bytes());
            let again = exec(&slot, &options).1.ok_or("what was written cannot be read")?;
            if canonical(again) != canonical(read) {
                return Err("what is read, written and read again is another process".to_owned());
            }
        }
        Ok(answer)
    })
}

fn exec(slot: &Slot, options: &ExecOptions) -> (Answer, Option<Value>) {
    let mut said = Vec::new();
    match fuzzing::exec(&Host::on(Fixture::ordinary(1000)), slot, options, &mut |line| said.push(line)) {
        Ok(read) => (Answer::Accepted(said), Some(read)),
        Err(error) => (Answer::Refused(error.to_string()), None),
    }
}

fn options(process: Option<PathBuf>, slot: &Slot) -> ExecOptions {
    let args = if process.is_some() { Vec::new() } else { vec!["true".to_owned()] };
    ExecOptions {
        process,
        cwd: Some(Path::new("/").to_owned()),
        env: vec!["A=b".to_owned()],
        additional_gids: vec![5],
        caps: vec!["KILL".to_owned()],
        ..ExecOptions::new(slot.id().clone(), args)
    }
}
