//! Device rules as `DevicePolicy=` and `DeviceAllow=` (systemd.resource-control(5)).
//!
//! What counts are our own rules. These properties keep systemd from undoing them, especially on v1, where it
//! writes to the same files whenever it changes the unit.

use zbus::zvariant::Value;

use super::bus::Property;
use crate::devices::{Kind, Ruleset, letters};

/// The properties for `rules`. What `DeviceAllow=` cannot express is left to our own rules.
pub(crate) fn properties(rules: &Ruleset) -> Vec<Property> {
    let empty: Vec<(String, String)> = Vec::new();
    // systemd appends to its current list; an empty list clears it.
    let clear = ("DeviceAllow".to_owned(), Value::from(empty));
    let policy = |policy: &'static str| ("DevicePolicy".to_owned(), Value::from(policy));
    if rules.default_allow {
        // There is no property for denied devices.
        return vec![clear, policy("auto")];
    }
    let allowed: Vec<(String, String)> = rules
        .exceptions
        .iter()
        .filter_map(|(what, access)| {
            let class = if what.kind == Kind::Block { "block" } else { "char" };
            let device = match (what.major, what.minor) {
                (None, None) => format!("{class}-*"),
                (Some(major), None) => format!("{class}-{major}"),
                (Some(major), Some(minor)) => format!("/dev/{class}/{major}:{minor}"),
                (None, Some(_)) => return None,
            };
            Some((device, letters(*access)))
        })
        .collect();
    vec![clear, policy("strict"), ("DeviceAllow".to_owned(), Value::from(allowed))]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn allowed_devices_are_listed_by_path_or_class() {
        let rules = r#"[{"allow":true,"type":"b","major":8,"minor":0,"access":"r"}]"#;
        let rules = Ruleset::of(&serde_json::from_str::<Vec<_>>(rules).unwrap()).unwrap();
        let properties = properties(&rules);
        assert_eq!(properties[1].1, Value::from("strict"));
        let allowed = Vec::<(String, String)>::try_from(properties[2].1.clone()).unwrap();
        for (device, access) in
            [("/dev/block/8:0", "r"), ("/dev/char/1:3", "rwm"), ("char-136", "rwm"), ("char-*", "m")]
        {
            assert!(allowed.contains(&(device.into(), access.into())), "{allowed:?}");
        }
    }

    #[test]
    fn allowing_everything_leaves_the_policy_to_systemd() {
        let rules = r#"[{"allow":true,"access":"rwm"}]"#;
        let rules = Ruleset::of(&serde_json::from_str::<Vec<_>>(rules).unwrap()).unwrap();
        assert_eq!(properties(&rules)[1].1, Value::from("auto"));
    }
}
