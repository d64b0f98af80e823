//! Standard output: what it can display, and writing to it.

use std::io::{ErrorKind, IsTerminal, Write, stdout};

use rootling_runtime::Result;

/// The maximum width of text: longer lines are hard to read.
const WIDEST: usize = 120;

/// Whether to use colours: on a terminal, unless `NO_COLOR` is set (no-color.org) or the terminal has no colours.
pub fn has_colours() -> bool {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    stdout().is_terminal() && set("NO_COLOR").is_none() && set("TERM").is_none_or(|term| term != "dumb")
}

/// The width in columns.
pub fn width() -> usize {
    // That of standard error or input does not count: output that is later read from a file should not depend on
    // them.
    terminal_size::terminal_size_of(stdout())
        .map_or(WIDEST, |(width, _)| usize::from(width.0).clamp(40, WIDEST))
}

/// Prints to standard output. A reader that has gone is no failure.
pub fn print(text: &str) -> Result<()> {
    print_next(text).map(drop)
}

/// Prints one of several texts; returns whether anybody is still reading.
pub fn print_next(text: &str) -> Result<bool> {
    let mut out = stdout();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(e) => Err(e.into()),
    }
}

/// The message of clap, which spreads over several lines, in one line.
pub fn in_one_line(error: &clap::Error) -> String {
    let rendered = error.render().to_string();
    let lines =
        rendered.lines().take_while(|line| !line.starts_with("Usage") && !line.starts_with("For more"));
    let text = lines.map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ");
    text.strip_prefix("error: ").unwrap_or(&text).to_owned()
}
