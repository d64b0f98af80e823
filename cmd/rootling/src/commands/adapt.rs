//! `adapt`: shows what `create` would make of a config.json.

use std::fmt::Write as _;
use std::io::Write;

use anstyle::{AnsiColor, Reset};
use oci_spec::runtime::Spec;
use rootling_config::load;
use rootling_rootless::adapt::{Adaptation, Options};
use rootling_rootless::host::Host;
use rootling_runtime::{self as runtime, Result};
use serde_json::Value;
use similar::{ChangeTag, TextDiff};

use super::create::bundle_path;
use crate::args;
use crate::roots::Context;
use crate::terminal::print;
use crate::{log, terminal};

pub(crate) fn adapt(context: Context<'_>, args: &args::Adapt) -> Result<()> {
    let options = Options {
        bundle: bundle_path(args.bundle.as_deref())?,
        ignore_cgroup_limits: args.ignore_cgroup_limits,
        strict: args.strict,
        cgroup_manager: context.global.manager().unwrap_or_default(),
        map_owner: args.userns_remap.clone(),
    };
    let loaded = runtime::load_bundle(context.host, &options.bundle)?;
    loaded.warnings.iter().for_each(|text| log::warning(text));
    let written = rootling_sys::file::read(&options.bundle.join(load::CONFIG_FILE), load::MOST)?;
    // It has already been parsed as a spec above.
    let written: Value = serde_json::from_slice(&written)?;
    let (adapted, changes) = adapted(&written, loaded.spec, context.host, &options)?;
    explain(&changes, args.explain, &mut std::io::stderr())?;
    if args.diff {
        print(&diff(&pretty(&written)?, &pretty(&adapted)?, terminal::has_colours()))
    } else {
        print(&pretty(&adapted)?)
    }
}

/// The document as adapted to the host, and the changes; `spec` is what was understood of it.
fn adapted(
    written: &Value,
    mut spec: Spec,
    host: &Host,
    options: &Options,
) -> Result<(Value, Vec<Adaptation>)> {
    let before = value(&spec)?;
    let changes = runtime::adapt(&mut spec, host, options)?;
    Ok((carry_over(written.clone(), &before, value(&spec)?), changes))
}

fn value(spec: &Spec) -> Result<Value> {
    Ok(serde_json::to_value(spec)?)
}

fn pretty(value: &Value) -> Result<String> {
    Ok(serde_json::to_string_pretty(value).map(|text| text + "\n")?)
}

/// Applies the differences between two versions of what was understood to the document itself: fields that rootling
/// does not know, and the way in which others were written, are preserved.
fn carry_over(written: Value, before: &Value, after: Value) -> Value {
    if *before == after {
        return written;
    }
    match (written, before, after) {
        (Value::Object(mut written), Value::Object(before), Value::Object(after)) => {
            for key in before.keys().filter(|key| !after.contains_key(*key)) {
                written.remove(key);
            }
            for (key, new) in after {
                let old = before.get(&key).unwrap_or(&Value::Null);
                let value = written.remove(&key).map_or(new.clone(), |value| carry_over(value, old, new));
                written.insert(key, value);
            }
            Value::Object(written)
        }
        (Value::Array(written), Value::Array(before), Value::Array(after))
            if written.len() == before.len() && before.len() == after.len() =>
        {
            let all = written.into_iter().zip(before).zip(after);
            all.map(|((written, before), after)| carry_over(written, before, after)).collect()
        }
        (_, _, after) => after,
    }
}

/// Explains the changes. What the container loses is always reported, as by `create`.
fn explain(changes: &[Adaptation], all: bool, to: &mut impl Write) -> Result<()> {
    for change in changes {
        if change.warning {
            log::warning(&change.to_string());
        } else if all {
            writeln!(to, "{change}")?;
        }
    }
    if all && changes.is_empty() {
        writeln!(to, "nothing to change")?;
    }
    Ok(())
}

