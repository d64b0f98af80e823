//! `blockIO`.

use std::num::NonZeroU16;

use oci_spec::runtime::LinuxBlockIo;

use super::field::{Bound, Field};

/// `blockIO`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Io {
    pub weight: Option<NonZeroU16>,
    pub leaf_weight: Option<NonZeroU16>,
    pub devices: Vec<DeviceWeight>,
    pub throttles: Vec<Throttle>,
}

/// An entry of `blockIO.weightDevice`; a weight of 0 stands for that of the cgroup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceWeight {
    /// `MAJOR:MINOR`.
    pub device: String,
    pub weight: Option<u16>,
    pub leaf_weight: Option<NonZeroU16>,
}

/// An entry of `blockIO.throttle*Device`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Throttle {
    pub what: Throttled,
    /// `MAJOR:MINOR`.
    pub device: String,
    pub rate: Bound,
}

/// What the rate of a [`Throttle`] limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Throttled {
    ReadBps,
    WriteBps,
    ReadIops,
    WriteIops,
}

impl Io {
    pub(super) fn parse(io: &LinuxBlockIo) -> Self {
        let nonzero = |value: Option<u16>| value.and_then(NonZeroU16::new);
        let devices = io.weight_device().iter().flatten().map(|entry| DeviceWeight {
            device: format!("{}:{}", entry.major(), entry.minor()),
            weight: entry.weight(),
            leaf_weight: nonzero(entry.leaf_weight()),
        });
        let throttles = [
            (Throttled::ReadBps, io.throttle_read_bps_device()),
            (Throttled::WriteBps, io.throttle_write_bps_device()),
            (Throttled::ReadIops, io.throttle_read_iops_device()),
            (Throttled::WriteIops, io.throttle_write_iops_device()),
        ];
        let throttles = throttles.into_iter().flat_map(|(what, list)| {
            list.iter().flatten().map(move |entry| Throttle {
                what,
                device: format!("{}:{}", entry.major(), entry.minor()),
                rate: if entry.rate() == 0 { Bound::Unlimited } else { Bound::At(entry.rate()) },
            })
        });
        Self {
            weight: nonzero(io.weight()),
            leaf_weight: nonzero(io.leaf_weight()),
            devices: devices.collect(),
            throttles: throttles.collect(),
        }
    }

    pub(super) fn fields(&self) -> Vec<Field> {
        let Self { weight, leaf_weight, devices, throttles } = self;
        let leaf = |name, value: String| Field::limit("io", name, value).not_on_v2("use blockIO.weight");
        let mut fields: Vec<_> =
            weight.map(|w| Field::limit("io", "blockIO.weight", w)).into_iter().collect();
        fields.extend(leaf_weight.map(|w| leaf("blockIO.leafWeight", w.to_string())));
        for DeviceWeight { device: _, weight, leaf_weight } in devices {
            let set = weight.map(|w| Field::limit("io", "blockIO.weightDevice", "").if_limit(w != 0));
            fields.extend(set);
            fields.extend(leaf_weight.map(|_| leaf("blockIO.weightDevice.leafWeight", String::new())));
        }
        fields.extend(throttles.iter().map(|Throttle { what, device: _, rate }| {
            Field::limit("io", what.field(), "").if_limit(rate.is_limit())
        }));
        fields
    }
}

impl Throttled {
    const fn field(self) -> &'static str {
        match self {
            Self::ReadBps => "blockIO.throttleReadBpsDevice",
            Self::WriteBps => "blockIO.throttleWriteBpsDevice",
            Self::ReadIops => "blockIO.throttleReadIOPSDevice",
            Self::WriteIops => "blockIO.throttleWriteIOPSDevice",
        }
    }
}
