//! Execution domain: `linux.personality`, for personality(2).

use oci_spec::runtime::{LinuxPersonality, LinuxPersonalityDomain};

/// The flags of linux/personality.h that may be added to a domain.
pub const FLAGS: [(&str, u32); 11] = [
    ("UNAME26", 0x002_0000),
    ("ADDR_NO_RANDOMIZE", 0x004_0000),
    ("FDPIC_FUNCPTRS", 0x008_0000),
    ("MMAP_PAGE_ZERO", 0x010_0000),
    ("ADDR_COMPAT_LAYOUT", 0x020_0000),
    ("READ_IMPLIES_EXEC", 0x040_0000),
    ("ADDR_LIMIT_32BIT", 0x080_0000),
    ("SHORT_INODE", 0x100_0000),
    ("WHOLE_SECONDS", 0x200_0000),
    ("STICKY_TIMEOUTS", 0x400_0000),
    ("ADDR_LIMIT_3GB", 0x800_0000),
];

/// A flag that linux/personality.h does not have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "linux.personality.flags: unknown flag {0:?}; use a name from personality(2) such as ADDR_NO_RANDOMIZE"
)]
pub struct UnknownFlag(pub String);

/// The argument for personality(2).
///
/// # Errors
/// [`UnknownFlag`] for the first flag that does not exist.
pub fn value(personality: &LinuxPersonality) -> Result<u32, UnknownFlag> {
    let domain = match personality.domain() {
        LinuxPersonalityDomain::PerLinux => 0x0,
        LinuxPersonalityDomain::PerLinux32 => 0x8,
    };
    personality.flags().iter().flatten().try_fold(domain, |value, name| {
        let flag = FLAGS.iter().find(|(known, _)| known == name);
        flag.map(|(_, bit)| value | bit).ok_or_else(|| UnknownFlag(name.clone()))
    })
}

#[cfg(test)]
mod tests {
    use nix::sys::personality::Persona;

    use super::*;

    fn read(json: &str) -> Result<u32, UnknownFlag> {
        value(&serde_json::from_str(json).expect("personality"))
    }

    #[test]
    fn domain_and_flags_make_one_number() {
        assert_eq!(read(r#"{"domain":"LINUX"}"#), Ok(0));
        assert_eq!(read(r#"{"domain":"LINUX32"}"#), Ok(8));
        let both = r#"{"domain":"LINUX32","flags":["ADDR_NO_RANDOMIZE","UNAME26"]}"#;
        assert_eq!(read(both), Ok((Persona::ADDR_NO_RANDOMIZE | Persona::UNAME26).bits() as u32 | 8));
    }

    #[test]
    fn an_unknown_flag_is_named() {
        let error = read(r#"{"domain":"LINUX","flags":["NO_SUCH"]}"#).unwrap_err().to_string();
        assert!(error.starts_with("linux.personality.flags: unknown flag \"NO_SUCH\""), "{error}");
    }
}
