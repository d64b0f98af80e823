//! `state.json`, which every command reads.

use std::path::{Path, PathBuf};

use rootling_config::id::ContainerId;
use rootling_runtime::{Record, Slot, Status, Store};
use serde_json::Value;

use super::host::{choice, directory};
use crate::check::{Answer, Run};

/// The contents before the container has a process.
const WITHOUT_PROCESS: &str = include_str!("../../corpus/state/creating.json");

pub(super) fn start() -> Run {
    let (root, dir, slot) = container();
    let path = dir.join("state.json");
    Box::new(move |input| {
        let _held = &root;
        write(&path, input);
        let record = match slot.read() {
            Ok(record) => record,
            Err(error) => return Ok(Answer::Refused(error.to_string())),
        };
        comes_back(&record, &slot, &path)?;
        Ok(Answer::Accepted(Vec::new()))
    })
}

/// `recovery`, which is read in addition: the input with its checksum or, for some inputs, as the whole file.
pub(super) fn recovery() -> Run {
    let (root, dir, slot) = container();
    let (path, record) = (dir.join("recovery"), dir.join("state.json"));
    Box::new(move |input| {
        let _held = &root;
        let whole = match choice(input, 8) {
            0 => input.to_owned(),
            _ => [
                format!("{:08x} ", crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC).checksum(input)).as_bytes(),
                input,
            ]
            .concat(),
        };
        write(&path, &whole);
        write(&record, WITHOUT_PROCESS.as_bytes());
        let found = slot.read().map_err(|e| format!("a whole record cannot be read: {e}"))?;
        comes_back(&found, &slot, &record)?;
        Ok(found.init.map_or_else(
            || Answer::Refused("it says nothing of the process".to_owned()),
            |_| Answer::Accepted(Vec::new()),
        ))
    })
}

fn comes_back(record: &Record, slot: &Slot, path: &Path) -> Result<(), String> {
    let json = |record: &Record| serde_json::to_value(record).map_err(|e| format!("cannot be written: {e}"));
    let written = json(record)?;
    write(path, written.to_string().as_bytes());
    let again = slot.read().map_err(|e| format!("what was written cannot be read: {e}"))?;
    if canonical(json(&again)?) != canonical(written) {
        return Err("what is read, written and read again is another record".to_owned());
    }
    for status in [Status::Running, Status::Stopped] {
        serde_json::to_string(&record.view(status)).map_err(|e| format!("cannot be shown: {e}"))?;
    }
    record.cgroup.paths();
    Ok(())
}

/// A document with ordered lists: those of capabilities are sets, which have no order.
pub(super) fn canonical(value: Value) -> Value {
    match value {
        Value::Object(members) => members.into_iter().map(|(name, value)| (name, canonical(value))).collect(),
        Value::Array(items) => {
            let mut items: Vec<Value> = items.into_iter().map(canonical).collect();
            items.sort_by_cached_key(Value::to_string);
            Value::Array(items)
        }
        other => other,
    }
}

/// Replaces a file in the target's own directory.
pub(super) fn write(path: &Path, content: &[u8]) {
    std::fs::write(path, content).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
}

/// A state directory without a container.
pub(super) fn container() -> (tempfile::TempDir, PathBuf, Slot) {
    let root = directory();
    let dir = root.path().join("web");
    std::fs::create_dir(&dir).expect("make a state directory");
    let id = ContainerId::parse("web").expect("an id");
    let slot = Store::named(root.path()).open(&id).expect("open a state directory");
    (root, dir, slot)
}
