//! `GVariant`'s text format, and annotations that contain it: lines of `PROPERTY VALUE`.

use rootling_cgroup::fuzzing::{annotation, gvariant};
use rootling_init::error::chain;

use crate::check::{Answer, Run};

pub(super) fn start() -> Run {
    Box::new(|input| {
        let text = String::from_utf8_lossy(input);
        let mut refused = None;
        for line in text.lines().take(1000) {
            let (name, value) = line.split_once(' ').unwrap_or((line, ""));
            if gvariant(value).map(|value| value.to_string())
                != gvariant(value).map(|value| value.to_string())
            {
                return Err(format!("{value:?} is not the same value twice"));
            }
            if let Err(error) = annotation(&format!("org.systemd.property.{name}"), value) {
                refused = Some(chain(&error));
            }
        }
        Ok(refused.map_or(Answer::Accepted(Vec::new()), Answer::Refused))
    })
}
