//! Runs a real container from create to delete as a user would: with this program's own commands, in a temporary
//! directory. Its program is rootling itself, so that nothing from the host is needed.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rootling_rootless::doctor::{Check, Verdict};
use rootling_rootless::host::Host;
use serde_json::{Value, json};
use tempfile::TempDir;

/// Every step takes a fraction of a second, except on a host that hangs.
const LIMIT: Duration = Duration::from_secs(30);

const PROGRAM: &str = "/rootling";

pub(super) fn check(host: &Host) -> Check {
    let error = match Trial::run(None) {
        Ok(()) => return passed(),
        Err(error) => error,
    };
    if host.is_ordinary_user() && Trial::run(Some((host.euid(), host.egid()))).is_ok() {
        let found = format!("{error}; with the caller's own id alone it works");
        let fix = "fix the ids as described above; until then use maps of the caller's own id, as \
                   `rootling spec --rootless` writes them";
        return outcome(Verdict::Failed, found, Some(fix));
    }
    outcome(Verdict::Failed, error, Some("fix the problems above, or the one that the message names"))
}

/// The check for a container that ran as it should.
pub(super) fn passed() -> Check {
    outcome(Verdict::Ok, "ran from create to delete".into(), None)
}

fn outcome(verdict: Verdict, found: String, fix: Option<&str>) -> Check {
    Check {
        name: "trial container",
        verdict,
        found,
        needed: "create, start and delete work".into(),
        why: "every container does this".into(),
        fix: fix.map(str::to_owned),
    }
}

struct Trial {
    dir: TempDir,
    /// The id is also the name of its cgroup, and another doctor may be running next to this one.
    id: String,
}

impl Trial {
    /// Runs the container, with the ids that the adaptation chooses or with this single user and group. The error
    /// is the message of the command that failed.
    fn run(ids: Option<(u32, u32)>) -> Result<(), String> {
        let dir = TempDir::with_prefix("rootling-doctor-")
            .map_err(|e| format!("a temporary directory in {}: {e}", std::env::temp_dir().display()))?;
        let trial = Self { dir, id: format!("rootling-doctor-{}", std::process::id()) };
        trial.write_bundle(ids).map_err(|e| format!("write a bundle: {e}"))?;
        let result = trial.live();
        if result.is_err() {
            let _ = trial.rootling(&["delete", "--force", &trial.id]);
        }
        result
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.dir.path().join(name)
    }

    fn write_bundle(&self, ids: Option<(u32, u32)>) -> io::Result<()> {
        let rootfs = self.path("rootfs");
        fs::create_dir(&rootfs)?;
        File::create(rootfs.join(PROGRAM.trim_start_matches('/')))?;
        let program = std::env::current_exe()?;
        fs::write(self.path("config.json"), config(&program, ids).to_string())
    }

    fn live(&self) -> Result<(), String> {
        self.rootling(&["create", "--bundle", &self.dir.path().to_string_lossy(), &self.id])?;
        self.rootling(&["start", &self.id])?;
        let start = Instant::now();
        while !self.has_stopped()? {
            if start.elapsed() > LIMIT {
                return Err(format!("start: the program has not ended within {} s", LIMIT.as_secs()));
            }
            sleep(Duration::from_millis(5));
        }
        self.rootling(&["delete", &self.id])?;
        let said = fs::read_to_string(self.path("create.out")).unwrap_or_default();
        if said.contains(env!("CARGO_PKG_VERSION")) {
            return Ok(());
        }
        Err("start: the program of the container ended without doing its work".into())
    }

    fn has_stopped(&self) -> Result<bool, String> {
        let state = self.rootling(&["state", &self.id])?;
        let state: Value = serde_json::from_str(&state).map_err(|e| format!("state: {e}"))?;
        Ok(state["status"] == "stopped")
    }

    /// Runs a command of this program; returns its output, or the last line of its error.
    fn rootling(&self, args: &[&str]) -> Result<String, String> {
        let (out, err) = (self.path(&format!("{}.out", args[0])), self.path(&format!("{}.err", args[0])));
        let run = || -> io::Result<ExitStatus> {
            let mut child = Command::new("/proc/self/exe")
                .args(["--log-level", "error", "--root"])
                .arg(self.path("state"))
                .args(args)
                .current_dir(self.dir.path())
                .stdin(Stdio::null())
                // Files instead of pipes, since the container keeps them open.
                .stdout(File::create(&out)?)
                .stderr(File::create(&err)?)
                .spawn()?;
            let start = Instant::now();
            loop {
                match child.try_wait()? {
                    Some(status) => return Ok(status),
                    None if start.elapsed() > LIMIT => {
                        child.kill()?;
                        child.wait()?;
                        return Err(io::ErrorKind::TimedOut.into());
                    }
                    None => sleep(Duration::from_millis(1)),
                }
            }
        };
        let status = run().map_err(|e| format!("{}: {e}", args[0]))?;
        let read = |path: &Path| fs::read_to_string(path).unwrap_or_default();
        if status.success() {
            return Ok(read(&out));
        }
        let said = read(&err);
        let line = said.lines().last().unwrap_or("ended without a message");
        // The message names the command itself, and which container it was does not matter here.
        Err(line.trim_start_matches("rootling: ").replace(&format!(" {:?}", self.id), ""))
    }
}

/// A configuration with everything that a usual container has, except for a usable network.
fn config(program: &Path, ids: Option<(u32, u32)>) -> Value {
    let mut config = json!({
        "ociVersion": "1.2.0",
        "process": {
            "user": {"uid": 0, "gid": 0},
            "args": [PROGRAM, "--version"],
            "env": ["PATH=/"],
            "cwd": "/",
            "noNewPrivileges": true
        },
        "root": {"path": "rootfs"},
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755", "size=64k"]},
            {"destination": "/dev/pts", "type": "devpts", "source": "devpts",
             "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"]},
            {"destination": "/dev/shm", "type": "tmpfs", "source": "shm", "options": ["nosuid", "noexec", "nodev"]},
            {"destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue",
             "options": ["nosuid", "noexec", "nodev"]},
            {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["nosuid", "noexec", "nodev", "ro"]},
            {"destination": PROGRAM, "type": "bind", "source": program, "options": ["bind", "ro"]}
        ],
        "linux": {
            "namespaces": [
                {"type": "pid"}, {"type": "network"}, {"type": "ipc"}, {"type": "uts"}, {"type": "mount"}
            ],
            "maskedPaths": ["/proc/kcore", "/sys/firmware"],
            "readonlyPaths": ["/proc/sys"]
        }
    });
    if let Some((uid, gid)) = ids {
        let map = |id: u32| json!([{"containerID": 0, "hostID": id, "size": 1}]);
        config["linux"]["uidMappings"] = map(uid);
        config["linux"]["gidMappings"] = map(gid);
        if let Some(namespaces) = config["linux"]["namespaces"].as_array_mut() {
            namespaces.push(json!({"type": "user"}));
        }
    }
    config
}
