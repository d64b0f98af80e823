//! A second chance for a document that the typed parse has refused: the leniency of runc's JSON reader.
//!
//! Go leaves a field alone if its value is `null`, and fills in zero values for what is missing; runc skips
//! capabilities that it does not know. Configurations written by other tools rely on that.

use oci_spec::runtime::Capability;
use serde_json::{Map, Value, json};

/// Names that the specification spells one way and the typed spec another, so that a profile that
/// follows the specification would not parse: oci-spec 0.10 leaves a word out of the first, and
/// derives the second by splitting every capital.
const SCHEDULER_FLAGS: [(&str, &str); 2] = [
    ("SCHED_FLAG_RESET_ON_FORK", "SCHED_RESET_ON_FORK"),
    ("SCHED_FLAG_DL_OVERRUN", "SCHED_FLAG_D_L_OVERRUN"),
];

/// Corrects a whole spec, as far as runc would have accepted it.
pub(super) fn spec(value: &mut Value, warnings: &mut Vec<String>) {
    drop_nulls(value);
    if let Some(object) = value.get_mut("process") {
        relax_process(object, "process.", warnings);
    }
    if let Some(Value::Object(linux)) = value.get_mut("linux") {
        relax_seccomp(linux);
        relax_device_rules(linux);
    }
}

/// Corrects a process object in the same way.
pub(super) fn process(value: &mut Value, warnings: &mut Vec<String>) {
    drop_nulls(value);
    relax_process(value, "", warnings);
}

/// Treats `"field": null` as an absent field.
pub(super) fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|_, value| !value.is_null());
            map.values_mut().for_each(drop_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}

fn relax_process(value: &mut Value, prefix: &str, warnings: &mut Vec<String>) {
    let Value::Object(process) = value else { return };
    // Go's zero User is 0:0.
    process.entry("user").or_insert_with(|| json!({}));
    if let Some(Value::Object(sets)) = process.get_mut("capabilities") {
        for (set, names) in sets {
            drop_unknown_capabilities(&format!("{prefix}capabilities.{set}"), names, warnings);
        }
    }
    if let Some(Value::Array(flags)) = process.get_mut("scheduler").and_then(|s| s.get_mut("flags")) {
        for flag in flags {
            if let Some((_, typed)) = SCHEDULER_FLAGS.iter().find(|(name, _)| flag == name) {
                *flag = Value::from(*typed);
            }
        }
    }
    if let Some(Value::Object(affinity)) = process.get_mut("execCPUAffinity") {
        affinity.retain(|_, list| list != "");
    }
}

/// A newer tool may know capabilities that this build does not: they cannot be granted here, and runc leaves them out
/// as well.
fn drop_unknown_capabilities(field: &str, names: &mut Value, warnings: &mut Vec<String>) {
    let Value::Array(names) = names else { return };
    names.retain(|name| {
        let known = !name.is_string() || serde_json::from_value::<Capability>(name.clone()).is_ok();
        if !known {
            warnings.push(format!("{field}: unknown capability {name} ignored"));
        }
        known
    });
}

/// Some tools write "no seccomp" as an object with neither a default action nor rules.
fn relax_seccomp(linux: &mut Map<String, Value>) {
    let Some(Value::Object(seccomp)) = linux.get_mut("seccomp") else { return };
    let no_default = seccomp.get("defaultAction").is_none_or(|action| action == "");
    let no_rules = seccomp.get("syscalls").is_none_or(|rules| rules == &json!([]));
    if no_default && no_rules {
        linux.remove("seccomp");
        return;
    }
    let Some(Value::Array(rules)) = seccomp.get_mut("syscalls") else { return };
    for rule in rules.iter_mut().filter_map(Value::as_object_mut) {
        rule.entry("names").or_insert_with(|| json!([]));
        let Some(Value::Array(args)) = rule.get_mut("args") else { continue };
        for arg in args.iter_mut().filter_map(Value::as_object_mut) {
            arg.entry("index").or_insert_with(|| json!(0));
            arg.entry("value").or_insert_with(|| json!(0));
        }
    }
}

/// An empty device type in a cgroup rule means every type.
fn relax_device_rules(linux: &mut Map<String, Value>) {
    let rules = linux.get_mut("resources").and_then(|resources| resources.get_mut("devices"));
    let Some(Value::Array(rules)) = rules else { return };
    for rule in rules.iter_mut().filter_map(Value::as_object_mut) {
        rule.retain(|key, value| key != "type" || value != "");
    }
}
