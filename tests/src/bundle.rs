//! Bundles: a busybox root file system and a config.json that tests edit.

use std::fs;
use std::os::unix::fs::{PermissionsExt, lchown, symlink};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::{Account, Test, Who, skip};

/// The ids that a container's user namespace maps.
#[derive(Clone, Copy, Debug)]
pub enum Ids {
    /// No user namespace in the configuration.
    None,
    /// The caller's own ids as 0. The numbers are the caller's uid and gid.
    Single(u32, u32),
    /// The caller's own ids as 0, followed by the first `count` subordinate ones from 1 up.
    Ranges {
        /// First subordinate uid.
        uid: u32,
        /// First subordinate gid.
        gid: u32,
        /// The number of ids.
        count: u32,
    },
}

/// A bundle; [`Bundle::write`] puts the configuration on disk.
#[derive(Debug, Clone)]
pub struct Bundle {
    dir: PathBuf,
    account: Account,
    /// The contents of config.json.
    pub config: Value,
}

impl Bundle {
    pub(crate) fn new(test: &Test, dir: PathBuf) -> Self {
        let mut bundle = Self { dir, account: test.account().clone(), config: default_config(test.marker()) };
        match test.who() {
            Who::User => {
                let Account { uid, gid, .. } = bundle.account;
                bundle.ids(Ids::Single(uid, gid));
            }
            Who::Root => {
                bundle.set("/linux/resources", json!({"devices": [{"allow": false, "access": "rwm"}]}));
            }
        }
        bundle
    }

    /// The bundle's directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The path on the host of a path inside the root file system.
    pub fn rootfs(&self, inside: &str) -> PathBuf {
        self.dir.join("rootfs").join(inside.trim_start_matches('/'))
    }

    /// Makes a link in the root file system.
    pub fn link(&self, name: &str, target: &str) {
        symlink(target, self.rootfs(name)).expect("make the link");
    }

    /// Makes a second bundle next to this one, which shares its root file system but has its own config.json.
    #[must_use]
    pub fn sibling(&self, test: &Test, args: &[&str]) -> Self {
        let dir = test.path(&format!("bundle{}", test.next_serial()));
        fs::create_dir(&dir).expect("make the sibling bundle");
        let mut sibling = Self { dir, ..self.clone() };
        sibling
            .set("/root/path", self.dir.join("rootfs").to_string_lossy().into())
            .set("/process/args", args.into());
        sibling.own_all();
        sibling
    }

    /// Sets the value at a JSON pointer (RFC 6901); missing objects on the way are made, and `-` appends to an
    /// array.
    pub fn set(&mut self, pointer: &str, value: Value) -> &mut Self {
        let mut at = &mut self.config;
        for key in pointer.split('/').skip(1) {
            if at.is_null() {
                *at = json!({});
            }
            at = match at {
                Value::Array(items) => {
                    let index =
                        if key == "-" { items.len() } else { key.parse().expect("index of an array") };
                    items.resize(items.len().max(index + 1), Value::Null);
                    &mut items[index]
                }
                Value::Object(members) => members.entry(key).or_insert(Value::Null),
                scalar => panic!("{scalar} is in the way of {pointer}"),
            };
        }
        *at = value;
        self
    }

    /// Removes the member of an object at a JSON pointer.
    pub fn remove(&mut self, pointer: &str) -> &mut Self {
        let (parent, key) = pointer.rsplit_once('/').expect("a JSON pointer");
        let parent = self.config.pointer_mut(parent).expect("the pointer's parent");
        parent.as_object_mut().expect("an object").remove(key);
        self
    }

    /// Removes the mount on `destination`, so that the container has what the image has there.
    pub fn without_mount(&mut self, destination: &str) -> &mut Self {
        let mounts = self.config["mounts"].as_array_mut().expect("mounts are a list");
        mounts.retain(|mount| mount["destination"] != destination);
        self
    }

    /// Appends a mount; an empty `kind` is left out, as for a bind mount.
    pub fn mount(&mut self, destination: &str, kind: &str, source: &str, options: &[&str]) -> &mut Self {
        let mut mount = json!({"destination": destination, "source": source, "options": options});
        if !kind.is_empty() {
            mount["type"] = kind.into();
        }
        self.set("/mounts/-", mount)
    }

    /// Bind-mounts a file of the host `count` times read-only, as engines do with /etc/hosts and the like.
    pub fn bind_files(&mut self, test: &Test, count: usize) -> &mut Self {
        let source = test.path("bound").display().to_string();
        fs::write(&source, "").expect("write a file");
        for number in 0..count {
            self.mount(&format!("/tmp/bind{number}"), "bind", &source, &["bind", "ro"]);
        }
        self
    }

    /// Gives the program the capabilities that podman and Docker give, and some more.
    pub fn engine_capabilities(&mut self, more: &[&str]) -> &mut Self {
        const OF_ENGINES: [&str; 11] = [
            "CAP_CHOWN",
            "CAP_DAC_OVERRIDE",
            "CAP_FOWNER",
            "CAP_FSETID",
            "CAP_KILL",
            "CAP_NET_BIND_SERVICE",
            "CAP_SETFCAP",
            "CAP_SETGID",
            "CAP_SETPCAP",
            "CAP_SETUID",
            "CAP_SYS_CHROOT",
        ];
        self.capabilities(&[&OF_ENGINES, more].concat())
    }

