//! Images made by tests: archives written entry by entry, so that they can contain what no program would write, and
//! layouts of them.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::{Output, Test};

/// A tar archive that is being written.
#[derive(Debug, Default, Clone)]
pub struct Tar {
    bytes: Vec<u8>,
}

/// An entry of an archive.
#[derive(Debug, Clone)]
pub struct Entry<'a> {
    /// The type flag: `0` for a file, `5` for a directory.
    pub kind: u8,
    /// The name, of any length and with any bytes except NUL.
    pub name: &'a [u8],
    /// The target of a link.
    pub target: &'a [u8],
    /// Permission bits.
    pub mode: u32,
    /// The owner and the group.
    pub ids: (u64, u64),
    /// The modification time in seconds since 1970.
    pub mtime: u64,
    /// The contents of a file.
    pub data: &'a [u8],
}

impl Default for Entry<'_> {
    fn default() -> Self {
        Self { kind: b'0', name: b"", target: b"", mode: 0o644, ids: (0, 0), mtime: 1_000_000_000, data: b"" }
    }
}

impl Tar {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an entry.
    #[must_use]
    pub fn entry(mut self, entry: &Entry<'_>) -> Self {
        for (kind, text) in [(b'L', entry.name), (b'K', entry.target)] {
            if text.len() > 100 {
                let data = [text, b"\0"].concat();
                self.block(kind, b"././@LongLink", b"", &Entry { data: &data, ..Entry::default() });
            }
        }
        self.block(entry.kind, entry.name, entry.target, entry);
        self
    }

    fn block(&mut self, kind: u8, name: &[u8], target: &[u8], entry: &Entry<'_>) {
        let mut header = tar::Header::new_gnu();
        let old = header.as_old_mut();
        let put = |field: &mut [u8; 100], text: &[u8]| {
            let length = text.len().min(100);
            field[..length].copy_from_slice(&text[..length]);
        };
        put(&mut old.name, name);
        put(&mut old.linkname, target);
        header.set_entry_type(tar::EntryType::new(kind));
        header.set_mode(entry.mode);
        header.set_uid(entry.ids.0);
        header.set_gid(entry.ids.1);
        header.set_mtime(entry.mtime);
        header.set_size(entry.data.len() as u64);
        if matches!(kind, b'3' | b'4') {
            header.set_device_major(1).expect("a device");
            header.set_device_minor(3).expect("a device");
        }
        header.set_cksum();
        self.bytes.extend(header.as_bytes());
        self.bytes.extend(entry.data);
        self.bytes.resize(self.bytes.len().next_multiple_of(512), 0);
    }

    /// Adds an extended header for the next entry.
    #[must_use]
    pub fn pax(mut self, records: &[(&str, &[u8])]) -> Self {
        let mut data = Vec::new();
        for (key, value) in records {
            let rest = key.len() + value.len() + 3;
            let mut length = rest + 1;
            while length.to_string().len() + rest != length {
                length += 1;
            }
            data.extend(format!("{length} {key}=").bytes().chain(value.iter().copied()).chain([b'\n']));
        }
        self.block(b'x', b"PaxHeaders/x", b"", &Entry { data: &data, ..Entry::default() });
        self
    }

    /// Adds a file.
    #[must_use]
    pub fn file(self, name: &str, content: &str) -> Self {
        self.entry(&Entry { name: name.as_bytes(), data: content.as_bytes(), ..Entry::default() })
    }

    /// Adds a directory.
    #[must_use]
    pub fn dir(self, name: &str) -> Self {
        self.entry(&Entry { kind: b'5', name: name.as_bytes(), mode: 0o755, ..Entry::default() })
    }

    /// Adds a link: `2` is a symbolic one, `1` a hard one.
    #[must_use]
    pub fn link(self, kind: u8, name: &str, target: &str) -> Self {
        self.entry(&Entry {
            kind,
            name: name.as_bytes(),
            target: target.as_bytes(),
            mode: 0o777,
            ..Entry::default()
        })
    }

