//! `events`.

use rootling_runtime::{self as runtime, Event, Result, Stats, Store};
use serde::Serialize;

use crate::args;
use crate::log;
use crate::terminal::print_next;

/// A line of the output, with the same fields as in runc.
#[derive(Serialize)]
struct Line<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a Stats>,
}

pub(crate) fn events(store: &Store, args: &args::Events) -> Result<()> {
    let id = &args.id.id;
    let show = |kind, data: Option<&Stats>| print(&Line { kind, id: id.as_str(), data });
    if args.stats {
        // Issued after the figures, which readers expect on the first line.
        let mut warnings = Vec::new();
        let stats = runtime::stats(store, id, &mut |text| warnings.push(text))?;
        show("stats", Some(&stats))?;
        for text in &warnings {
            log::warning(text);
        }
        return Ok(());
    }
    let mut report = |event| match event {
        Event::Stats(stats) => show("stats", Some(&*stats)),
        Event::Oom => show("oom", None),
    };
    runtime::events(store, id, args.interval, &mut report, &mut |text| log::warning(&text))
}

/// Prints a line; returns whether anybody is still reading.
fn print(line: &Line<'_>) -> Result<bool> {
    print_next(&(serde_json::to_string(line)? + "\n"))
}
