//! The default profile in the form that engines take: a rule says for which capabilities it is meant.

use std::collections::HashSet;

use oci_spec::runtime::{Capability, LinuxSyscall};
use serde_json::{Value, json};

use super::names::{PACKET, WITH, WITH_MODULES};
use super::profile::{default_profile, families, rule, without_namespaces, words};

/// [`default_profile`] for any container, as a single document in the form of Docker's and podman's profiles: a rule
/// has `includes` and `excludes`, which the reader evaluates for the container's capabilities.
pub fn default_document() -> Value {
    // Without any capability: what always applies, and what applies only without SYS_ADMIN.
    let profile = default_profile(&HashSet::<Capability>::new());
    let only_without = without_namespaces();
    let always = profile.syscalls().iter().flatten().filter(|rule| !only_without.contains(rule));
    let mut rules: Vec<Value> = always.map(|rule| json!(rule)).collect();
    for (capabilities, names) in WITH.iter().chain([&WITH_MODULES]) {
        // Any one of several capabilities grants the calls; in a single rule, all of them would be required.
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
