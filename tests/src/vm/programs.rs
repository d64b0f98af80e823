//! The programs that are put into the machine. They are static, and run there as they are.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::io::{Read, Seek};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use super::machine::expect_success;
use crate::{bounded, image, source};

/// The program under test: `ROOTLING_BIN`, or what `make build` has built.
pub(super) fn rootling() -> Result<PathBuf, String> {
    let path = match env::var_os("ROOTLING_BIN") {
        Some(path) => PathBuf::from(path),
        None => path_of(&mut Command::new(source("hack/binary.sh")), Duration::from_mins(1))?,
    };
    path.canonicalize()
        .map_err(|error| format!("{}: {error}: run `make build`, or set ROOTLING_BIN", path.display()))
}

/// Makes a Debian package of a program. The tool for that is built first if necessary.
pub(super) fn package(rootling: &Path) -> Result<PathBuf, String> {
    path_of(Command::new(source("hack/deb.sh")).env("BINARY", rootling), Duration::from_mins(20))
}

/// The output of a command, if it succeeds within a limit.
fn printed(command: &mut Command, limit: Duration) -> Result<String, String> {
    let name = command.get_program().display().to_string();
    let failed = |error: std::io::Error| format!("keep the output of {name}: {error}");
    let mut kept = tempfile::tempfile().map_err(failed)?;
    command.current_dir(source(".")).stdin(Stdio::null()).stdout(kept.try_clone().map_err(failed)?);
    expect_success(&name, bounded::run(command, limit)?)?;
    let mut text = String::new();
    kept.rewind().and_then(|()| kept.read_to_string(&mut text)).map_err(failed)?;
    Ok(text)
}

/// The first line that a script prints, as a path in the source directory.
fn path_of(script: &mut Command, limit: Duration) -> Result<PathBuf, String> {
    printed(script, limit).map(|text| source(".").join(text.lines().next().unwrap_or_default()))
}

/// Builds the test programs of these files or of all, as `tests/NAME`, and the programs that they use; returns each with
/// its path.
pub(super) fn tests(files: Option<&[String]>) -> Result<BTreeMap<String, PathBuf>, String> {
    let mut command = vec!["test", "--no-run"];
    match files {
        None => command.push("--tests"),
        Some(files) => command.extend(files.iter().flat_map(|file| ["--test", file])),
    }
    cargo(&command)
}

/// Builds a program of the tests.
pub(super) fn program(name: &str) -> Result<PathBuf, String> {
    let mut built = cargo(&["build", "--bin", name])?;
    built.remove(name).ok_or_else(|| format!("cargo has not built {name}"))
}

fn cargo(command: &[&str]) -> Result<BTreeMap<String, PathBuf>, String> {
    let mut cargo = match architecture() {
        None => Command::new("cargo"),
        Some(architecture) => {
            let mut cross = Command::new(source("hack/cross.sh"));
            cross.args([&*architecture, "cargo"]);
            cross
        }
    };
    // Of the workspace, as everywhere: with one package alone, cargo would choose other features, and build all of it again.
    cargo.args(command).args(["--locked", "--workspace", "--message-format", "json"]);
    Ok(printed(&mut cargo, Duration::from_hours(1))?.lines().filter_map(executable).collect())
}

/// That of the machine, by Debian's name, where it is not the architecture of the host.
fn architecture() -> Option<String> {
    env::var("ROOTLING_VM_ARCH").ok().filter(|wanted| !wanted.is_empty() && wanted != image::architecture())
}

/// The program of the package of the tests that a message of cargo is about: an integration test, or no test at all.
fn executable(message: &str) -> Option<(String, PathBuf)> {
    let message: Value = serde_json::from_str(message).ok()?;
    let path = PathBuf::from(message["executable"].as_str()?);
    if !Path::new(message["manifest_path"].as_str()?).ends_with("tests/Cargo.toml") {
        return None;
    }
    let name = message["target"]["name"].as_str()?;
    if message["profile"]["test"] != true {
        return Some((name.to_owned(), path));
    }
    let is_integration_test = message["target"]["kind"].as_array()?.iter().any(|kind| kind == "test");
    is_integration_test.then(|| (format!("tests/{name}"), path))
}

/// Copies a program without its debugging information, which is nine tenths of it.
pub(super) fn strip(program: &Path, to: &Path) -> Result<(), String> {
    let strip = match architecture().as_deref() {
        Some("arm64") => "aarch64-linux-gnu-strip",
        _ => "strip",
    };
    let status = Command::new(strip).args(["--strip-debug", "-o"]).arg(to).arg(program).status();
    let status = status.map_err(|error| format!("start {strip}: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("{strip} of {}: {status}", program.display())) }
}

/// Copies the runtime, and the program for images next to it.
pub(super) fn copy_both(rootling: &Path, to: &Path) -> Result<(), String> {
    copy(rootling, to)?;
    copy(&image_program(rootling), &image_program(to))
}

fn image_program(rootling: &Path) -> PathBuf {
    let mut name = rootling.as_os_str().to_owned();
    name.push("-image");
    name.into()
}

pub(super) fn copy(from: &Path, to: &Path) -> Result<(), String> {
    fs::copy(from, to).map(drop).map_err(|error| format!("copy {}: {error}", from.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integration_tests_and_programs_are_told_from_unit_tests() {
        let message = |manifest: &str, test: bool, kind: &str, path: &str| {
            executable(&format!(
                r#"{{"manifest_path": "/project/{manifest}/Cargo.toml", "profile": {{"test": {test}}}, "target": {{"kind": ["{kind}"], "name": "n"}}, "executable": {path}}}"#
            ))
        };
        let of = |test: bool, kind: &str, path: &str| message("tests", test, kind, path);
        assert_eq!(of(true, "test", r#""/x""#), Some(("tests/n".to_owned(), PathBuf::from("/x"))));
        assert_eq!(of(false, "bin", r#""/x""#), Some(("n".to_owned(), PathBuf::from("/x"))));
        assert_eq!(of(true, "lib", r#""/x""#), None);
        assert_eq!(of(false, "lib", "null"), None);
        assert_eq!(message("cmd/rootling", false, "bin", r#""/x""#), None);
        assert_eq!(executable("no JSON"), None);
    }
}
