//! Standard output: what it can show, and how it is written to.

use std::io::{ErrorKind, IsTerminal, Write, stdout};

use rootling_runtime::Result;

/// The widest that text is set: longer lines are hard to read.
const WIDEST: usize = 120;

/// Whether to use colours: on a terminal, unless `NO_COLOR` is set (no-color.org) or it has none.
pub fn has_colours() -> bool {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    stdout().is_terminal() && set("NO_COLOR").is_none() && set("TERM").is_none_or(|term| term != "dumb")
}

/// How many columns there are.
pub fn width() -> usize {
    // Not that of standard error or input: what is read later from a file should not depend on them.
    terminal_size::terminal_size_of(stdout())
        .map_or(WIDEST, |(width, _)| usize::from(width.0).clamp(40, WIDEST))
}

/// Prints on standard output. A reader that has gone is no failure.
pub fn print(text: &str) -> Result<()> {
    print_next(text).map(drop)
}

/// Prints one text of many; whether anybody still reads.
pub fn print_next(text: &str) -> Result<bool> {
    let mut out = stdout();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(e) => Err(e.into()),
    }
}

/// clap's own words, which it spreads over several lines.
pub fn in_one_line(error: &clap::Error) -> String {
    let rendered = error.render().to_string();
    let lines =
        rendered.lines().take_while(|line| !line.starts_with("Usage") && !line.starts_with("For more"));
    let text = lines.map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ");
    text.strip_prefix("error: ").unwrap_or(&text).to_owned()
}
