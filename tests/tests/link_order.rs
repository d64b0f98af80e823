//! hack/cc.sh, the linker of the release program: what it does with hack/order.txt.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use rootling_tests::{skip, source};
use tempfile::TempDir;

/// The functions in the object, as rustc mangles the names `test::a` to `test::j`.
const FUNCTIONS: [&str; 10] = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"];

fn mangled(hash: &str, function: &str) -> String {
    format!("_RNvCs{hash}_4test1{function}")
}

/// A directory with the linker, an object like that of the release program, and a list of these functions. The list
/// has no crate hashes, but the object has.
fn linker_with(listed: &[&str]) -> TempDir {
    let dir = tempfile::tempdir().expect("make a directory");
    for file in ["cc.sh", "symbols.sed"] {
        fs::copy(source("hack").join(file), dir.path().join(file)).expect("copy the linker");
    }
    let list: Vec<String> = listed.iter().map(|function| format!("_RNvC4test1{function}")).collect();
    fs::write(dir.path().join("order.txt"), format!("# A list.\nmain\nof_no_library\n{}\n", list.join("\n")))
        .expect("write the list");
    let mut program = String::from("int main(void) { return 0; }\n");
    for function in FUNCTIONS {
        program += &["void ", &mangled("7abcdefg", function), "(void) {}\n"].concat();
    }
    fs::write(dir.path().join("program.c"), program).expect("write a program");
    let mut cc = Command::new("cc");
    cc.args(["-c", "-ffunction-sections", "program.c", "-o", "program.rcgu.o"]).current_dir(&dir);
    assert!(cc.status().expect("start cc").success(), "cc does not compile");
    dir
}

/// The directory that has lld under the name `ld`, as rustc passes it to cc.
fn lld() -> Option<PathBuf> {
    let output = Command::new("rustc").args(["--print", "sysroot"]).output().ok()?;
    let libraries = Path::new(String::from_utf8_lossy(&output.stdout).trim()).join("lib/rustlib");
    let dir = libraries.join("x86_64-unknown-linux-gnu/bin/gcc-ld");
    dir.join("ld.lld").exists().then_some(dir)
}

/// Calls the linker as rustc does.
fn link(dir: &TempDir, arguments: &[String]) -> Output {
    let mut linker = Command::new(dir.path().join("cc.sh"));
    linker.args(["program.rcgu.o", "-o", "program"]).args(arguments).current_dir(dir);
    linker.output().expect("start the linker")
}

/// The single line that a failing linker prints.
fn failure(output: &Output) -> String {
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "it succeeds: {stderr}");
    assert_eq!(stderr.lines().count(), 1, "not one line: {stderr}");
    stderr
}

#[test]
fn a_list_of_names_that_the_program_lacks_is_an_error_that_says_how_to_renew_it() {
    let dir = linker_with(&["a", "b", "c", "d", "e", "f", "g", "h", "x", "y"]);
    let error = failure(&link(&dir, &["-fuse-ld=lld".to_owned()]));
    let parts = [
        "8 of the 10 Rust functions that hack/order.txt names",
        "90 % is the least",
        "`make order`, as root",
    ];
    for part in parts {
        assert!(error.contains(part), "no {part:?}: {error}");
    }
    assert!(!dir.path().join("program").exists(), "it was linked");
}

#[test]
fn a_list_without_names_is_an_error() {
    let dir = linker_with(&[]);
    let error = failure(&link(&dir, &["-fuse-ld=lld".to_owned()]));
    assert!(error.contains("0 of the 0 Rust functions"), "{error}");
}

#[test]
fn a_linker_that_knows_no_order_is_an_error_that_says_how_to_do_without() {
    let error = failure(&link(&linker_with(&FUNCTIONS), &[]));
    assert!(error.contains("does not link with lld") && error.contains("`cargo build --release`"), "{error}");
}

#[test]
fn functions_are_linked_in_the_order_of_the_list() {
    let Some(lld) = lld() else {
        return skip("rustc has no lld here");
    };
    // One of ten names may be missing.
    let listed = ["j", "c", "i", "a", "h", "b", "g", "d", "f", "x"];
    let dir = linker_with(&listed);
    let output = link(&dir, &[format!("-B{}", lld.display()), "-fuse-ld=lld".to_owned()]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let nm =
        Command::new("nm").args(["--numeric-sort", "program"]).current_dir(&dir).output().expect("start nm");
    let symbols = String::from_utf8_lossy(&nm.stdout).into_owned();
    let linked: Vec<&str> =
        symbols.lines().filter_map(|line| line.rsplit_once("_4test1").map(|(_, name)| name)).collect();
    assert_eq!(linked, ["j", "c", "i", "a", "h", "b", "g", "d", "f", "e"]);
}

#[test]
fn nothing_but_the_release_program_has_this_linker() {
    let config = fs::read_to_string(source(".cargo/config.toml")).expect("read the configuration of cargo");
    let settings: Vec<&str> = config.lines().filter(|line| !line.starts_with('#')).collect();
    assert!(!settings.iter().any(|line| line.contains("linker")), "{settings:?}");
    let build = source("hack/build.sh");
    let script = fs::read_to_string(&build).expect("read the script");
    assert!(script.contains("linker=hack/cc.sh"), "{script}");
    let mode = fs::metadata(&build).expect("stat").permissions().mode();
    assert_eq!(mode & 0o111, 0o111, "it is not executable");
}
