//! Prints the functions of rootling that its commands execute, in the order of first execution; `hack/order.sh`
//! makes `hack/order.txt` from that.
//!
//! The program runs in two modes. First it prepares bundles and goes through the commands; with `--trace` it runs
//! one of them with breakpoints, as root in a process of its own below the limits of the test harness. If that is
//! killed, what it traces is killed as well.

#[cfg(target_arch = "x86_64")]
mod commands;
#[cfg(target_arch = "x86_64")]
#[path = "../peers/profile.rs"]
mod profile;
#[cfg(target_arch = "x86_64")]
mod text;
#[cfg(target_arch = "x86_64")]
mod tracer;

use std::process::ExitCode;

#[cfg(not(target_arch = "x86_64"))]
fn main() -> ExitCode {
    eprintln!("order: only on x86-64 are functions put in order");
    ExitCode::FAILURE
}

#[cfg(target_arch = "x86_64")]
fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    let result = match arguments.get(1).map(String::as_str) {
        Some("--trace") => tracer::main(&arguments[2..]),
        _ => commands::main(),
    };
    result.unwrap_or_else(|why| {
        eprintln!("order: {why}");
        ExitCode::FAILURE
    })
}
