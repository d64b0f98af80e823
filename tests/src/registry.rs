//! Runs Debian's docker-registry on this machine, for tests that pull images.

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::{Test, eventually, skip};

/// How a registry can be accessed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Doors {
    /// With TLS, and a certificate of [`Registry::authority`].
    pub tls: bool,
    /// Only by [`USER`].
    pub login: bool,
}

/// The user who may log in, and the password.
pub const USER: (&str, &str) = ("somebody", "secret:with colon");

/// A running registry, which is killed when this is dropped.
#[derive(Debug)]
pub struct Registry {
    dir: PathBuf,
    port: u16,
    doors: Doors,
    child: Child,
}

fn is_there(program: &str) -> bool {
    Command::new("sh")
        .args(["-c", &format!("command -v {program}")])
        .stdout(Stdio::null())
        .status()
        .is_ok_and(|s| s.success())
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").port()
}

fn run(command: &mut Command) {
    let output = command.output().expect("start a command");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

impl Registry {
    /// Starts a registry in a directory of the test; `None`, with the reason on the list of what was skipped, if
    /// the machine has none.
    pub fn start(t: &Test, name: &str, doors: Doors) -> Option<Self> {
        let needed = ["docker-registry", "skopeo", "openssl", "htpasswd"];
        if let Some(missing) = needed.into_iter().find(|program| !is_there(program)) {
            skip(&format!("{missing} is not installed"));
            return None;
        }
        let dir = t.path(name);
        fs::create_dir(&dir).expect("make the directory of the registry");
        let port = free_port();
        if doors.tls {
            certificates(&dir);
        }
        fs::write(dir.join("config.yml"), configuration(&dir, port, doors)).expect("write the configuration");
        let child = serve(&dir);
        let registry = Self { dir, port, doors, child };
        registry.answers();
        Some(registry)
    }

    /// `127.0.0.1:PORT`.
    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The certificate of its authority.
    pub fn authority(&self) -> PathBuf {
        self.dir.join("ca.crt")
    }

    /// The directory of its blobs.
    pub fn blobs(&self) -> PathBuf {
        self.dir.join("data/docker/registry/v2/blobs/sha256")
    }

    /// Puts the image in a layout into it, under this name.
    pub fn push(&self, layout: &Path, name: &str) {
        let mut command = Command::new("skopeo");
        command.args(["copy", "--insecure-policy", "--dest-tls-verify=false"]);
        if self.doors.login {
            command.args(["--dest-creds", &format!("{}:{}", USER.0, USER.1)]);
        }
        run(command
            .arg(format!("oci:{}:latest", layout.display()))
            .arg(format!("docker://{}/{name}", self.host())));
    }

    /// Kills it.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Starts it again on the same port.
    pub fn restart(&mut self) {
        self.child = serve(&self.dir);
        self.answers();
    }

    fn answers(&self) {
        eventually("the registry answers", || TcpStream::connect(("127.0.0.1", self.port)).is_ok());
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.kill();
    }
}

fn serve(dir: &Path) -> Child {
    let log = fs::File::create(dir.join("log")).expect("a log");
    let mut command = Command::new("docker-registry");
    command.arg("serve").arg(dir.join("config.yml")).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
    command.spawn().expect("start docker-registry")
}

fn configuration(dir: &Path, port: u16, doors: Doors) -> String {
    let at = dir.display();
    let tls = if doors.tls {
        format!("  tls: {{certificate: {at}/server.crt, key: {at}/server.key}}\n")
    } else {
        String::new()
    };
    let auth = if doors.login {
        run(Command::new("htpasswd").args(["-Bbc"]).arg(dir.join("htpasswd")).args([USER.0, USER.1]));
        format!("auth: {{htpasswd: {{realm: test, path: {at}/htpasswd}}}}\n")
    } else {
        String::new()
    };
    format!(
        "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {at}/data}}}}\n\
         http:\n  addr: 127.0.0.1:{port}\n{tls}{auth}"
    )
}

/// Makes an authority, and its certificate for this machine.
fn certificates(dir: &Path) {
    let openssl = |words: &str| run(Command::new("openssl").args(words.split(' ')).current_dir(dir));
    openssl("req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.crt -days 2 -subj /CN=authority");
    openssl("req -newkey rsa:2048 -nodes -keyout server.key -out server.csr -subj /CN=registry");
    fs::write(dir.join("ext"), "subjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth\n").expect("write");
    openssl(
        "x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -out server.crt -days 2 -extfile ext",
    );
}

/// A proxy for a registry that closes each connection after a certain number of bytes.
#[derive(Debug)]
pub struct Narrow {
    port: u16,
    passed: Arc<AtomicU64>,
}

impl Narrow {
    /// Starts a proxy for this registry. `most` is the number of bytes that are passed on each connection.
    #[must_use]
    pub fn before(registry: &Registry, most: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let (port, to) = (listener.local_addr().expect("an address").port(), registry.port);
        let passed = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&passed);
        // Ends with the test's process.
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let counted = Arc::clone(&counted);
                std::thread::spawn(move || hand_on(&client, to, most, &counted));
            }
        });
        Self { port, passed }
    }

    /// `127.0.0.1:PORT`.
    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// How many bytes of answers have been passed on.
    pub fn passed(&self) -> u64 {
        self.passed.load(Ordering::Relaxed)
    }
}

/// Handles one connection: passes on requests as they come, and a limited number of bytes of the answers.
fn hand_on(client: &TcpStream, to: u16, most: u64, counted: &AtomicU64) {
    let Ok(server) = TcpStream::connect(("127.0.0.1", to)) else { return };
    let (mut from_client, mut to_server) =
        (client.try_clone().expect("dup"), server.try_clone().expect("dup"));
    std::thread::spawn(move || std::io::copy(&mut from_client, &mut to_server));
    let (mut left, mut down, mut answers, mut buffer) = (most, client, &server, [0; 16384]);
    while left > 0 {
        let part = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let Ok(length @ 1..) = answers.read(&mut buffer[..part]) else { break };
        if down.write_all(&buffer[..length]).is_err() {
            break;
        }
        left -= length as u64;
        counted.fetch_add(length as u64, Ordering::Relaxed);
    }
    let _ = client.shutdown(Shutdown::Both);
    let _ = server.shutdown(Shutdown::Both);
}
