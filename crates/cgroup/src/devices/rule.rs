//! One device rule.

use std::fmt;

use oci_spec::runtime::{LinuxDeviceCgroup, LinuxDeviceType};

use crate::CgroupError;

/// Access bits, with the kernel's values (`BPF_DEVCG_ACC_*`, linux/bpf.h).
pub(crate) const MKNOD: u8 = 1;
pub(crate) const READ: u8 = 2;
pub(crate) const WRITE: u8 = 4;
pub(crate) const ALL: u8 = MKNOD | READ | WRITE;

/// The type of devices that a rule is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Block,
    Char,
}

/// The devices that a rule matches; `None` stands for any number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Match {
    pub(crate) major: Option<u32>,
    pub(crate) minor: Option<u32>,
    pub(crate) kind: Kind,
}

/// A rule of the specification.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rule {
    pub(crate) allow: bool,
    /// `None` stands for type `a`: every device with every access, whatever the other fields say, as in the
    /// kernel's devices cgroup.
    pub(crate) what: Option<Match>,
    pub(crate) access: u8,
}

/// What every container may use, in addition to its own rules: runc's list.
///
/// It allows `mknod` of anything, since a node alone gives no access; null, zero, full, random, urandom and tty;
/// the pseudo-terminals with their master; and net/tun, which callers have come to rely on.
pub(crate) const DEFAULTS: [Rule; 11] = [
    allow(Kind::Char, None, None, MKNOD),
    allow(Kind::Block, None, None, MKNOD),
    allow(Kind::Char, Some(1), Some(3), ALL),
    allow(Kind::Char, Some(1), Some(8), ALL),
    allow(Kind::Char, Some(1), Some(7), ALL),
    allow(Kind::Char, Some(5), Some(0), ALL),
    allow(Kind::Char, Some(1), Some(5), ALL),
    allow(Kind::Char, Some(1), Some(9), ALL),
    allow(Kind::Char, Some(136), None, ALL),
    allow(Kind::Char, Some(5), Some(2), ALL),
    allow(Kind::Char, Some(10), Some(200), ALL),
];

const fn allow(kind: Kind, major: Option<u32>, minor: Option<u32>, access: u8) -> Rule {
    Rule { allow: true, what: Some(Match { major, minor, kind }), access }
}

impl Rule {
    /// Parses the rule at `index` of `linux.resources.devices`.
    pub(crate) fn parse(index: usize, rule: &LinuxDeviceCgroup) -> Result<Self, CgroupError> {
        let error = |value: &dyn fmt::Display, reason| CgroupError::InvalidResource {
            field: "devices",
            value: format!("[{index}] {value}"),
            reason,
        };
        let text = rule.access().as_deref().unwrap_or_default();
        if text.is_empty() {
            return Err(CgroupError::EmptyDeviceAccess { index });
        }
        let access = parse_access(text).ok_or_else(|| error(&text, "access is made of r, w and m"))?;
        let number = |n: Option<i64>| match n {
            None | Some(..0) => Ok(None),
            Some(n) => u32::try_from(n).map(Some).map_err(|_| error(&n, "device numbers have 32 bits")),
        };
        let kind = match rule.typ().unwrap_or_default() {
            LinuxDeviceType::A => return Ok(Self { allow: rule.allow(), what: None, access: ALL }),
            LinuxDeviceType::B => Kind::Block,
            LinuxDeviceType::C | LinuxDeviceType::U => Kind::Char,
            LinuxDeviceType::P => {
                return Err(error(&"p", "a FIFO is not a device; the types are a, b and c"));
            }
        };
        let what = Match { major: number(rule.major())?, minor: number(rule.minor())?, kind };
        Ok(Self { allow: rule.allow(), what: Some(what), access })
    }
}

fn parse_access(text: &str) -> Option<u8> {
    text.chars().try_fold(0, |bits, c| {
        Some(
            bits | match c {
                'r' => READ,
                'w' => WRITE,
                'm' => MKNOD,
                // "All"; in runc it adds nothing to the other letters.
                'a' => 0,
                _ => return None,
            },
        )
    })
}

/// Access bits as letters.
pub(crate) fn letters(access: u8) -> String {
    [(READ, 'r'), (WRITE, 'w'), (MKNOD, 'm')]
        .into_iter()
        .filter(|(bit, _)| access & bit != 0)
        .map(|(_, letter)| letter)
        .collect()
}

/// In the format of the files of the v1 devices controller: `c 1:*`.
impl fmt::Display for Match {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let kind = if self.kind == Kind::Block { 'b' } else { 'c' };
        let number = |n: Option<u32>| n.map_or_else(|| "*".to_owned(), |n| n.to_string());
        write!(f, "{kind} {}:{}", number(self.major), number(self.minor))
    }
}
