//! `cpu`: CPU time and placement.

use std::num::NonZeroU64;

use oci_spec::runtime::LinuxCpu;

use super::field::{Bound, Field, LimitError, NO_WEIGHT, refuse};
use crate::process::affinity::{self, NumberSet};

/// `cpu` without the placement; times are in microseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cpu {
    pub shares: Option<NonZeroU64>,
    pub quota: Option<Bound>,
    pub period: Option<Period>,
    pub burst: Option<u64>,
    pub idle: Option<bool>,
    pub realtime_runtime: Option<Bound>,
    pub realtime_period: Option<NonZeroU64>,
}

/// `cpu.period` in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Period(u64);

/// The placement part of `cpu`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cpuset {
    pub cpus: Option<NumberSet>,
    pub mems: Option<NumberSet>,
}

impl Cpu {
    pub(super) fn parse(cpu: &LinuxCpu) -> Result<Self, LimitError> {
        let idle = match cpu.idle() {
            None => None,
            Some(0) => Some(false),
            Some(1) => Some(true),
            Some(idle) => return Err(refuse("cpu.idle", idle, "is out of range; use 0 or 1")),
        };
        Ok(Self {
            shares: cpu.shares().and_then(NonZeroU64::new),
            quota: Bound::of(cpu.quota()),
            period: Period::parse(cpu.period())?,
            burst: cpu.burst(),
            idle,
            realtime_runtime: Bound::of(cpu.realtime_runtime()),
            realtime_period: cpu.realtime_period().and_then(NonZeroU64::new),
        })
    }

    pub(super) fn fields(&self) -> Vec<Field> {
        let Self { shares, quota, period, burst, idle, realtime_runtime, realtime_period } = self;
        let limit = |name, value: String, is_limit| Field::limit("cpu", name, value).if_limit(is_limit);
        let bound = |name, value: Option<Bound>| value.map(|value| Field::bound("cpu", name, value));
        let limits = |bound: &Option<Bound>| bound.is_some_and(Bound::is_limit);
        let not_idle = (*idle == Some(true)).then_some(NO_WEIGHT);
        let realtime = "v2 has no realtime groups";
        let shares = shares.map(|v| limit("cpu.shares", v.to_string(), true).not_on_v2(not_idle));
        let period = period.map(|v| limit("cpu.period", v.get().to_string(), limits(quota)));
        let burst = burst.map(|v| limit("cpu.burst", v.to_string(), v != 0));
        let idle = idle.map(|v| limit("cpu.idle", u8::from(v).to_string(), v));
        let rt_period =
            realtime_period.map(|v| limit("cpu.realtimePeriod", v.to_string(), limits(realtime_runtime)));
        let rt_runtime = bound("cpu.realtimeRuntime", *realtime_runtime);
        let realtime = [rt_runtime, rt_period].into_iter().flatten().map(|field| field.not_on_v2(realtime));
        let plain = [shares, bound("cpu.quota", *quota), period, burst, idle];
        plain.into_iter().flatten().chain(realtime).collect()
    }
}

impl Period {
    /// What kernels accept, in microseconds: `max_bw_quota_period_us` and the corresponding minimum in
    /// kernel/sched/core.c.
    pub const RANGE: std::ops::RangeInclusive<u64> = 1_000..=1_000_000;

    /// The value when it is not set.
    pub const DEFAULT: Self = Self(100_000);

    pub(super) fn parse(value: Option<u64>) -> Result<Option<Self>, LimitError> {
        match value {
            None | Some(0) => Ok(None),
            Some(value) if Self::RANGE.contains(&value) => Ok(Some(Self(value))),
            Some(value) => {
                let problem = "microseconds is out of range; use 1000 to 1000000 (1 ms to 1 s)";
                Err(refuse("cpu.period", value, problem))
            }
        }
    }

    /// The number of microseconds.
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl Cpuset {
    pub(super) fn parse(cpu: &LinuxCpu) -> Result<Self, LimitError> {
        let list = |field, list: &Option<String>| {
            let Some(list) = list else { return Ok(None) };
            let set = affinity::parse(list).map_err(|error| {
                refuse(field, format!("{list:?}"), format!("is not a list of numbers: {error}"))
            })?;
            Ok(Some(set).filter(|set| !set.is_empty()))
        };
        Ok(Self { cpus: list("cpu.cpus", cpu.cpus())?, mems: list("cpu.mems", cpu.mems())? })
    }

    pub(super) fn fields(&self) -> Vec<Field> {
        let Self { cpus, mems } = self;
        let given = [("cpu.cpus", cpus), ("cpu.mems", mems)].into_iter();
        given.filter_map(|(name, set)| Some(Field::limit("cpuset", name, set.as_ref()?))).collect()
    }
}
