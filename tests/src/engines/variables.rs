//! The variables of a run, which are the environment of its commands and are filled into what is expected of them.

use std::collections::BTreeMap;

/// Variables, each with a value.
#[derive(Debug, Default)]
pub(super) struct Variables(BTreeMap<String, String>);

impl Variables {
    pub(super) fn set(&mut self, name: &str, value: impl Into<String>) {
        self.0.insert(name.to_owned(), value.into());
    }

    pub(super) fn get(&self, name: &str) -> &str {
        self.0.get(name).map_or_else(|| panic!("the run has no variable {name}"), String::as_str)
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    pub(super) fn all(&self) -> impl Iterator<Item = (&String, &String)> {
        self.0.iter()
    }

    /// The text with `$NAME` replaced by the value of each variable. Any other `$` is left alone, since it is the
    /// end of a line in a regular expression.
    pub(super) fn fill(&self, text: &str) -> String {
        let mut filled = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('$') {
            filled += before;
            let length = after.find(|c: char| !(c.is_ascii_uppercase() || c == '_')).unwrap_or(after.len());
            let name = &after[..length];
            if let Some(value) = self.0.get(name) {
                filled += value;
            } else {
                filled.push('$');
                filled += name;
            }
            rest = &after[length..];
        }
        filled + rest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_of_the_run_are_filled_in_and_nothing_else() {
        let mut variables = Variables::default();
        variables.set("NAME", "rootling");
        variables.set("DIR", "/var/tmp/x");
        assert_eq!(variables.fill("^running 0 $NAME$"), "^running 0 rootling$");
        assert_eq!(variables.fill("$DIR/ro: $WHO costs $5, $"), "/var/tmp/x/ro: $WHO costs $5, $");
        assert_eq!(variables.fill("$NAME"), "rootling");
        assert_eq!(variables.fill("$NAMES"), "$NAMES");
    }
}
