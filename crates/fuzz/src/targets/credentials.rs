//! Files of credentials, which `podman login` and `docker login` write: what they hold is for the registry alone.

use rootling_image::fuzzing;
use serde_json::Value;

use crate::check::{Answer, Run};

/// Images of registries, with the names that a file may have for them.
const IMAGES: [(&str, &str); 5] = [
    ("docker.io", "library/alpine"),
    ("index.docker.io", "a"),
    ("host:5000", "team/project/image"),
    ("ghcr.io", "owner/image"),
    ("registry.example.com", "a/b"),
];

/// Shorter ones may be words of a message.
const SECRET: usize = 12;

pub(super) fn start() -> Run {
    Box::new(run)
}

fn run(input: &[u8]) -> Result<Answer, String> {
    let mut found = Vec::new();
    for (registry, repository) in IMAGES {
        match fuzzing::credentials(input, registry, repository) {
            Ok(Some((user, password))) => {
                if fuzzing::credentials(input, registry, repository).ok().flatten() != Some((user, password))
                {
                    return Err("read twice, the credentials are others".to_owned());
                }
                found.push(format!("{registry}: somebody's"));
            }
            Ok(None) => found.push(format!("{registry}: nobody's")),
            Err(error) => {
                let error = error.to_string();
                keeps_secrets(input, &error)?;
                return Ok(Answer::Refused(error));
            }
        }
    }
    Ok(Answer::Accepted(found))
}

/// No error shows what the file keeps for a registry: errors are logged, and shown to others.
fn keeps_secrets(input: &[u8], error: &str) -> Result<(), String> {
    let Ok(mut document) = serde_json::from_slice::<Value>(input) else { return Ok(()) };
    let auths = document.get_mut("auths").map(Value::take).unwrap_or_default();
    let mut secrets = Vec::new();
    collect(&auths, &mut secrets);
    // Names of registries and of helpers are shown, and mutation has put some in the place of a secret.
    let names: Vec<&String> = auths.as_object().into_iter().flat_map(|members| members.keys()).collect();
    let shown = format!("{document}{names:?}{IMAGES:?}");
    let is_one =
        |text: &&&str| text.len() >= SECRET && text.bytes().all(is_base64) && !shown.contains(**text);
    match secrets.iter().filter(is_one).find(|secret| error.contains(**secret)) {
        Some(_) => Err("an error shows what a file of credentials holds".to_owned()),
        None => Ok(()),
    }
}

/// Without the slash, which paths and names of images have too.
fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'=')
}

/// The strings below a value, but for the names.
fn collect<'a>(value: &'a Value, to: &mut Vec<&'a str>) {
    match value {
        Value::String(text) => to.push(text),
        Value::Array(items) => items.iter().for_each(|item| collect(item, to)),
        Value::Object(members) => members.values().for_each(|member| collect(member, to)),
        _ => {}
    }
}
