//! What a machine may lack. If it does, each function says so with the reason.

use nix::sys::utsname::uname;

use crate::cgroups::Way;
use crate::{Test, Who, skip};

/// Whether strace(1) works, which injects failures and delays calls.
pub fn can_trace(t: &Test) -> bool {
    let trial = t.command("sh").args(&["-c", "command -v strace && strace -D -f -o /dev/null true"]).output();
    if trial.exit() != 0 {
        skip("strace is not installed or may not trace, to inject failures and to hold calls up");
    }
    trial.exit() == 0
}

/// Whether CRIU works.
pub fn has_criu(t: &Test) -> bool {
    let check = t.command("sh").args(&["-c", "criu check"]).output();
    if check.exit() != 0 {
        skip(&format!(
            "`criu check` fails: {}",
            check.stderr.lines().last().unwrap_or("criu is not installed")
        ));
    }
    check.exit() == 0
}

/// Whether there is a systemd for the account's containers, with cgroup v2.
pub fn has_systemd(t: &Test) -> bool {
    let has = Way::all(t).contains(&Way::Systemd);
    // For a user, the message comes from where the ways to get a cgroup are determined.
    if !has && t.who() == Who::Root {
        skip("no systemd with cgroup v2 here");
    }
    has
}

/// Whether the account can give a container a network, with pasta or slirp4netns and /dev/net/tun.
pub fn has_network_program(t: &Test) -> bool {
    let check = t
        .command("sh")
        .args(&["-c", "{ command -v pasta || command -v slirp4netns; } && : <>/dev/net/tun"])
        .output();
    if check.exit() != 0 {
        skip("neither pasta nor slirp4netns, or no access to /dev/net/tun");
    }
    check.exit() == 0
}

/// Whether this kernel has what is new in this version of Linux.
///
/// # Panics
///
/// If the kernel's release does not begin with two numbers.
pub fn has_linux(major: u32, minor: u32) -> bool {
    let names = uname().expect("uname");
    let release = names.release().to_string_lossy();
    let mut numbers = release.split(['.', '-', '+']).map(str::parse::<u32>);
    let (Some(Ok(first)), Some(Ok(second))) = (numbers.next(), numbers.next()) else {
        panic!("the kernel's release is {release}");
    };
    (first, second) >= (major, minor)
}
