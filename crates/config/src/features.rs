//! What this build supports in config.json, in the format of the runtime specification's features.md.
//!
//! Each list comes from the table or the type that is used for parsing, so that none can claim what is not parsed.
//! What depends on the caller and the host is filled in by the command.

use oci_spec::runtime::{
    Apparmor, Cgroup, Features, IDMap, IntelRdt, LinuxFeature, MemoryPolicy, MountExtensions, NetDevices,
    Seccomp, Selinux,
};
use serde::de::DeserializeOwned;

use crate::generate::OCI_VERSION;
use crate::process::memory_policy;
use crate::{annotations, capabilities, mounts, namespaces, seccomp};

/// The first version of the specification that is supported; so is every later 1.x.
pub const OCI_VERSION_MIN: &str = "1.0.0";

/// The members of `hooks`, in the order in which they run; runtime-spec, config.md "POSIX-platform Hooks".
pub const HOOKS: [&str; 6] =
    ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"];

/// The features of this build. Fields that depend on the caller and the host are set as for root on a host that
/// supports everything; `annotations` is empty.
pub fn of_build() -> Features {
    let mut features = Features::default();
    features
        .set_oci_version_min(OCI_VERSION_MIN.to_owned())
        .set_oci_version_max(OCI_VERSION.to_owned())
        .set_hooks(Some(strings(&HOOKS)))
        .set_mount_options(Some(mounts::table::known().map(str::to_owned).collect()))
        .set_linux(Some(linux()))
        .set_potentially_unsafe_config_annotations(Some(strings(&annotations::UNSAFE)));
    features
}

fn linux() -> LinuxFeature {
    let mut kinds = namespaces::KINDS.to_vec();
    kinds.sort_unstable_by_key(|kind| namespaces::name(*kind));
    let mut idmap = IDMap::default();
    idmap.set_enabled(Some(true));
    let mut extensions = MountExtensions::default();
    extensions.set_idmap(Some(idmap));
    let mut devices = NetDevices::default();
    devices.set_enabled(Some(true));
    let mut apparmor = Apparmor::default();
    apparmor.set_enabled(Some(true));
    let mut selinux = Selinux::default();
    selinux.set_enabled(Some(true));
    let mut rdt = IntelRdt::default();
    rdt.set_enabled(Some(true)).set_schemata(Some(true)).set_monitoring(Some(true));
    let mut linux = LinuxFeature::default();
    linux
        .set_namespaces(Some(kinds))
        .set_capabilities(Some(capabilities::ALL.iter().map(|c| format!("CAP_{c}")).collect()))
        .set_cgroup(Some(cgroup()))
        .set_seccomp(Some(seccomp_features()))
        .set_apparmor(Some(apparmor))
        .set_selinux(Some(selinux))
        .set_intel_rdt(Some(rdt))
        .set_memory_policy(Some(memory_policies()))
        .set_mount_extensions(Some(extensions))
        .set_net_devices(Some(devices));
    linux
}

fn cgroup() -> Cgroup {
    let mut cgroup = Cgroup::default();
    cgroup
        .set_v1(Some(true))
        .set_v2(Some(true))
        .set_systemd(Some(true))
        .set_systemd_user(Some(true))
        .set_rdma(Some(true));
    cgroup
}

fn seccomp_features() -> Seccomp {
    let mut features = Seccomp::default();
    features
        .set_enabled(Some(true))
        .set_actions(Some(parsed(&seccomp::ACTIONS)))
        .set_operators(Some(strings(&seccomp::OPERATORS)))
        .set_archs(Some(parsed(&seccomp::ARCHITECTURES)))
        .set_known_flags(Some(strings(&seccomp::FLAGS)))
        .set_supported_flags(Some(seccomp::supported_flags()));
    features
}

fn memory_policies() -> MemoryPolicy {
    let mut policy = MemoryPolicy::default();
    policy
        .set_modes(Some(memory_policy::MODES.iter().map(word).collect()))
        .set_flags(Some(memory_policy::FLAGS.iter().map(word).collect()));
    policy
}

fn strings(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

/// Parses these words; one that the parser does not know would be missing from the result.
fn parsed<T: DeserializeOwned>(words: &[&str]) -> Vec<T> {
    words.iter().filter_map(|&word| serde_json::from_value(word.into()).ok()).collect()
}

/// The word that stands for a value in config.json.
fn word<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_value(value).ok().and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use oci_spec::runtime::{Hooks, LinuxSeccompFilterFlag, LinuxSeccompOperator};
    use serde_json::{Value, json};

    use super::*;

    fn features() -> Value {
        serde_json::to_value(of_build()).expect("features")
    }

    #[test]
    fn every_seccomp_word_is_one_that_the_parser_knows() {
        let seccomp = &features()["linux"]["seccomp"];
        assert_eq!(seccomp["actions"], json!(seccomp::ACTIONS));
        assert_eq!(seccomp["archs"], json!(seccomp::ARCHITECTURES));
        assert_eq!(parsed::<LinuxSeccompOperator>(&seccomp::OPERATORS).len(), seccomp::OPERATORS.len());
        assert_eq!(parsed::<LinuxSeccompFilterFlag>(&seccomp::FLAGS).len(), seccomp::FLAGS.len());
    }

    #[test]
    fn supported_flags_are_among_the_known_ones() {
        let supported = seccomp::supported_flags();
        assert!(supported.contains(&"SECCOMP_FILTER_FLAG_LOG".to_owned()), "{supported:?}");
        assert!(supported.iter().all(|flag| seccomp::FLAGS.contains(&flag.as_str())), "{supported:?}");
    }

    #[test]
    fn every_hook_is_one_that_the_parser_keeps() {
        let all: serde_json::Map<String, Value> =
            HOOKS.iter().map(|&name| (name.to_owned(), json!([{"path": "/h"}]))).collect();
        let read: Hooks = serde_json::from_value(Value::Object(all)).expect("hooks");
        let kept = serde_json::to_value(read).expect("hooks");
        assert_eq!(kept.as_object().map(serde_json::Map::len), Some(HOOKS.len()));
    }

    #[test]
    fn lists_are_those_of_the_tables_in_the_specifications_words() {
        let features = features();
        let linux = &features["linux"];
        assert_eq!(
            linux["namespaces"],
            json!(["cgroup", "ipc", "mount", "network", "pid", "time", "user", "uts"])
        );
        assert_eq!(linux["capabilities"][0], "CAP_CHOWN");
        assert_eq!(linux["capabilities"][40], "CAP_CHECKPOINT_RESTORE");
        assert_eq!(linux["memoryPolicy"]["modes"][0], "MPOL_BIND");
        assert_eq!(linux["memoryPolicy"]["flags"][2], "MPOL_F_STATIC_NODES");
        assert_eq!(features["mountOptions"].as_array().map(Vec::len), Some(mounts::table::OPTIONS.len()));
    }
}