    /// The archive including its end.
    #[must_use]
    pub fn finish(mut self) -> Vec<u8> {
        self.bytes.extend([0; 1024]);
        self.bytes
    }
}

/// Compresses bytes with gzip.
#[must_use]
pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).expect("compress");
    encoder.finish().expect("compress")
}

/// The digest in the form `sha256:...`.
#[must_use]
pub fn digest(bytes: &[u8]) -> String {
    let hex = Sha256::digest(bytes).iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
    format!("sha256:{hex}")
}

/// Writes a layout with one image of these layers, which are archives, to a directory of the test.
#[must_use]
pub fn layout(t: &Test, name: &str, layers: &[Vec<u8>], config: &Value) -> PathBuf {
    let dir = t.path(name);
    fs::create_dir_all(dir.join("blobs/sha256")).expect("make the layout");
    let diff_ids: Vec<String> = layers.iter().map(|layer| digest(layer)).collect();
    let layers: Vec<Value> = layers
        .iter()
        .map(|layer| blob(&dir, "application/vnd.oci.image.layer.v1.tar+gzip", &gzip(layer)))
        .collect();
    let image = json!({"os": "linux", "architecture": architecture(), "config": config,
        "rootfs": {"type": "layers", "diff_ids": diff_ids}});
    let config = blob(&dir, "application/vnd.oci.image.config.v1+json", image.to_string().as_bytes());
    let kind = "application/vnd.oci.image.manifest.v1+json";
    let manifest = json!({"schemaVersion": 2, "mediaType": kind, "config": config, "layers": layers});
    let mut descriptor = blob(&dir, kind, manifest.to_string().as_bytes());
    descriptor["annotations"] = json!({"org.opencontainers.image.ref.name": "latest"});
    let index = json!({"schemaVersion": 2, "manifests": [descriptor]});
    fs::write(dir.join("index.json"), index.to_string()).expect("write the index");
    fs::write(dir.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).expect("write oci-layout");
    dir
}

/// Writes a blob of a layout; returns its descriptor.
#[must_use]
pub fn blob(layout: &Path, kind: &str, bytes: &[u8]) -> Value {
    let digest = digest(bytes);
    fs::write(layout.join("blobs").join(digest.replace(':', "/")), bytes).expect("write a blob");
    json!({"mediaType": kind, "digest": digest, "size": bytes.len()})
}

/// The architecture of this machine, by the name that Go and Debian have for it.
pub fn architecture() -> &'static str {
    if std::env::consts::ARCH == "aarch64" { "arm64" } else { "amd64" }
}

impl Test {
    /// `rootling image ARGS...`
    pub fn image<S: AsRef<std::ffi::OsStr>>(&self, args: &[S]) -> crate::Cmd {
        self.rootling(&["image"]).args(args)
    }

    /// `rootling image unpack IMAGE bundle`, where IMAGE is a layout of [`layout`].
    pub fn unpack(&self, layout: &Path, flags: &[&str]) -> Output {
        let image = format!("oci:{}", layout.display());
        self.image(&["unpack", &image]).arg(self.path("bundle")).args(flags).output()
    }
}

/// Makes the account the owner of what was made for it.
pub fn give(t: &Test, path: &Path) {
    let owner = format!("{}:{}", t.account().uid, t.account().gid);
    let given =
        std::process::Command::new("chown").args(["-R", &owner]).arg(path).status().expect("start chown");
    assert!(given.success(), "chown {path:?}");
}

/// The names in the test's directory that begin with a dot, which are unfinished directories.
#[must_use]
pub fn unfinished(t: &Test) -> Vec<String> {
    let entries = fs::read_dir(t.path("")).expect("list the directory");
    entries
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8"))
        .filter(|name| name.starts_with('.'))
        .collect()
}

/// Asserts that a command has left neither a bundle nor an unfinished one.
pub fn nothing_is_left(t: &Test) {
    assert!(!t.path("bundle").exists());
    assert_eq!(unfinished(t), [""; 0]);
}
