//! Reduces the rules of a container to one default and its exceptions.
//!
//! This is what the v1 devices controller keeps in the kernel (`security/device_cgroup.c`). On v2 there is a
//! program instead, which is made from the same result.

use std::collections::BTreeMap;

use oci_spec::runtime::LinuxDeviceCgroup;

use super::rule::{DEFAULTS, Match, Rule, letters};
use crate::CgroupError;

/// A default and its exceptions. Initially everything is denied.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Ruleset {
    pub(crate) default_allow: bool,
    /// Access bits by the devices that they are for: allowed ones if the default is to deny, denied ones if it is
    /// to allow.
    pub(crate) exceptions: BTreeMap<Match, u8>,
}

impl Ruleset {
    /// Combines the rules of `linux.resources.devices` with those that every container gets.
    ///
    /// # Errors
    /// A rule is malformed, or takes away a part of an earlier wildcard.
    pub(crate) fn of(rules: &[LinuxDeviceCgroup]) -> Result<Self, CgroupError> {
        let mut set = Self::default();
        for (index, rule) in rules.iter().enumerate() {
            set.add(Rule::parse(index, rule)?, || format!("[{index}]"))?;
        }
        for rule in DEFAULTS {
            set.add(rule, || "the default rule".to_owned())?;
        }
        Ok(set)
    }

    fn add(&mut self, rule: Rule, label: impl Fn() -> String) -> Result<(), CgroupError> {
        let Some(what) = rule.what else {
            *self = Self { default_allow: rule.allow, exceptions: BTreeMap::new() };
            return Ok(());
        };
        if rule.allow == self.default_allow {
            return self.take_back(what, rule.access, label);
        }
        *self.exceptions.entry(what).or_default() |= rule.access;
        Ok(())
    }

    /// Removes an exception.
    ///
    /// A part of a wildcard exception cannot be removed: on v1 the kernel would silently ignore that, and the
    /// user would believe that the device is not accessible.
    fn take_back(&mut self, what: Match, access: u8, label: impl Fn() -> String) -> Result<(), CgroupError> {
        let wider = [
            Match { major: None, ..what },
            Match { minor: None, ..what },
            Match { major: None, minor: None, ..what },
        ];
        for wide in wider.into_iter().filter(|wide| *wide != what) {
            let overlap = self.exceptions.get(&wide).copied().unwrap_or(0) & access;
            if overlap != 0 {
                return Err(CgroupError::InvalidResource {
                    field: "devices",
                    value: format!("{} {what} {}", label(), letters(access)),
                    reason: "it makes a hole in a rule with a wildcard before it, which the kernel cannot do; \
                             write the wildcard rule narrower",
                });
            }
        }
        if let Some(left) = self.exceptions.get_mut(&what) {
            *left &= !access;
            if *left == 0 {
                self.exceptions.remove(&what);
            }
        }
        Ok(())
    }

    /// What to write to the v1 controller, in order: file name and value.
    pub(crate) fn v1(&self) -> Vec<(&'static str, String)> {
        let (default, exception) = if self.default_allow {
            ("devices.allow", "devices.deny")
        } else {
            ("devices.deny", "devices.allow")
        };
        let mut writes = vec![(default, "a".to_owned())];
        writes.extend(
            self.exceptions.iter().map(|(what, access)| (exception, format!("{what} {}", letters(*access)))),
        );
        writes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ruleset(json: &str) -> Result<Ruleset, CgroupError> {
        Ruleset::of(&serde_json::from_str::<Vec<LinuxDeviceCgroup>>(json).unwrap())
    }

    fn v1(json: &str) -> Vec<String> {
        ruleset(json).unwrap().v1().into_iter().map(|(file, rule)| format!("{file} {rule}")).collect()
    }

    #[test]
    fn without_rules_the_default_devices_are_allowed_and_nothing_else() {
        assert_eq!(
            v1("[]"),
            [
                "devices.deny a",
                "devices.allow b *:* m",
                "devices.allow c *:* m",
                "devices.allow c 1:3 rwm",
                "devices.allow c 1:5 rwm",
                "devices.allow c 1:7 rwm",
                "devices.allow c 1:8 rwm",
                "devices.allow c 1:9 rwm",
                "devices.allow c 5:0 rwm",
                "devices.allow c 5:2 rwm",
                "devices.allow c 10:200 rwm",
                "devices.allow c 136:* rwm",
            ]
        );
    }

    #[test]
    fn rules_of_the_container_come_first() {
        let rules = v1(r#"[{"allow":false,"access":"rwm"},
            {"allow":true,"type":"c","major":10,"minor":229,"access":"rw"},
            {"allow":true,"type":"b","major":8,"access":"r"}]"#);
        assert!(rules.contains(&"devices.allow c 10:229 rw".to_owned()), "{rules:?}");
        assert!(rules.contains(&"devices.allow b 8:* r".to_owned()), "{rules:?}");
    }

    #[test]
    fn allowing_everything_leaves_nothing_to_deny() {
        assert_eq!(v1(r#"[{"allow":true,"access":"rwm"}]"#), ["devices.allow a"]);
        let rules = v1(r#"[{"allow":true,"type":"a","access":"rwm"},
            {"allow":false,"type":"b","major":8,"minor":0,"access":"w"}]"#);
        assert_eq!(rules, ["devices.allow a", "devices.deny b 8:0 w"]);
    }

    #[test]
    fn a_later_rule_takes_back_an_earlier_one() {
        let rules = v1(r#"[{"allow":true,"type":"c","major":10,"minor":229,"access":"rw"},
            {"allow":false,"type":"c","major":10,"minor":229,"access":"w"}]"#);
        assert!(rules.contains(&"devices.allow c 10:229 r".to_owned()), "{rules:?}");
    }

    #[test]
    fn a_hole_in_a_wildcard_is_refused() {
        let error = ruleset(
            r#"[{"allow":true,"type":"c","major":10,"access":"rw"},
                {"allow":false,"type":"c","major":10,"minor":229,"access":"w"}]"#,
        );
        assert!(error.unwrap_err().to_string().contains("[1] c 10:229 w"));
        let error =
            ruleset(r#"[{"allow":true,"access":"rwm"},{"allow":false,"type":"c","major":1,"access":"rw"}]"#);
        assert!(error.unwrap_err().to_string().contains("the default rule c 1:3 rwm"));
    }

    #[test]
    fn a_malformed_rule_is_named_by_its_index() {
        for (json, message) in [
            (r#"[{"allow":true}]"#, "device access at 0 field cannot be empty"),
            (r#"[{"allow":true,"access":""}]"#, "device access at 0 field cannot be empty"),
            (r#"[{"allow":true,"access":"rx"}]"#, "[0] rx"),
            (r#"[{"allow":true,"type":"p","access":"r"}]"#, "FIFO"),
            (r#"[{"allow":true,"type":"c","major":4294967296,"access":"r"}]"#, "[0] 4294967296"),
        ] {
            let error = ruleset(json).unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
        }
    }
}