    /// Gives the program exactly these capabilities, and lets it use them.
    pub fn capabilities(&mut self, names: &[&str]) -> &mut Self {
        let sets = json!({"bounding": names, "effective": names, "permitted": names});
        self.set("/process/capabilities", sets)
    }

    /// Replaces the user namespace and its maps.
    pub fn ids(&mut self, ids: Ids) -> &mut Self {
        let map = |own: u32, first: u32, count: u32| {
            let mut map = vec![json!({"containerID": 0, "hostID": own, "size": 1})];
            if count > 0 {
                map.push(json!({"containerID": 1, "hostID": first, "size": count}));
            }
            Value::from(map)
        };
        let (caller, group) = (self.account.uid, self.account.gid);
        self.without_namespace("user");
        let (uids, gids) = match ids {
            Ids::None => {
                self.remove("/linux/uidMappings");
                return self.remove("/linux/gidMappings");
            }
            Ids::Single(uid, gid) => (map(uid, 0, 0), map(gid, 0, 0)),
            Ids::Ranges { uid, gid, count } => (map(caller, uid, count), map(group, gid, count)),
        };
        self.set("/linux/namespaces/-", json!({"type": "user"}));
        self.set("/linux/uidMappings", uids).set("/linux/gidMappings", gids)
    }

    /// Lets the process be any of several ids: for an ordinary user those of its ranges, for root those of the
    /// host. Returns false, with the reason printed, if the user has no range.
    #[must_use]
    pub fn many_ids(&mut self) -> bool {
        if self.account.uid == 0 {
            return true;
        }
        let ranges = self.account.ranges();
        if let Some(ranges) = ranges {
            self.ids(ranges);
        } else {
            skip("the user has no range in /etc/subuid and /etc/subgid");
        }
        ranges.is_some()
    }

    /// Gives the container a user namespace whose root is nobody on the host: an ordinary user's already has one,
    /// and root's gets unused ids.
    pub fn mapped(&mut self) -> &mut Self {
        if self.account.uid != 0 {
            return self;
        }
        let map = json!([{"containerID": 0, "hostID": 100_000, "size": 65536}]);
        self.set("/linux/namespaces/-", json!({"type": "user"}));
        self.set("/linux/uidMappings", map.clone()).set("/linux/gidMappings", map);
        for dir in [&self.dir, &self.rootfs("tmp")] {
            let mode = if dir.ends_with("tmp") { 0o1777 } else { 0o755 };
            fs::set_permissions(dir, fs::Permissions::from_mode(mode)).expect("chmod in the bundle");
        }
        self
    }

    /// Removes a namespace.
    pub fn without_namespace(&mut self, kind: &str) -> &mut Self {
        if let Some(Value::Array(namespaces)) = self.config.pointer_mut("/linux/namespaces") {
            namespaces.retain(|namespace| namespace["type"] != kind);
        }
        self
    }

    /// Writes config.json.
    pub fn write(&self) -> &Self {
        let text = serde_json::to_string_pretty(&self.config).expect("configuration to JSON");
        self.write_text(&text)
    }

    /// Writes `text` as config.json.
    pub fn write_text(&self, text: &str) -> &Self {
        let path = self.dir.join("config.json");
        fs::write(&path, text).expect("write config.json");
        self.own(&path);
        self
    }

    /// Makes the account the owner of a path in the bundle.
    pub(crate) fn own(&self, path: &Path) {
        lchown(path, Some(self.account.uid), Some(self.account.gid)).expect("chown in the bundle");
    }

    /// Makes the account the owner of the whole bundle.
    pub fn own_all(&self) {
        let mut pending = vec![self.dir.clone()];
        while let Some(path) = pending.pop() {
            self.own(&path);
            if path.symlink_metadata().expect("stat in the bundle").is_dir() {
                let entries = fs::read_dir(&path).expect("list in the bundle");
                pending.extend(entries.map(|entry| entry.expect("entry in the bundle").path()));
            }
        }
    }
}

/// What `runc spec` writes, without the user namespace and the resources.
fn default_config(marker: &str) -> Value {
    let capabilities = json!(["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"]);
    json!({
        "ociVersion": "1.0.2",
        "process": {
            "user": {"uid": 0, "gid": 0},
            "args": ["true"],
            "env": ["PATH=/usr/bin:/bin", "TERM=xterm", format!("ROOTLING_TEST={marker}")],
            "cwd": "/",
            "capabilities": {"bounding": capabilities, "effective": capabilities, "permitted": capabilities},
            "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024}],
            "noNewPrivileges": true
        },
        "root": {"path": "rootfs"},
        "hostname": "box",
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs",
             "options": ["nosuid", "strictatime", "mode=755", "size=65536k"]},
            {"destination": "/dev/pts", "type": "devpts", "source": "devpts",
             "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"]},
            {"destination": "/dev/shm", "type": "tmpfs", "source": "shm",
             "options": ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]},
            {"destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue",
             "options": ["nosuid", "noexec", "nodev"]},
            {"destination": "/sys", "type": "sysfs", "source": "sysfs",
             "options": ["nosuid", "noexec", "nodev", "ro"]}
        ],
        "linux": {
            "namespaces": [
                {"type": "pid"}, {"type": "network"}, {"type": "ipc"}, {"type": "uts"},
                {"type": "mount"}, {"type": "cgroup"}
            ],
            "maskedPaths": ["/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/timer_list", "/sys/firmware"],
            "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]
        }
    })
}
