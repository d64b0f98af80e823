//! Unit properties from annotations: `org.systemd.property.NAME` with a value in `GVariant` text format, as in
//! runc and crun.

use zbus::zvariant::Value;

use super::bus::Property;
use super::gvariant::parse;
use crate::CgroupError;

const PREFIX: &str = "org.systemd.property.";

/// Properties that an annotation may set, by their names on D-Bus. Annotations are also written by the makers of
/// images, and systemd would execute programs, stop or start other units, and reboot for them (CVE-2024-3154).
/// The properties in this list limit the unit, say how and when it ends, or describe it.
///
/// Properties that grant more are left out: `Delegate`, `Slice`, devices, BPF programs, `User`, and other units
/// except for ordering.
pub(crate) const PASSED: [&str; 58] = [
    // systemd.resource-control(5)
    "AllowedCPUs",
    "AllowedMemoryNodes",
    "BlockIOAccounting",
    "BlockIOWeight",
    "CPUAccounting",
    "CPUQuotaPerSecUSec",
    "CPUQuotaPeriodUSec",
    "CPUShares",
    "CPUWeight",
    "IOAccounting",
    "IODeviceLatencyTargetUSec",
    "IODeviceWeight",
    "IOReadBandwidthMax",
    "IOReadIOPSMax",
    "IOWeight",
    "IOWriteBandwidthMax",
    "IOWriteIOPSMax",
    "IPAccounting",
    "ManagedOOMMemoryPressure",
    "ManagedOOMMemoryPressureDurationUSec",
    "ManagedOOMMemoryPressureLimit",
    "ManagedOOMPreference",
    "ManagedOOMSwap",
    "MemoryAccounting",
    "MemoryHigh",
    "MemoryLimit",
    "MemoryLow",
    "MemoryMax",
    "MemoryMin",
    "MemoryPressureThresholdUSec",
    "MemoryPressureWatch",
    "MemorySwapMax",
    "MemoryZSwapMax",
    "MemoryZSwapWriteback",
    "StartupAllowedCPUs",
    "StartupAllowedMemoryNodes",
    "StartupBlockIOWeight",
    "StartupCPUShares",
    "StartupCPUWeight",
    "StartupIOWeight",
    "StartupMemoryHigh",
    "StartupMemoryLow",
    "StartupMemoryMax",
    "StartupMemorySwapMax",
    "TasksAccounting",
    "TasksMax",
    // systemd.scope(5), systemd.kill(5), systemd.unit(5)
    "After",
    "Before",
    "CollectMode",
    "DefaultDependencies",
    "Description",
    "Documentation",
    "FinalKillSignal",
    "KillMode",
    "KillSignal",
    "OOMPolicy",
    "RuntimeMaxUSec",
    "TimeoutStopUSec",
];

/// The property that an annotation stands for; `None` if it stands for none.
///
/// A name that ends in `Sec`, with a number of seconds, is converted to the one in `USec` that D-Bus has, as in
/// unit files.
pub(crate) fn property(key: &str, value: &str) -> Result<Option<Property>, CgroupError> {
    let Some(name) = key.strip_prefix(PREFIX) else { return Ok(None) };
    let invalid = |reason| CgroupError::Annotation { key: key.to_owned(), value: value.to_owned(), reason };
    let base = name.strip_suffix("Sec").filter(|base| base.ends_with(|c: char| c.is_ascii_lowercase()));
    let property = base.map_or_else(|| name.to_owned(), |base| format!("{base}USec"));
    if !PASSED.contains(&property.as_str()) {
        return Err(invalid(
            "is not among the properties that an annotation may set; docs/compatibility.md lists them, and a drop-in \
             file of the unit's slice can set others",
        ));
    }
    let parsed = parse(value).ok_or_else(|| {
        invalid("write it as GVariant text: true, 5, uint64 5, 1.5, 'text', or ['one', 'two']")
    })?;
    if base.is_none() {
        return Ok(Some((property, parsed)));
    }
    let usec = microseconds(&parsed).ok_or_else(|| invalid("must be a number of seconds"))?;
    Ok(Some((property, Value::U64(usec))))
}

fn microseconds(seconds: &Value) -> Option<u64> {
    let whole = match *seconds {
        Value::U8(n) => u64::from(n),
        Value::U16(n) => u64::from(n),
        Value::U32(n) => u64::from(n),
        Value::U64(n) => n,
        Value::I16(n) => u64::try_from(n).ok()?,
        Value::I32(n) => u64::try_from(n).ok()?,
        Value::I64(n) => u64::try_from(n).ok()?,
        Value::F64(n) if n >= 0.0 => return Some((n * 1e6) as u64),
        _ => return None,
    };
    whole.checked_mul(1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_become_microseconds() {
        let found = property("org.systemd.property.TimeoutStopSec", "uint64 3").unwrap();
        assert_eq!(found, Some(("TimeoutStopUSec".to_owned(), Value::U64(3_000_000))));
        let found = property("org.systemd.property.TimeoutStopUSec", "uint64 3").unwrap();
        assert_eq!(found, Some(("TimeoutStopUSec".to_owned(), Value::U64(3))));
        assert!(property("org.systemd.property.TimeoutStopSec", "'soon'").is_err());
    }

    #[test]
    fn other_annotations_and_bad_names_are_told_apart() {
        assert_eq!(property("com.example.thing", "x").unwrap(), None);
        for name in [
            "A",
            "Some.Thing",
            "ExecStop",
            "SuccessAction",
            "Delegate",
            "Slice",
            "Requires",
            "DeviceAllow",
            "User",
        ] {
            let error = property(&format!("org.systemd.property.{name}"), "true").unwrap_err().to_string();
            assert!(error.contains("is not among the properties"), "{error}");
        }
    }
}
