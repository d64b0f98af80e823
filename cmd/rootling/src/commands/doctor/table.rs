//! The checks as a table, followed by what is wrong, at the width of the terminal.

use std::borrow::Cow;
use std::fmt::Write as _;

use rootling_rootless::doctor::{Check, Verdict};
use rootling_runtime::Result;
use tabwriter::TabWriter;
use textwrap::{Options, WordSplitter};

use crate::commands::columns::aligned;

const PADDING: usize = 2;

pub(super) fn render(checks: &[Check], width: usize) -> Result<String> {
    let mut text = columns(checks, width)?;
    for check in checks.iter().filter(|check| check.verdict != Verdict::Ok) {
        let Check { name, found, why, fix, .. } = check;
        let _ = write!(text, "\n{}\n", textwrap::fill(&format!("{name}: {found}"), whole_words(width)));
        text += &paragraph("  why: ", why, width);
        // Not wrapped, since a line that is to be copied must remain a single line.
        let _ = writeln!(text, "  fix: {}", fix.as_deref().unwrap_or_default());
    }
    let worst = checks.iter().map(|check| check.verdict).max().unwrap_or(Verdict::Ok);
    let sum = match worst {
        Verdict::Ok => "Containers can run here.",
        Verdict::Warning => "Containers can run here, within the limits that the warnings are about.",
        Verdict::Failed => "Containers cannot run here until that is put right.",
    };
    let _ = write!(text, "\n{}\n", textwrap::fill(sum, whole_words(width)));
    Ok(text)
}

fn paragraph(label: &str, text: &str, width: usize) -> String {
    let indent = " ".repeat(label.len());
    textwrap::fill(text, whole_words(width).initial_indent(label).subsequent_indent(&indent)) + "\n"
}

/// Paths and options are not split at hyphens.
fn whole_words(width: usize) -> Options<'static> {
    Options::new(width).word_splitter(WordSplitter::NoHyphenation)
}

/// Wraps cells into several lines of the table; the first two columns are short.
fn columns(checks: &[Check], width: usize) -> Result<String> {
    let names = checks.iter().map(|check| check.name.len()).max().unwrap_or(0).max("CHECK".len());
    let left = width.saturating_sub(names + "warning".len() + 3 * PADDING).max(20);
    let (found, needed) = (left / 2, left - left / 2);
    let mut text = String::from("CHECK\tSTATUS\tFOUND\tNEEDED\n");
    for check in checks {
        let (found, needed) = (
            textwrap::wrap(&check.found, whole_words(found)),
            textwrap::wrap(&check.needed, whole_words(needed)),
        );
        for line in 0..found.len().max(needed.len()) {
            let (name, status) = if line == 0 { (check.name, check.verdict.name()) } else { ("", "") };
            let cell = |cells: &[Cow<'_, str>]| cells.get(line).map(ToString::to_string).unwrap_or_default();
            let _ = writeln!(text, "{name}\t{status}\t{}\t{}", cell(&found), cell(&needed));
        }
    }
    let table = aligned(&text, TabWriter::new(Vec::new()).padding(PADDING))?;
    Ok(table.lines().fold(String::new(), |all, line| all + line.trim_end() + "\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(verdict: Verdict, found: &str) -> Check {
        let fix =
            (verdict != Verdict::Ok).then(|| "as root: do this and that and then something else".to_owned());
        let why = "it has to be so for a reason that is told here at length".into();
        Check {
            name: "thing",
            verdict,
            found: found.into(),
            needed: "what is needed for it".into(),
            why,
            fix,
        }
    }

    #[test]
    fn no_line_of_the_table_is_wider_than_the_terminal() {
        let long = "something that was found and takes a great many words to be described";
        for width in [40, 60, 100] {
            let text = render(&[check(Verdict::Ok, "well"), check(Verdict::Failed, long)], width).unwrap();
            for line in text.lines().filter(|line| !line.starts_with("  fix: ")) {
                assert!(line.len() <= width.max(60), "{width}: {line:?}");
            }
            assert!(text.contains("  fix: as root: do this and that and then something else\n"), "{text}");
            assert!(text.contains("\nContainers cannot run here until"), "{text}");
        }
    }

    #[test]
    fn what_is_well_has_no_paragraph() {
        let text = render(&[check(Verdict::Ok, "well")], 80).unwrap();
        assert_eq!(
            text,
            "CHECK  STATUS  FOUND  NEEDED\nthing  ok      well   what is needed for it\n\nContainers can run here.\n"
        );
    }
}
