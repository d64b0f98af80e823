//! The bytes that identify everything a compiled profile depends on.

use std::ffi::OsString;

use libseccomp::ScmpVersion;
use oci_spec::runtime::{LinuxSeccomp, LinuxSeccompFilterFlag, LinuxSyscall};

use super::profile::rules;

/// Must be increased whenever the program for an unchanged profile, or the layout of a cached file, changes.
pub(super) const FORMAT: u32 = 1;

/// Everything in the profile that affects the program: two profiles with the same bytes compile to the same program.
/// Lengths precede the contents, so that no two profiles collide.
pub(super) fn profile(profile: &LinuxSeccomp) -> Vec<u8> {
    let mut key = Key(Vec::with_capacity(16 * 1024));
    key.number(profile.default_action().as_u32(None));
    key.option(profile.default_errno_ret());
    key.list(profile.architectures().as_deref().unwrap_or_default(), |key, arch| key.number(*arch as u32));
    // No flags and an empty list of flags are two different things.
    key.number(u32::from(profile.flags().is_some()));
    key.list(profile.flags().as_deref().unwrap_or_default(), |key, flag| key.number(flag_number(*flag)));
    key.list(rules(profile), Key::rule);
    key.0
}

/// Numbers of our own: those of the enum would move if a flag were added to it.
fn flag_number(flag: LinuxSeccompFilterFlag) -> u32 {
    match flag {
        LinuxSeccompFilterFlag::SeccompFilterFlagTsync => 0,
        LinuxSeccompFilterFlag::SeccompFilterFlagLog => 1,
        LinuxSeccompFilterFlag::SeccompFilterFlagSpecAllow => 2,
        LinuxSeccompFilterFlag::SeccompFilterFlagWaitKillableRecv => 5,
    }
}

/// What else the program depends on: this crate's version and format, libseccomp's version, the running kernel, and
/// the machine whose system calls libseccomp takes for native.
pub(super) fn machine() -> Vec<u8> {
    let mut key = Key(Vec::with_capacity(128));
    key.number(FORMAT);
    key.text(env!("CARGO_PKG_VERSION").as_bytes());
    let version = ScmpVersion::current().unwrap_or(ScmpVersion { major: 0, minor: 0, micro: 0 });
    for number in [version.major, version.minor, version.micro] {
        key.number(number);
    }
    key.text(kernel_release().as_encoded_bytes());
    key.text(std::env::consts::ARCH.as_bytes());
    key.0
}

/// The release of the running kernel; empty where uname(2) is refused.
pub(super) fn kernel_release() -> OsString {
    nix::sys::utsname::uname().map(|name| name.release().to_owned()).unwrap_or_default()
}

struct Key(Vec<u8>);

impl Key {
    fn number(&mut self, number: u32) {
        self.0.extend(number.to_le_bytes());
    }

    fn wide(&mut self, number: u64) {
        self.0.extend(number.to_le_bytes());
    }

    fn option(&mut self, number: Option<u32>) {
        self.wide(number.map_or(u64::MAX, u64::from));
    }

    fn text(&mut self, text: &[u8]) {
        self.number(text.len() as u32);
        self.0.extend(text);
    }

    fn list<T>(&mut self, items: &[T], each: impl Fn(&mut Self, &T)) {
        self.number(items.len() as u32);
        for item in items {
            each(self, item);
        }
    }

    fn rule(&mut self, rule: &LinuxSyscall) {
        self.number(rule.action().as_u32(None));
        self.option(rule.errno_ret());
        self.list(rule.names(), |key, name| key.text(name.as_bytes()));
        self.list(rule.args().as_deref().unwrap_or_default(), |key, arg| {
            key.wide(arg.index() as u64);
            key.wide(arg.value());
            key.wide(arg.value_two().unwrap_or(0));
            key.number(arg.op() as u32);
        });
    }
}

/// A fast 64-bit hash: it names cache files and detects damaged ones. Every step is a bijection of the state, so a
/// change within one word is always detected. Nothing depends on it being hard to invert: whether a file belongs to a
/// profile is decided by comparing the whole key.
pub(super) fn hash(bytes: &[u8]) -> u64 {
    let mix = |hash: u64, word: u64| (hash.rotate_left(23) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let (words, rest) = bytes.as_chunks();
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    let hash =
        words.iter().chain([&last]).map(|word| u64::from_le_bytes(*word)).fold(bytes.len() as u64, mix);
    mix(hash, 0)
}
