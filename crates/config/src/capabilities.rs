//! `process.capabilities` as bit sets.
//!
//! OCI runtime specification, "Process: Linux Process"; capabilities(7).

use std::collections::HashSet;

use oci_spec::runtime::{Capability, LinuxCapabilities};

/// The five sets of a thread; bit n stands for capability number n (linux/capability.h).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)] // Each field is the set that it is named after.
pub struct CapSets {
    pub bounding: u64,
    pub effective: u64,
    pub inheritable: u64,
    pub permitted: u64,
    pub ambient: u64,
}

/// The sets to give to the process, and what had to be left out.
///
/// `last_cap` is the highest capability that the running kernel knows (`/proc/sys/kernel/cap_last_cap`).
/// No `capabilities` object means no capability at all, as in crun. A capability that the kernel does
/// not know is left out with a warning, as in runc. An ambient capability that is not also inheritable
/// and permitted would make prctl(2) `PR_CAP_AMBIENT_RAISE` fail, so it is left out with a warning too.
pub fn sets(wanted: Option<&LinuxCapabilities>, last_cap: u8) -> (CapSets, Vec<String>) {
    let Some(wanted) = wanted else { return (CapSets::default(), Vec::new()) };
    let mut warnings = Vec::new();
    let mut set = |name: &str, capabilities: &Option<HashSet<Capability>>| {
        let mut bits = 0;
        for capability in capabilities.iter().flatten() {
            if number(*capability) <= last_cap {
                bits |= bit(*capability);
            } else {
                warnings.push(format!(
                    "process.capabilities.{name}: CAP_{capability} ignored: this kernel knows capabilities up to \
                     number {last_cap}, and this is number {}",
                    number(*capability)
                ));
            }
        }
        bits
    };
    let mut sets = CapSets {
        bounding: set("bounding", wanted.bounding()),
        effective: set("effective", wanted.effective()),
        inheritable: set("inheritable", wanted.inheritable()),
        permitted: set("permitted", wanted.permitted()),
        ambient: set("ambient", wanted.ambient()),
    };
    let raisable = sets.ambient & sets.inheritable & sets.permitted;
    for capability in wanted.ambient().iter().flatten() {
        if sets.ambient & bit(*capability) & !raisable != 0 {
            warnings.push(format!(
                "process.capabilities.ambient: can't raise ambient capability CAP_{capability}: it has to be inheritable \
                 and permitted as well; it is left out"
            ));
        }
    }
    sets.ambient = raisable;
    // The sets are hash sets: sorting gives the same messages for the same spec.
    warnings.sort_unstable();
    (sets, warnings)
}

/// The bit of a capability: `1 << number`.
pub fn bit(capability: Capability) -> u64 {
    1 << number(capability)
}

/// The number of a capability (linux/capability.h).
pub fn number(capability: Capability) -> u8 {
    // The list has all of them; the kernel knows no 63, which is therefore left out with a warning.
    ALL.iter().position(|known| *known == capability).map_or(63, |number| number as u8)
}

/// Every capability known to this build, by number.
pub const ALL: [Capability; 41] = [
    Capability::Chown,
    Capability::DacOverride,
    Capability::DacReadSearch,
    Capability::Fowner,
    Capability::Fsetid,
    Capability::Kill,
    Capability::Setgid,
    Capability::Setuid,
    Capability::Setpcap,
    Capability::LinuxImmutable,
    Capability::NetBindService,
    Capability::NetBroadcast,
    Capability::NetAdmin,
    Capability::NetRaw,
    Capability::IpcLock,
    Capability::IpcOwner,
    Capability::SysModule,
    Capability::SysRawio,
    Capability::SysChroot,
    Capability::SysPtrace,
    Capability::SysPacct,
    Capability::SysAdmin,
    Capability::SysBoot,
    Capability::SysNice,
    Capability::SysResource,
    Capability::SysTime,
    Capability::SysTtyConfig,
    Capability::Mknod,
    Capability::Lease,
    Capability::AuditWrite,
    Capability::AuditControl,
    Capability::Setfcap,
    Capability::MacOverride,
    Capability::MacAdmin,
    Capability::Syslog,
    Capability::WakeAlarm,
    Capability::BlockSuspend,
    Capability::AuditRead,
    Capability::Perfmon,
    Capability::Bpf,
    Capability::CheckpointRestore,
];

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(json: &str) -> LinuxCapabilities {
        serde_json::from_str(json).expect("capabilities")
    }

    #[test]
    fn no_object_means_no_capability() {
        assert_eq!(sets(None, 40), (CapSets::default(), Vec::new()));
        assert_eq!(sets(Some(&wanted("{}")), 40), (CapSets::default(), Vec::new()));
    }

    #[test]
    fn each_set_gets_its_own_bits() {
        let (sets, warnings) = sets(
            Some(&wanted(
                r#"{"bounding":["CAP_CHOWN","CAP_BPF"],"effective":["CAP_KILL"],
                    "permitted":["CAP_KILL","CAP_SETUID"],"inheritable":["CAP_SETUID"],"ambient":["CAP_SETUID"]}"#,
            )),
            40,
        );
        assert_eq!(warnings, [""; 0]);
        let expected = CapSets {
            bounding: 1 | 1 << 39,
            effective: 1 << 5,
            permitted: 1 << 5 | 1 << 7,
            inheritable: 1 << 7,
            ambient: 1 << 7,
        };
        assert_eq!(sets, expected);
    }

    #[test]
    fn what_the_kernel_does_not_know_is_left_out_with_a_warning() {
        let (sets, warnings) = sets(Some(&wanted(r#"{"bounding":["CAP_BPF","CAP_KILL"]}"#)), 37);
        assert_eq!(sets.bounding, 1 << 5);
        assert_eq!(warnings.len(), 1);
        assert!(warnings[0].starts_with("process.capabilities.bounding: CAP_BPF ignored"), "{warnings:?}");
    }

    #[test]
    fn ambient_outside_inheritable_or_permitted_is_left_out_with_a_warning() {
        let (sets, warnings) = sets(
            Some(&wanted(
                r#"{"permitted":["CAP_KILL"],"inheritable":["CAP_CHOWN"],"ambient":["CAP_KILL","CAP_CHOWN"]}"#,
            )),
            40,
        );
        assert_eq!(sets.ambient, 0);
        assert_eq!(warnings.len(), 2);
        assert!(warnings[0].contains("CAP_CHOWN") && warnings[1].contains("CAP_KILL"), "{warnings:?}");
    }

    #[test]
    fn numbers_follow_the_kernels_order() {
        for (index, capability) in ALL.into_iter().enumerate() {
            assert_eq!(usize::from(number(capability)), index, "{capability}");
        }
        for (name, expected) in
            [("CAP_SETPCAP", 8), ("CAP_SYS_ADMIN", 21), ("CAP_SETFCAP", 31), ("CAP_CHECKPOINT_RESTORE", 40)]
        {
            let capability = serde_json::from_value(name.into()).expect("a capability");
            assert_eq!(number(capability), expected, "{name}");
        }
    }
}
