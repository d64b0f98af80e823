//! An input that contains several files, each of which begins with a line `== NAME`.

/// The files in an input by name; if a name is repeated, the last one counts.
pub(super) fn of(text: &str) -> Vec<(&str, String)> {
    let mut all: Vec<(&str, String)> = Vec::new();
    for line in text.split_inclusive('\n') {
        if let Some(name) = line.strip_prefix("== ") {
            let name = name.trim();
            all.retain(|(other, _)| *other != name);
            all.push((name, String::new()));
        } else if let Some((_, content)) = all.last_mut() {
            content.push_str(line);
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_begin_with_their_names() {
        assert_eq!(of("x\n== a\n1\n2\n== b\n"), [("a", "1\n2\n".into()), ("b", String::new())]);
    }
}
