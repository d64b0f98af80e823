//! The default profile as engines take it: a rule says for which capabilities it is meant.

use std::collections::HashSet;

use oci_spec::runtime::{Capability, LinuxSyscall};
use serde_json::{Value, json};

use super::names::{PACKET, WITH, WITH_MODULES};
use super::profile::{default_profile, families, rule, without_namespaces, words};

/// What [`default_profile`] is for any container, as one document in the form of Docker's and podman's
/// profiles: a rule has `includes` and `excludes`, by which the reader decides for the container's
/// capabilities.
pub fn default_document() -> Value {
    // Without a capability: what holds always, and what holds only as long as there is no SYS_ADMIN.
    let profile = default_profile(&HashSet::<Capability>::new());
    let only_without = without_namespaces();
    let always = profile.syscalls().iter().flatten().filter(|rule| !only_without.contains(rule));
    let mut rules: Vec<Value> = always.map(|rule| json!(rule)).collect();
    for (capabilities, names) in WITH.iter().chain([&WITH_MODULES]) {
        // Who has one of several gets the calls; in a rule, all of them would be needed.
        rules.extend(capabilities.iter().map(|one| including(&rule(words(names), Vec::new()), one)));
    }
    rules.extend(families([PACKET]).map(|rule| including(&rule, "NET_RAW")));
    rules.extend(only_without.iter().map(|rule| conditional(rule, "excludes", "SYS_ADMIN")));
    let mut document = json!(profile);
    document["syscalls"] = Value::Array(rules);
    document
}

fn including(rule: &LinuxSyscall, capability: &str) -> Value {
    conditional(rule, "includes", capability)
}

fn conditional(rule: &LinuxSyscall, condition: &str, capability: &str) -> Value {
    let mut value = json!(rule);
    value[condition] = json!({ "caps": [format!("CAP_{capability}")] });
    value
}
