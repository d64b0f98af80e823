//! A host that consists of plain values.

use crate::CgroupManager;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::*;
use crate::process::affinity;
use crate::resources::{Controllers, LimitSupport};

/// Files by path.
#[derive(Clone, Debug, Default)]
pub(super) struct Paths {
    nodes: BTreeMap<PathBuf, NodeKind>,
    texts: BTreeMap<PathBuf, String>,
}

impl Paths {
    pub(super) fn with(mut self, path: &str, kind: NodeKind) -> Self {
        self.nodes.insert(path.into(), kind);
        self
    }

    pub(super) fn text(mut self, path: &str, text: &str) -> Self {
        self.texts.insert(path.into(), text.to_owned());
        self.with(path, NodeKind::Other)
    }
}

impl Files for Paths {
    fn node(&self, path: &Path) -> io::Result<Node> {
        let kind = *self.nodes.get(path).ok_or(io::ErrorKind::NotFound)?;
        Ok(Node { kind, mode: 0o660, uid: 0, gid: 6 })
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<PathBuf>> {
        Ok(self.nodes.keys().filter(|path| path.parent() == Some(directory)).cloned().collect())
    }

    fn real_path(&self, path: &Path) -> io::Result<PathBuf> {
        self.node(path).map(|_| path.to_owned())
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.texts.get(path).map(|text| text.clone().into_bytes()).ok_or(io::ErrorKind::NotFound.into())
    }
}

/// A host with the usual files.
pub(super) fn paths() -> Paths {
    Paths::default()
        .with("/etc/hosts", NodeKind::Other)
        .with("/etc/resolv.conf", NodeKind::Other)
        .with("/dev/mqueue", NodeKind::Directory)
        .with("/dev/snd", NodeKind::Directory)
        .with("/dev/snd/seq", NodeKind::Char(116, 1))
        .with("/dev/snd/by-id", NodeKind::Directory)
        .with("/dev/snd/by-id/card", NodeKind::Char(116, 2))
        .with("/dev/snd/socket", NodeKind::Other)
        .with("/dev/empty", NodeKind::Directory)
        .with("/dev/fuse", NodeKind::Char(10, 229))
        .with("/dev/sda", NodeKind::Block(8, 0))
        .with("/data", NodeKind::Directory)
        .with("/home/ann/here", NodeKind::Directory)
}

/// The caller with the uid `uid`, on a host that supports everything.
pub(super) fn caller(uid: u32) -> Facts {
    Facts {
        uid,
        gid: uid,
        cgroup2: true,
        support: LimitSupport {
            cpus: affinity::parse("0-3").expect("list"),
            mems: affinity::parse("0").expect("list"),
            swap: true,
            swappiness: true,
            oom_kill_disable: true,
            blkio_weight: true,
            realtime: Some(500_000),
            controllers: Controllers::ALL,
        },
        cgroup_manager: CgroupManager::Cgroupfs,
        oom_score_adj: 0,
        capabilities: (1 << 41) - 1,
        last_cap: 40,
        hard_limits: Vec::new(),
        kernel: (6, 1),
        first_free_port: Some(0),
        may_ping: true,
        apparmor: true,
        selinux: true,
        cwd: "/home/ann".into(),
    }
}

pub(super) fn made(request: &Request, facts: &Facts) -> Result<(Value, Vec<String>), GenerateError> {
    made_with(request, facts, &paths())
}

pub(super) fn made_with(
    request: &Request,
    facts: &Facts,
    files: &Paths,
) -> Result<(Value, Vec<String>), GenerateError> {
    let made = build(request, facts.is_ordinary_user(), facts, files)?;
    Ok((serde_json::to_value(made.spec).expect("serialises"), made.warnings))
}

/// The spec for root; fails if there are warnings.
#[track_caller]
#[allow(clippy::needless_pass_by_value)] // A request is written where it is passed.
pub(super) fn root(request: Request) -> Value {
    let (spec, warnings) = made(&request, &caller(0)).expect("a spec");
    assert_eq!(warnings, [""; 0]);
    spec
}

/// The spec for an ordinary user; fails if there are warnings.
#[track_caller]
#[allow(clippy::needless_pass_by_value)] // A request is written where it is passed.
pub(super) fn user(request: Request) -> Value {
    let (spec, warnings) = made(&request, &caller(1000)).expect("a spec");
    assert_eq!(warnings, [""; 0]);
    spec
}

/// The error for root.
#[track_caller]
#[allow(clippy::needless_pass_by_value)] // A request is written where it is passed.
pub(super) fn refused(request: Request) -> String {
    made(&request, &caller(0)).expect_err("an error").to_string()
}

/// The mount at `destination`.
pub(super) fn mount_at(spec: &Value, destination: &str) -> Value {
    let mounts = spec["mounts"].as_array().expect("mounts");
    let found: Vec<_> = mounts.iter().filter(|mount| mount["destination"] == destination).collect();
    assert!(found.len() < 2, "mounted twice: {found:?}");
    found.first().copied().cloned().unwrap_or_default()
}

pub(super) fn strings(values: &[&str]) -> Vec<String> {
    values.iter().map(|value| (*value).to_owned()).collect()
}
