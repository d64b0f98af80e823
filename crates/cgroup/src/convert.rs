//! Values of the v1-shaped specification as cgroup v2 wants them, converted as runc converts them.

use crate::CgroupError;

/// `linux.resources.cpu.shares` (2 to 262144, 1024 by default) as `cpu.weight` (1 to 10000, 100).
///
/// Not linear: a quadratic in log2 through both ends and through the two defaults, so that a
/// container with default shares keeps the default weight. 0 means unset and stays 0.
#[allow(clippy::cast_precision_loss)] // Shares below 2^18 are exact in an f64.
pub fn cpu_shares_to_weight(shares: u64) -> u64 {
    match shares {
        0 => 0,
        1 | 2 => 1,
        262_144.. => 10_000,
        _ => {
            let l = (shares as f64).log2();
            let exponent = (l * l + 125.0 * l) / 612.0 - 7.0 / 34.0;
            10_f64.powf(exponent).ceil() as u64
        }
    }
}

/// `linux.resources.blockIO.weight` (10 to 1000) as `io.weight` (1 to 10000), linearly. 0 is unset.
pub fn blkio_weight_to_io_weight(weight: u16) -> u64 {
    match weight {
        0 => 0,
        w => 1 + u64::from(w).saturating_sub(10) * 9999 / 990,
    }
}

/// `linux.resources.memory.swap` as `memory.swap.max`.
///
/// The specification counts memory and swap together, cgroup v2 swap alone. `None` leaves the
/// file alone, -1 is unlimited.
///
/// # Errors
/// Swap without memory, swap below memory, or a negative memory other than -1.
pub fn memory_swap_to_v2(swap: i64, memory: i64) -> Result<Option<i64>, CgroupError> {
    let invalid =
        |reason| Err(CgroupError::InvalidResource { field: "memory.swap", value: swap.to_string(), reason });
    match (memory, swap) {
        // Unlimited memory with swap unset means both, as it does on v1.
        (-1, 0) | (_, -1) => Ok(Some(-1)),
        (_, 0) => Ok(None),
        (-1, _) => Ok(Some(swap)),
        (0, _) => invalid("swap counts memory and swap together, so it needs memory.limit"),
        (m, _) if m < 0 => invalid("memory.limit is negative; use -1 for unlimited"),
        (m, s) if s < m => {
            invalid("it counts memory and swap together, so raise it to at least memory.limit")
        }
        (m, s) => Ok(Some(s - m)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_follow_the_curve_through_both_defaults() {
        for (shares, weight) in [
            (0, 0),
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
            assert_eq!(cpu_shares_to_weight(shares), weight, "{shares}");
        }
    }

    #[test]
    fn block_io_weight_is_linear() {
        for (blkio, io) in [(0, 0), (10, 1), (100, 910), (500, 4950), (1000, 10_000)] {
            assert_eq!(blkio_weight_to_io_weight(blkio), io, "{blkio}");
        }
    }

    #[test]
    fn swap_is_what_lies_above_memory() {
        for (swap, memory, expected) in [
            (0, 0, None),
            (0, 100, None),
            (0, -1, Some(-1)),
            (-1, 100, Some(-1)),
            (-1, 0, Some(-1)),
            (300, -1, Some(300)),
            (300, 100, Some(200)),
            (100, 100, Some(0)),
        ] {
            assert_eq!(memory_swap_to_v2(swap, memory).unwrap(), expected, "{swap} {memory}");
        }
        for (swap, memory) in [(100, 0), (50, 100), (100, -2)] {
            assert!(memory_swap_to_v2(swap, memory).is_err(), "{swap} {memory}");
        }
    }
}
