//! The small formats that flags share.

use super::error::{GenerateError, wrong};

/// The two halves of `KEY=VALUE`; the key must not be empty.
pub(super) fn pair<'a>(flag: &'static str, text: &'a str) -> Result<(&'a str, &'a str), GenerateError> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key, value)),
        _ => Err(wrong(flag, text, "is not of the form KEY=VALUE")),
    }
}

/// The fields of a comma-separated list. A field in double quotes may contain commas, and two double
/// quotes in it stand for one (RFC 4180), as in Docker's `--mount`.
pub(super) fn fields(flag: &'static str, text: &str) -> Result<Vec<String>, GenerateError> {
    let mut fields = Vec::new();
    let mut rest = text;
    loop {
        let mut field = String::new();
        if let Some(quoted) = rest.strip_prefix('"') {
            rest = quoted;
            loop {
                let Some((part, after)) = rest.split_once('"') else {
                    return Err(wrong(flag, text, "a quotation mark is not closed"));
                };
                field.push_str(part);
                rest = after;
                let Some(after) = rest.strip_prefix('"') else { break };
                field.push('"');
                rest = after;
            }
            if !rest.is_empty() && !rest.starts_with(',') {
                return Err(wrong(flag, text, "a quoted field must end at a comma"));
            }
        } else {
            let end = rest.find(',').unwrap_or(rest.len());
            field.push_str(&rest[..end]);
            rest = &rest[end..];
        }
        fields.push(field);
        match rest.strip_prefix(',') {
            Some(after) => rest = after,
            None => return Ok(fields),
        }
    }
}

/// `true`, `false` and what Docker takes for them.
pub(super) fn boolean(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "t" | "true" => Some(true),
        "0" | "f" | "false" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_may_be_quoted() {
        for (text, expected) in [
            ("a,b=c", vec!["a", "b=c"]),
            ("", vec![""]),
            ("a,,b", vec!["a", "", "b"]),
            ("\"src=/a,b\",ro", vec!["src=/a,b", "ro"]),
            ("\"src=/a\"\"b\"", vec!["src=/a\"b"]),
        ] {
            assert_eq!(fields("mount", text).expect(text), expected, "{text}");
        }
        for text in ["\"a", "\"a\"b"] {
            assert!(fields("mount", text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_pair_has_a_key() {
        assert_eq!(pair("env", "A=b=c").expect("a pair"), ("A", "b=c"));
        assert_eq!(
            pair("sysctl", "a").unwrap_err().to_string(),
            "--sysctl \"a\": is not of the form KEY=VALUE"
        );
        assert!(pair("sysctl", "=a").is_err());
    }

    #[test]
    fn booleans_are_dockers() {
        for (text, expected) in
            [("1", Some(true)), ("True", Some(true)), ("f", Some(false)), ("yes", None), ("", None)]
        {
            assert_eq!(boolean(text), expected, "{text}");
        }
    }
}
