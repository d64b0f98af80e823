//! The selection of scenarios to run, and their time limits.

use std::env;
use std::time::{Duration, Instant};

use super::{Facts, Group};
use crate::sys::matches_pattern;

/// If it is not 0, only groups that need a whole machine are run: the rest of what ran in a system container.
pub(crate) const REST: &str = "ROOTLING_ENGINES_REST";

/// A bash pattern, such as `exec*` or `@(nested|many)`.
#[derive(Clone, Debug)]
pub struct Pattern(String);

impl Pattern {
    /// Whether the pattern matches the whole name.
    pub fn matches(&self, name: &str) -> bool {
        matches_pattern(&self.0, name)
    }
}

impl From<&str> for Pattern {
    fn from(pattern: &str) -> Self {
        Self(pattern.to_owned())
    }
}

/// What the variables `ROOTLING_ENGINES_*` select.
#[derive(Clone, Debug)]
pub struct Selection {
    only: Option<Pattern>,
    but: Option<Pattern>,
    /// Whether only groups that need a whole machine are wanted.
    rest: bool,
    /// The time limit for one command, in seconds.
    step: u64,
    /// When the time for all scenarios is up.
    end: Instant,
}

impl Selection {
    /// Reads the variables; the time starts to run.
    pub fn from_environment() -> Result<Self, String> {
        Ok(Self {
            only: pattern("ROOTLING_ENGINES_ONLY"),
            but: pattern("ROOTLING_ENGINES_BUT"),
            rest: number(REST, 0)? != 0,
            step: number("ROOTLING_ENGINES_STEP", 240)?,
            end: Instant::now() + Duration::from_secs(number("ROOTLING_ENGINES_TIME", 3600)?),
        })
    }

    /// Fails if what is selected would all be skipped here.
    pub(super) fn check(&self, facts: Facts) -> Result<(), String> {
        if self.rest && !facts.machine {
            return Err(format!(
                "{REST} is set, but this machine lacks controllers for cgroups, or root lacks capabilities: run it in a virtual machine"
            ));
        }
        Ok(())
    }

    /// Whether to run a group. The one that prepares all others is always run.
    pub(super) fn takes(&self, group: &Group, facts: Facts) -> bool {
        let only = self.only.as_ref().is_none_or(|pattern| pattern.matches(group.name));
        let but = self.but.as_ref().is_some_and(|pattern| pattern.matches(group.name));
        // What is left at the end is of interest after any of them.
        let rest = !self.rest || group.needs_machine(facts) || group.name == "left";
        group.name == "image" || (only && !but && rest)
    }

    /// The time for a command that takes `seconds`, or as long as any other; `None` if no time is left.
    pub(super) fn time_for(&self, seconds: Option<u64>) -> Option<Duration> {
        let left = self.end.saturating_duration_since(Instant::now());
        (!left.is_zero()).then(|| left.min(Duration::from_secs(seconds.unwrap_or(self.step))))
    }
}

fn pattern(variable: &str) -> Option<Pattern> {
    env::var(variable).ok().filter(|value| !value.is_empty()).map(Pattern)
}

/// The number in an environment variable, or `default` if it is not set.
pub fn number(variable: &str, default: u64) -> Result<u64, String> {
    match env::var(variable) {
        Ok(text) if !text.is_empty() => {
            text.parse().map_err(|_| format!("{variable} is {text:?}, which is no number: give one, or none"))
        }
        _ => Ok(default),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Step;
    use super::*;

    const FACTS: Facts = Facts { root: true, host_network: true, apparmor: false, machine: true };

    fn selection(only: Option<&str>, but: Option<&str>) -> Selection {
        let end = Instant::now() + Duration::from_mins(1);
        let [only, but] = [only, but].map(|pattern| pattern.map(Pattern::from));
        Selection { only, but, rest: false, step: 240, end }
    }

    #[test]
    fn patterns_are_those_of_bash() {
        let selected = |only, but| {
            let selection = selection(only, but);
            let groups = ["image", "run", "execs", "many", "nested"].map(|name| Group { name, steps: &[] });
            groups.iter().filter(|group| selection.takes(group, FACTS)).map(|group| group.name).collect()
        };
        let all: Vec<&str> = selected(None, None);
        assert_eq!(all, ["image", "run", "execs", "many", "nested"]);
        assert_eq!(selected(Some("exec*"), None), ["image", "execs"]);
        assert_eq!(selected(None, Some("@(nested|many)")), ["image", "run", "execs"]);
        assert_eq!(selected(Some("[mr]*"), Some("run")), ["image", "many"]);
        assert_eq!(selected(Some("exec"), None), ["image"]);
    }

    #[test]
    fn rest_is_groups_with_steps_that_need_a_whole_machine() {
        const LIMITED: Step = Step::Machine(&[Step::Quietly("true")]);
        let selection = Selection { rest: true, ..selection(None, Some("many")) };
        let takes = |name, steps| selection.takes(&Group { name, steps }, FACTS);
        assert!(takes("lifecycle", &[Step::Quietly("true"), LIMITED]));
        assert!(takes("nested", &[Step::All(&[Step::When(|facts| facts.root, &[LIMITED])])]));
        assert!(!takes("of a user", &[Step::When(|facts| !facts.root, &[LIMITED])]));
        assert!(takes("image", &[]) && takes("left", &[]));
        assert!(
            selection.check(FACTS).is_ok() && selection.check(Facts { machine: false, ..FACTS }).is_err()
        );
        assert!(!takes("run", &[Step::Quietly("true")]) && !takes("many", &[LIMITED]));
    }

    #[test]
    fn a_command_gets_its_time_and_no_more_than_is_left() {
        let selection = selection(None, None);
        assert_eq!(selection.time_for(Some(7)), Some(Duration::from_secs(7)));
        assert!(selection.time_for(None) <= Some(Duration::from_mins(1)));
        assert_eq!(Selection { end: Instant::now(), ..selection }.time_for(None), None);
    }
}
