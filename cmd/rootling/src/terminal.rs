//! What standard output can show.

use std::io::{IsTerminal, stdout};

/// The widest that text is set: longer lines are hard to read.
const WIDEST: usize = 120;

/// Whether to use colours: on a terminal, unless `NO_COLOR` is set (no-color.org) or it has none.
pub(crate) fn has_colours() -> bool {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    stdout().is_terminal() && set("NO_COLOR").is_none() && set("TERM").is_none_or(|term| term != "dumb")
}

/// How many columns there are.
pub(crate) fn width() -> usize {
    // Not that of standard error or input: what is read later from a file should not depend on them.
    terminal_size::terminal_size_of(stdout())
        .map_or(WIDEST, |(width, _)| usize::from(width.0).clamp(40, WIDEST))
}
