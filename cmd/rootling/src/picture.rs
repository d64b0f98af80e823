//! Checks the pictures in docs/pictures, which show what the commands print on a terminal of a certain width, in
//! colour.
//!
//! What differs between machines (the host, the figures of containers) is made up in each test, so that the
//! pictures are the same everywhere. To draw them again: `SNAPSHOTS=overwrite cargo test -p rootling picture`.

use std::path::Path;

use regex_lite::Regex;
use snapbox::data::DataFormat;
use snapbox::{Assert, Data};

/// The width of the terminal in columns.
pub(crate) const WIDTH: usize = 100;

/// Asserts that the picture `name` shows a shell in which `command` has printed `printed`.
pub(crate) fn assert_shows(name: &str, command: &str, printed: &str) {
    let shown: String = format!("alice$ {command}\n{printed}").lines().map(on_terminal).collect();
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/pictures").join(name);
    let picture = Data::read_from(&file.with_extension("svg"), Some(DataFormat::TermSvg));
    Assert::new().action_env("SNAPSHOTS").eq(Data::text(shown).coerce_to(DataFormat::TermSvg), picture);
}

/// Appends line ends, including one wherever a terminal would wrap the line, which a picture does not do.
fn on_terminal(line: &str) -> String {
    if line.contains('\x1b') {
        let plain = Regex::new("\x1b\\[[0-9;]*m").expect("a pattern").replace_all(line, "");
        assert!(plain.chars().count() <= WIDTH, "coloured, and wider than the terminal: {line:?}");
        return format!("{line}\n");
    }
    let mut rest: Vec<char> = line.chars().collect();
    let mut shown = String::new();
    while rest.len() > WIDTH {
        shown.extend(rest.drain(..WIDTH));
        shown.push('\n');
    }
    shown.extend(rest);
    shown + "\n"
}
