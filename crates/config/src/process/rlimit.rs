//! Resource limits: `process.rlimits`, for setrlimit(2).

use oci_spec::runtime::{PosixRlimit, PosixRlimitBuilder, PosixRlimitType};

/// The number of a limit for prlimit(2).
pub fn number(typ: PosixRlimitType) -> u32 {
    ALL.iter().position(|known| *known == typ).unwrap_or_default() as u32
}

/// Every limit of the specification, by its number in asm-generic/resource.h, which x86-64 and aarch64 have.
pub const ALL: [PosixRlimitType; 16] = [
    PosixRlimitType::RlimitCpu,
    PosixRlimitType::RlimitFsize,
    PosixRlimitType::RlimitData,
    PosixRlimitType::RlimitStack,
    PosixRlimitType::RlimitCore,
    PosixRlimitType::RlimitRss,
    PosixRlimitType::RlimitNproc,
    PosixRlimitType::RlimitNofile,
    PosixRlimitType::RlimitMemlock,
    PosixRlimitType::RlimitAs,
    PosixRlimitType::RlimitLocks,
    PosixRlimitType::RlimitSigpending,
    PosixRlimitType::RlimitMsgqueue,
    PosixRlimitType::RlimitNice,
    PosixRlimitType::RlimitRtprio,
    PosixRlimitType::RlimitRttime,
];

/// The limit with this name: `RLIMIT_NOFILE`, or `nofile` as in `--ulimit nofile=1024`.
pub fn by_name(name: &str) -> Option<PosixRlimitType> {
    let upper = name.to_ascii_uppercase();
    let full = if upper.starts_with("RLIMIT_") { upper } else { format!("RLIMIT_{upper}") };
    ALL.into_iter().find(|typ| typ.to_string() == full)
}

/// The name of the limit with this number, such as `RLIMIT_NOFILE`.
pub fn name(wanted: u32) -> String {
    ALL.get(wanted as usize).map_or_else(|| format!("limit {wanted}"), PosixRlimitType::to_string)
}

/// Makes one limit.
pub fn limit(typ: PosixRlimitType, soft: u64, hard: u64) -> PosixRlimit {
    // The builder fails if a field is missing, and every field has a value here.
    PosixRlimitBuilder::default().typ(typ).soft(soft).hard(hard).build().unwrap_or_default()
}

/// Why the limits were refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RlimitError {
    /// setrlimit(2) answers EINVAL to this.
    #[error("process.rlimits: {typ}: soft limit {soft} is above hard limit {hard}; lower soft or raise hard")]
    SoftAboveHard {
        /// The limit.
        typ: PosixRlimitType,
        /// Its soft value.
        soft: u64,
        /// Its hard value.
        hard: u64,
    },
    /// A limit is given twice, which the specification makes an error.
    #[error("process.rlimits: {typ} is given twice; keep one of them")]
    Duplicated {
        /// The limit.
        typ: PosixRlimitType,
    },
}

/// The number, the soft and the hard limit of each; no limit is given twice, and no soft limit is above its hard
/// limit.
///
/// # Errors
/// [`RlimitError`] for the first limit that is wrong.
pub fn parse(rlimits: &[PosixRlimit]) -> Result<Vec<(u32, u64, u64)>, RlimitError> {
    let mut seen = 0_u32;
    let mut limits = Vec::with_capacity(rlimits.len());
    for rlimit in rlimits {
        let typ = rlimit.typ();
        let bit = 1 << number(typ);
        if seen & bit != 0 {
            return Err(RlimitError::Duplicated { typ });
        }
        seen |= bit;
        if rlimit.soft() > rlimit.hard() {
            return Err(RlimitError::SoftAboveHard { typ, soft: rlimit.soft(), hard: rlimit.hard() });
        }
        limits.push((number(typ), rlimit.soft(), rlimit.hard()));
    }
    Ok(limits)
}

#[cfg(test)]
mod tests {
    use nix::sys::resource::Resource;

    use super::*;

    #[test]
    fn numbers_are_the_systems() {
        for (typ, expected) in [
            (PosixRlimitType::RlimitCpu, Resource::RLIMIT_CPU),
            (PosixRlimitType::RlimitFsize, Resource::RLIMIT_FSIZE),
            (PosixRlimitType::RlimitData, Resource::RLIMIT_DATA),
            (PosixRlimitType::RlimitStack, Resource::RLIMIT_STACK),
            (PosixRlimitType::RlimitCore, Resource::RLIMIT_CORE),
            (PosixRlimitType::RlimitRss, Resource::RLIMIT_RSS),
            (PosixRlimitType::RlimitNproc, Resource::RLIMIT_NPROC),
            (PosixRlimitType::RlimitNofile, Resource::RLIMIT_NOFILE),
            (PosixRlimitType::RlimitMemlock, Resource::RLIMIT_MEMLOCK),
            (PosixRlimitType::RlimitAs, Resource::RLIMIT_AS),
            (PosixRlimitType::RlimitLocks, Resource::RLIMIT_LOCKS),
            (PosixRlimitType::RlimitSigpending, Resource::RLIMIT_SIGPENDING),
            (PosixRlimitType::RlimitMsgqueue, Resource::RLIMIT_MSGQUEUE),
            (PosixRlimitType::RlimitNice, Resource::RLIMIT_NICE),
            (PosixRlimitType::RlimitRtprio, Resource::RLIMIT_RTPRIO),
            (PosixRlimitType::RlimitRttime, Resource::RLIMIT_RTTIME),
        ] {
            assert_eq!(number(typ), expected as u32, "{typ}");
        }
    }

    #[test]
    fn names_are_known_in_full_and_in_short() {
        for typ in ALL {
            assert_eq!(by_name(&typ.to_string()), Some(typ));
        }
        assert_eq!(by_name("nofile"), Some(PosixRlimitType::RlimitNofile));
        assert_eq!(by_name("rlimit_nproc"), Some(PosixRlimitType::RlimitNproc));
        assert_eq!(by_name("RLIMIT_NONE"), None);
    }

    #[test]
    fn soft_above_hard_and_twice_are_errors() {
        let nofile = PosixRlimitType::RlimitNofile;
        assert_eq!(
            parse(&[limit(nofile, 5, 5), limit(PosixRlimitType::RlimitCore, 0, u64::MAX)]),
            Ok(vec![(number(nofile), 5, 5), (number(PosixRlimitType::RlimitCore), 0, u64::MAX)])
        );
        assert_eq!(
            parse(&[limit(nofile, 6, 5)]).unwrap_err().to_string(),
            "process.rlimits: RLIMIT_NOFILE: soft limit 6 is above hard limit 5; lower soft or raise hard"
        );
        assert_eq!(
            parse(&[limit(nofile, 1, 1), limit(nofile, 1, 1)]),
            Err(RlimitError::Duplicated { typ: nofile })
        );
    }
}
