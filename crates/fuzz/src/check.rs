//! What must be true of every answer, whatever the input was.

use rootling_init::error::one_line;

/// Passes an input to the code that parses it; the error says which property is violated.
pub type Run = Box<dyn FnMut(&[u8]) -> Result<Answer, String>>;

/// The result for an input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It was accepted, with these warnings, one line each.
    Accepted(Vec<String>),
    /// It was refused, with the error that the caller would see.
    Refused(String),
}

/// The longest permitted line, in bytes: a longer one shows the whole of a value from the caller.
pub const MOST: usize = 4096;

/// Rust's debug output of values, which is not meant for users.
const DEBUG_TEXT: [&str; 12] = [
    "Os { code",
    "Custom { kind",
    "Some(",
    "None)",
    "Err(",
    "Ok(",
    "Error(",
    "kind: ",
    "ErrorKind",
    "PathBuf",
    "panicked at",
    "unwrap()",
];

/// Checks the lines of an answer.
///
/// # Errors
/// The first problem that is found.
pub fn answer(answer: &Answer, input: &[u8]) -> Result<(), String> {
    let lines = match answer {
        // In the form in which warnings are logged.
        Answer::Accepted(lines) => lines.iter().cloned().map(one_line).collect(),
        Answer::Refused(error) => vec![error.clone()],
    };
    lines.iter().try_for_each(|text| line(text, input))
}

fn line(text: &str, input: &[u8]) -> Result<(), String> {
    if text.trim().is_empty() {
        return Err("an error or a warning is empty".to_owned());
    }
    if let Some(found) = text.chars().find(|c| c.is_control()) {
        return Err(format!("a control character in: {} ({found:?})", start_of(text)));
    }
    if text.len() > MOST {
        return Err(format!("a line of {} bytes: {}", text.len(), start_of(text)));
    }
    // The input may contain such a word itself.
    let found = DEBUG_TEXT.iter().find(|word| text.contains(**word) && !holds(input, word));
    found.map_or(Ok(()), |word| Err(format!("Rust debug text ({word}): {}", start_of(text))))
}

fn holds(input: &[u8], word: &str) -> bool {
    input.windows(word.len()).any(|window| window == word.as_bytes())
}

/// As much of a text as a report shows.
pub fn start_of(text: &str) -> String {
    text.chars().take(300).collect()
}

/// What distinguishes one answer from another: its text without figures and quoted values.
pub fn shape(answer: &Answer) -> String {
    match answer {
        Answer::Accepted(lines) => {
            let mut shapes: Vec<String> = lines.iter().take(20).map(|line| shape_of(line)).collect();
            shapes.sort_unstable();
            shapes.dedup();
            shapes.concat()
        }
        Answer::Refused(error) => format!("refused: {}", shape_of(error)),
    }
}

/// A text without figures, quoted values and what follows them.
pub fn shape_of(text: &str) -> String {
    let mut shape = String::new();
    let mut quoted = None;
    for c in text.chars() {
        match quoted {
            Some(quote) if c == quote => quoted = None,
            Some(_) => {}
            None if c == '"' || c == '`' => quoted = Some(c),
            None if c.is_ascii_digit() => {}
            // An unquoted name, such as that of an annotation, may have any length.
            None if shape.len() >= 160 => break,
            None => shape.push(c),
        }
    }
    shape
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_neither_empty_nor_long_nor_for_programmers() {
        let refused = |text: &str, input: &str| answer(&Answer::Refused(text.into()), input.as_bytes());
        assert_eq!(refused("mounts[0]: \"x\" is no type; remove it", ""), Ok(()));
        for (text, problem) in [
            (" ".to_owned(), "empty"),
            ("a\nb".to_owned(), "a control character in: a"),
            ("a".repeat(MOST + 1), "a line of 4097 bytes"),
            ("open: Os { code: 2 }".to_owned(), "debug text"),
        ] {
            assert!(refused(&text, "").unwrap_err().contains(problem), "{text:.20}");
        }
        assert_eq!(refused("\"Some(x)\" is no number", "{\"a\": \"Some(x)\"}"), Ok(()));
    }

    #[test]
    fn answers_differ_by_more_than_values() {
        let shape = |text: &str| shape(&Answer::Refused(text.into()));
        assert_eq!(shape("mounts[1]: \"a\" is odd"), shape("mounts[22]: \"bcd\" is odd"));
        assert_ne!(shape("mounts[1]: \"a\" is odd"), shape("devices[1]: \"a\" is odd"));
    }
}