fn diff(old: &str, new: &str, colours: bool) -> String {
    let diff = TextDiff::from_lines(old, new);
    let mut text = String::new();
    let mut line = |colour: Option<AnsiColor>, line: &str| {
        let _ = match colour.filter(|_| colours) {
            Some(colour) => writeln!(text, "{}{line}{Reset}", colour.on_default()),
            None => writeln!(text, "{line}"),
        };
    };
    for (index, hunk) in diff.unified_diff().context_radius(3).iter_hunks().enumerate() {
        if index == 0 {
            line(Some(AnsiColor::Yellow), "--- config.json");
            line(Some(AnsiColor::Yellow), "+++ config.json, adapted");
        }
        line(Some(AnsiColor::Cyan), &hunk.header().to_string());
        for change in hunk.iter_changes() {
            let (sign, colour) = match change.tag() {
                ChangeTag::Delete => ("-", Some(AnsiColor::Red)),
                ChangeTag::Insert => ("+", Some(AnsiColor::Green)),
                ChangeTag::Equal => (" ", None),
            };
            line(colour, &format!("{sign}{}", change.value().trim_end_matches('\n')));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use rootling_rootless::host::Fixture;
    use serde_json::json;

    use super::*;
    use crate::picture;

    /// A user with subordinate ids, on a host where nothing is covered.
    fn alice() -> Fixture {
        Fixture::ordinary(1000)
            .file("/etc/passwd", "alice:x:1000:1000::/home/alice:/bin/sh\n")
            .file("/etc/subuid", "alice:100000:65536\n")
            .file("/etc/subgid", "alice:100000:65536\n")
            .file("/proc/self/oom_score_adj", "0\n")
            .id_helpers()
    }

    #[test]
    fn picture_in_the_docs_shows_the_reasons_and_the_coloured_diff() {
        let for_root = json!({
            "ociVersion": "1.2.0",
            "process": {"args": ["httpd"], "cwd": "/", "user": {"uid": 0, "gid": 0}},
            "root": {"path": "rootfs"},
            "linux": {"namespaces": [{"type": "pid"}, {"type": "mount"}]}
        });
        let spec = serde_json::from_value(for_root.clone()).unwrap();
        let (adapted, changes) = adapted(&for_root, spec, &Host::on(alice()), &Options::default()).unwrap();
        assert!(changes.iter().all(|change| !change.warning), "a warning is not in the picture: {changes:?}");
        let mut printed = Vec::new();
        explain(&changes, true, &mut printed).unwrap();
        let printed = String::from_utf8(printed).unwrap();
        let diff = diff(&pretty(&for_root).unwrap(), &pretty(&adapted).unwrap(), true);
        picture::assert_shows("adapt", "rootling adapt --explain --diff", &(printed + &diff));
    }

    #[test]
    fn what_was_not_understood_stays() {
        let written = json!({"x-mine": 1, "mounts": [{"destination": "/a", "odd": true}, {"destination": "/b"}],
                             "process": {"args": null, "uid": 0}, "gone": {"x": 1}, "hooks": {}});
        let before = json!({"mounts": [{"destination": "/a"}, {"destination": "/b"}], "process": {"uid": 0},
                            "gone": {"x": 1}});
        let after = json!({"mounts": [{"destination": "/a", "type": "bind"}, {"destination": "/b"}],
                           "process": {"uid": 0}, "new": [1]});
        assert_eq!(
            carry_over(written, &before, after),
            json!({"x-mine": 1, "mounts": [{"destination": "/a", "odd": true, "type": "bind"}, {"destination": "/b"}],
                   "process": {"args": null, "uid": 0}, "new": [1], "hooks": {}})
        );
    }

    #[test]
    fn lists_of_another_length_are_replaced() {
        let (written, before, after) =
            (json!([{"a": 1, "x": 0}, 2]), json!([{"a": 1}, 2]), json!([{"a": 1}]));
        assert_eq!(carry_over(written, &before, after.clone()), after);
    }

    #[test]
    fn a_diff_is_plain_or_coloured_and_empty_without_a_change() {
        let plain = diff("a\nb\n", "a\nc\n", false);
        assert_eq!(plain, "--- config.json\n+++ config.json, adapted\n@@ -1,2 +1,2 @@\n a\n-b\n+c\n");
        assert!(diff("a\n", "b\n", true).contains("\u{1b}[31m-a\u{1b}[0m\n"));
        assert_eq!(diff("a\n", "a\n", true), "");
    }
}
