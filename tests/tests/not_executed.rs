//! What is reported about an existing program that the kernel does not execute, by `run`, `exec` and `start` alike.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use rootling_tests::{Bundle, Test, both, root, skip};
use serde_json::json;

both!(
    program_for_another_machine_names_both,
    missing_loader_is_named,
    interpreter_of_a_script_is_named,
    text_without_an_interpreter_is_one,
    arguments_that_are_too_long_are_not_executable,
    program_that_is_open_to_write_is_not_executable,
    mode_without_an_execute_bit_is_named,
    mount_with_noexec_is_named,
    empty_name_is_not_found,
    every_command_says_the_same,
);
root!(other_users_program_and_directory_are_named);

fn put(bundle: &Bundle, name: &str, content: &[u8], mode: u32) {
    let path = bundle.rootfs(name);
    fs::write(&path, content).expect("write the program");
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("chmod of the program");
    bundle.own_all();
}

/// The header of a 64-bit little-endian program for this machine type.
fn elf(machine: u16) -> Vec<u8> {
    let mut head = vec![0x7f, b'E', b'L', b'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0];
    head.extend(machine.to_le_bytes());
    head.resize(64, 0);
    head
}

/// Asserts that `run` of it fails with these words and this exit code.
fn fails(t: &Test, bundle: &Bundle, code: i32, words: &[&str]) {
    let output = t.run(bundle).code(code);
    let words: Vec<_> = ["rootling: run", "process.args"].iter().chain(words).copied().collect();
    output.fails_with(&words);
}

const OTHER_MACHINE: (u16, &str) =
    if cfg!(target_arch = "aarch64") { (62, "a program for x86_64") } else { (183, "a program for aarch64") };

/// Whether the kernel has such programs emulated, by QEMU or another interpreter (Documentation/admin-guide/binfmt-misc.rst).
fn is_emulated() -> bool {
    let name = OTHER_MACHINE.1.rsplit(' ').next().unwrap_or_default();
    let emulated = fs::read_to_string(format!("/proc/sys/fs/binfmt_misc/qemu-{name}"))
        .is_ok_and(|text| text.starts_with("enabled"));
    if emulated {
        skip(&format!("the kernel executes programs for {name}, by QEMU"));
    }
    emulated
}

fn program_for_another_machine_names_both(t: &Test) {
    if is_emulated() {
        return;
    }
    let bundle = t.bundle(&["/program"]);
    put(&bundle, "program", &elf(OTHER_MACHINE.0), 0o755);
    let own = format!("this machine is {}", std::env::consts::ARCH);
    fails(
        t,
        bundle.write(),
        126,
        &["exec /program: exec format error", OTHER_MACHINE.1, &own, "qemu-user-static"],
    );
}

fn missing_loader_is_named(t: &Test) {
    let bundle = t.bundle(&["/program"]);
    let source = fs::read("/bin/ls").expect("read a program of the host");
    put(&bundle, "program", &source, 0o755);
    let words = ["no such file or directory", "needs the dynamic loader \"/lib", "statically linked"];
    fails(t, bundle.write(), 127, &words);
}

fn interpreter_of_a_script_is_named(t: &Test) {
    for (line, code, words) in [
        ("#!/no/such/interpreter", 127, &["\"/no/such/interpreter\"", "not in the root file system"][..]),
        ("#!/usr/bin/python3 -u", 127, &["\"/usr/bin/python3\"", "not in the root file system"]),
        ("#!/bin/sh\r", 127, &["carriage return"]),
        ("#!/etc/passwd", 126, &["\"/etc/passwd\"", "may not execute"]),
    ] {
        let bundle = t.bundle(&["/script"]);
        put(&bundle, "script", format!("{line}\n").as_bytes(), 0o755);
        fails(t, bundle.write(), code, words);
    }
}

fn text_without_an_interpreter_is_one(t: &Test) {
    for (text, words) in [("echo hello\n", "a text without an interpreter"), ("", "it is empty")] {
        let bundle = t.bundle(&["/script"]);
        put(&bundle, "script", text.as_bytes(), 0o755);
        fails(t, bundle.write(), 126, &["exec format error", words]);
    }
}

fn arguments_that_are_too_long_are_not_executable(t: &Test) {
    let bundle = t.bundle(&["true", &"x".repeat(200_000)]);
    fails(t, bundle.write(), 126, &["E2BIG", "128 KiB"]);
}

fn program_that_is_open_to_write_is_not_executable(t: &Test) {
    let bundle = t.bundle(&["/program"]);
    put(&bundle, "program", b"#!/bin/sh\n", 0o755);
    let _open = fs::OpenOptions::new().append(true).open(bundle.rootfs("program")).expect("open it to write");
    fails(t, bundle.write(), 126, &["ETXTBSY", "open to write"]);
}

fn mode_without_an_execute_bit_is_named(t: &Test) {
    let bundle = t.bundle(&["/script"]);
    put(&bundle, "script", b"#!/bin/sh\n", 0o644);
    fails(t, bundle.write(), 126, &["permission denied", "no execute bit (mode 0644)", "chmod +x"]);
}

fn mount_with_noexec_is_named(t: &Test) {
    let mut bundle = t.bundle(&["/programs/busybox", "true"]);
    let source = bundle.rootfs("bin").to_string_lossy().into_owned();
    bundle.mount("/programs", "bind", &source, &["rbind", "noexec"]);
    fails(t, bundle.write(), 126, &["permission denied", "the mount on \"/programs\"", "noexec"]);
}

/// Engines derive their exit code from these words.
fn empty_name_is_not_found(t: &Test) {
    let bundle = t.bundle(&[""]);
    fails(t, bundle.write(), 127, &["executable file not found"]);
}

fn other_users_program_and_directory_are_named(t: &Test) {
    let mut bundle = t.bundle(&["/closed/script"]);
    fs::create_dir(bundle.rootfs("closed")).expect("make a directory");
    put(&bundle, "closed/script", b"#!/bin/sh\n", 0o700);
    bundle.set("/process/user", json!({"uid": 1000, "gid": 1000}));
    fails(t, bundle.write(), 126, &["process.user 1000:1000 may not execute it", "mode 0700, of 0:0"]);
    fs::set_permissions(bundle.rootfs("closed"), fs::Permissions::from_mode(0o700)).expect("chmod");
    fails(t, bundle.write(), 126, &["\"/closed\"", "does not let process.user 1000:1000 pass"]);
}

fn every_command_says_the_same(t: &Test) {
    if is_emulated() {
        return;
    }
    let bundle = t.bundle(&["sleep", "1000"]);
    put(&bundle, "program", &elf(OTHER_MACHINE.0), 0o755);
    t.run_command(bundle.write()).args(&["--detach"]).output().ok();
    t.exec::<&str>(&[], "c", &["/program"])
        .output()
        .code(255)
        .fails_with(&["rootling: exec", OTHER_MACHINE.1]);
    t.rootling(&["delete", "--force", &t.id("c")]).output().ok();
    let mut bundle = bundle.clone();
    bundle.set("/process/args", json!(["/program"]));
    t.rootling(&["create", "-b"]).arg(bundle.write().dir()).arg(t.id("c")).output().ok();
    t.rootling(&["start", &t.id("c")]).output().fails_with(&["rootling: start", OTHER_MACHINE.1]);
    t.rootling(&["delete", "--force", &t.id("c")]).output().ok();
}
