//! Converts values of the v1-shaped specification for cgroup v2, in the same way as runc.

use std::num::{NonZeroU16, NonZeroU64};

use rootling_config::limits::Bound;

/// Formats a bound for files of cgroup v2, and for `pids.max` of v1; the other files of v1 take -1 for no limit.
pub(crate) fn or_max(bound: Bound) -> String {
    match bound {
        Bound::Unlimited => "max".to_owned(),
        Bound::At(value) => value.to_string(),
    }
}

/// The maximum number of processes. systemd does not accept 0, so with both drivers 0 becomes 1, which permits no
/// new process.
pub(crate) const fn tasks(limit: Bound) -> Bound {
    match limit {
        Bound::At(0) => Bound::At(1),
        limit => limit,
    }
}

/// Converts `linux.resources.cpu.shares` (2 to 262144, default 1024) to `cpu.weight` (1 to 10000, default 100).
///
/// The conversion is not linear: it is a quadratic in log2 through both ends and through the two defaults, so
/// that a container with the default shares keeps the default weight.
#[allow(clippy::cast_precision_loss)] // Shares below 2^18 are exact in an f64.
pub(crate) fn cpu_shares_to_weight(shares: NonZeroU64) -> u64 {
    match shares.get() {
        1 | 2 => 1,
        262_144.. => 10_000,
        shares => {
            let l = (shares as f64).log2();
            let exponent = (l * l + 125.0 * l) / 612.0 - 7.0 / 34.0;
            10_f64.powf(exponent).ceil() as u64
        }
    }
}

/// Converts `linux.resources.blockIO.weight` (10 to 1000) to `io.weight` (1 to 10000), linearly.
pub(crate) fn blkio_weight_to_io_weight(weight: NonZeroU16) -> u64 {
    1 + u64::from(weight.get()).saturating_sub(10) * 9999 / 990
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_follow_the_curve_through_both_defaults() {
        for (shares, weight) in [
            (1, 1),
            (2, 1),
            (3, 2),
            (512, 59),
            (1024, 100),
            (2048, 174),
            (4096, 303),
            (262_143, 10_000),
            (262_144, 10_000),
            (u64::MAX, 10_000),
        ] {
            assert_eq!(cpu_shares_to_weight(NonZeroU64::new(shares).unwrap()), weight, "{shares}");
        }
    }

    #[test]
    fn block_io_weight_is_linear() {
        for (blkio, io) in [(1, 1), (10, 1), (100, 910), (500, 4950), (1000, 10_000)] {
            assert_eq!(blkio_weight_to_io_weight(NonZeroU16::new(blkio).unwrap()), io, "{blkio}");
        }
    }
}
