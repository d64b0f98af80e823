//! Credentials for a registry, as `podman login` and `docker login` have stored them; containers-auth.json(5).

use std::collections::BTreeMap;
use std::env;
use std::io::{ErrorKind, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use oci_client::secrets::RegistryAuth;
use rootling_sys::file;
use serde::Deserialize;

use crate::error::{Error, Result, Said};

/// The size limit of a file with credentials, in bytes.
const MOST: u64 = 1 << 20;

/// The name of docker.io in files of its own tools.
const DOCKER_HUB: &str = "https://index.docker.io/v1/";

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct File {
    auths: BTreeMap<String, Kept>,
    cred_helpers: BTreeMap<String, String>,
    creds_store: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Kept {
    auth: Option<String>,
    identitytoken: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    username: String,
    secret: String,
}

/// The credentials for an image, from the first file that has some; anonymous if none has.
pub(crate) fn find(registry: &str, repository: &str) -> Result<RegistryAuth> {
    for path in files() {
        let bytes = match file::read(&path, MOST) {
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => continue,
            other => other.said(|| format!("credentials {path:?}"))?,
        };
        let found = parse(&bytes).and_then(|file| of_file(&file, registry, repository, &ask));
        if let Some(found) = found.map_err(|error| error.wrap(format!("credentials {path:?}")))? {
            return Ok(found);
        }
    }
    Ok(RegistryAuth::Anonymous)
}

/// podman's files come before docker's, as in containers-auth.json(5).
fn files() -> Vec<PathBuf> {
    let path = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(named) = path("REGISTRY_AUTH_FILE") {
        return vec![named];
    }
    let home = path("HOME");
    let below_home = |rest: &str| home.as_ref().map(|home| home.join(rest));
    let config = path("XDG_CONFIG_HOME").or_else(|| below_home(".config"));
    let docker = path("DOCKER_CONFIG").or_else(|| below_home(".docker"));
    let all = [
        path("XDG_RUNTIME_DIR").map(|dir| dir.join("containers/auth.json")),
        config.map(|dir| dir.join("containers/auth.json")),
        docker.map(|dir| dir.join("config.json")),
    ];
    all.into_iter().flatten().collect()
}

/// The credentials of a file, if no program has to be asked for them.
#[cfg(feature = "fuzzing")]
pub(crate) fn without_helpers(
    bytes: &[u8],
    registry: &str,
    repository: &str,
) -> Result<Option<RegistryAuth>> {
    of_file(&parse(bytes)?, registry, repository, &|helper, _| program_of(helper).map(|_| None))
}

fn parse(bytes: &[u8]) -> Result<File> {
    serde_json::from_slice(bytes).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        // Its text would have the value in it, which may be a password, and errors are logged.
        Error::invalid(if error.is_data() {
            format!("cannot be read: something is of another type than in containers-auth.json(5) at line {line} column {column}")
        } else {
            format!("cannot be read: {error}")
        })
    })
}

/// What asks a credential helper about a server.
type Ask = dyn Fn(&str, &str) -> Result<Option<RegistryAuth>>;

fn of_file(file: &File, registry: &str, repository: &str, ask: &Ask) -> Result<Option<RegistryAuth>> {
    // The longest that fits: podman keeps credentials for a part of a registry as well.
    let names = names(registry, repository);
    for name in &names {
        if let Some(helper) = file.cred_helpers.get(name) {
            return ask(helper, name);
        }
        // Several names may mean the same: the one that is written as it is asked for counts, and otherwise the first.
        let similar = || file.auths.iter().find(|(key, _)| normal(key) == normal(name)).map(|(_, kept)| kept);
        let Some(kept) = file.auths.get(name).or_else(similar) else { continue };
        if kept.identitytoken.as_ref().is_some_and(|token| !token.is_empty()) {
            return Err(identity_token(name));
        }
        if let Some(auth) = kept.auth.as_ref().filter(|auth| !auth.is_empty()) {
            return decoded(auth, name).map(Some);
        }
    }
    match (&file.creds_store, names.last()) {
        (Some(helper), Some(_)) => ask(helper, if registry == "docker.io" { DOCKER_HUB } else { registry }),
        _ => Ok(None),
    }
}

fn names(registry: &str, repository: &str) -> Vec<String> {
    let mut names = vec![format!("{registry}/{repository}")];
    let mut rest = repository;
    while let Some((shorter, _)) = rest.rsplit_once('/') {
        names.push(format!("{registry}/{shorter}"));
        rest = shorter;
    }
    names.push(registry.to_owned());
    if registry == "docker.io" || registry == "index.docker.io" {
        names.push(DOCKER_HUB.to_owned());
    }
    names
}

/// Removes the protocol and the path of a version, which some tools write.
fn normal(key: &str) -> &str {
    let key = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://")).unwrap_or(key);
    let key = key.trim_end_matches('/');
    key.strip_suffix("/v1").or_else(|| key.strip_suffix("/v2")).unwrap_or(key)
}

fn decoded(auth: &str, name: &str) -> Result<RegistryAuth> {
    let bytes = BASE64_STANDARD.decode(auth.trim()).ok();
    let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
    // Some tools append NUL bytes.
    let text = text.as_deref().map(|text| text.trim_end_matches('\0'));
    let pair = text.and_then(|text| text.split_once(':'));
    let (user, password) = pair.ok_or_else(|| {
        Error::invalid(format!("auths.{name:?}: auth is not `USER:PASSWORD` in base64: log in again"))
    })?;
    Ok(RegistryAuth::Basic(user.to_owned(), password.to_owned()))
}

fn identity_token(name: &str) -> Error {
    Error::invalid(format!(
        "{name:?} has an identity token, which only the tool that got it can use: log in with a password or an access token"
    ))
}

/// The program of a helper, which is looked for in `$PATH`.
fn program_of(helper: &str) -> Result<String> {
    if helper.is_empty() || helper.contains('/') {
        return Err(Error::invalid(format!(
            "the name of a credential helper, {helper:?}, is not the name of a program"
        )));
    }
    Ok(format!("docker-credential-{helper}"))
}

/// Asks `docker-credential-HELPER get`.
fn ask(helper: &str, server: &str) -> Result<Option<RegistryAuth>> {
    let program = program_of(helper)?;
    let mut command = Command::new(&program);
    command.arg("get").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let output = command
        .spawn()
        .and_then(|mut child| {
            // If the helper does not read its input, its exit status shows what is wrong.
            let _ = child.stdin.take().map(|mut stdin| stdin.write_all(server.as_bytes()));
            child.wait_with_output()
        })
        .said(|| format!("{program}, which the file names for {server}"))?;
    if !output.status.success() {
        let text =
            String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        // All helpers use these words.
        if text.contains("credentials not found") {
            return Ok(None);
        }
        return Err(Error::system(format!("{program} get: {}", text.trim())));
    }
    let answer: Answer = serde_json::from_slice(&output.stdout)
        .map_err(|error| Error::system(format!("{program} get: its answer cannot be read: {error}")))?;
    if answer.username == "<token>" {
        return Err(identity_token(server));
    }
    Ok(Some(RegistryAuth::Basic(answer.username, answer.secret)))
}

/// Whether credentials are read from this path; for tests.
#[cfg(test)]
fn reads(path: &std::path::Path) -> bool {
    files().iter().any(|file| file == path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(text: &str, registry: &str, repository: &str) -> Option<String> {
        let file = parse(text.as_bytes()).expect("a file");
        match of_file(&file, registry, repository, &ask).expect("credentials") {
            Some(RegistryAuth::Basic(user, _)) => Some(user),
            _ => None,
        }
    }

    #[test]
    fn the_longest_name_that_fits_counts() {
        let auth = |user: &str| BASE64_STANDARD.encode(format!("{user}:secret"));
        let text = serde_json::json!({"auths": {
            "host:5000": {"auth": auth("all")},
            "host:5000/team": {"auth": auth("team")},
            "https://other/v2/": {"auth": auth("other")},
            DOCKER_HUB: {"auth": auth("hub")},
        }})
        .to_string();
        for (registry, repository, wanted) in [
            ("host:5000", "a", Some("all")),
            ("host:5000", "team/a/b", Some("team")),
            ("host:5000", "teams/a", Some("all")),
            ("other", "a", Some("other")),
            ("docker.io", "library/alpine", Some("hub")),
            ("third", "a", None),
        ] {
            assert_eq!(user(&text, registry, repository).as_deref(), wanted, "{registry}/{repository}");
        }
    }

    #[test]
    fn what_cannot_be_used_is_an_error() {
        for text in [
            r#"{"auths":{"h":{"auth":"????"}}}"#,
            r#"{"auths":{"h":{"identitytoken":"x"}}}"#,
            r#"{"credHelpers":{"h":"../x"}}"#,
        ] {
            let file = parse(text.as_bytes()).expect("a file");
            assert!(of_file(&file, "h", "a", &ask).is_err(), "{text}");
        }
    }

    #[test]
    fn a_name_as_it_is_counts_before_others_that_mean_the_same() {
        let auth = |user: &str| BASE64_STANDARD.encode(format!("{user}:secret"));
        let kept = |user: &str| serde_json::json!({"auth": auth(user)});
        let names = |own: bool| {
            let mut auths =
                serde_json::json!({"http://h": kept("b"), "https://h": kept("c"), "h/v1/": kept("a")});
            if own {
                auths["h"] = kept("own");
            }
            serde_json::json!({"auths": auths}).to_string()
        };
        // Each time in another order, if it were that of a hash.
        for _ in 0..50 {
            assert_eq!(user(&names(true), "h", "x").as_deref(), Some("own"));
            assert_eq!(user(&names(false), "h", "x").as_deref(), Some("a"));
        }
    }

    #[test]
    fn no_error_shows_what_the_file_holds() {
        let secret = BASE64_STANDARD.encode("user:correct horse");
        for text in [
            format!(r#"{{"auths":{{"h":"{secret}"}}}}"#),
            format!(r#"{{"auths":"{secret}"}}"#),
            format!(r#"{{"auths":{{"h":{{"auth":"{secret}"}}}},"credHelpers":["{secret}"]}}"#),
        ] {
            let error = parse(text.as_bytes()).expect_err(&text).to_string();
            assert!(!error.contains(&secret) && error.contains("line 1 column"), "{error}");
        }
    }

    #[test]
    fn dockers_file_is_read() {
        if let Some(home) = env::var_os("HOME")
            .filter(|_| env::var_os("DOCKER_CONFIG").is_none() && env::var_os("REGISTRY_AUTH_FILE").is_none())
        {
            assert!(reads(&PathBuf::from(home).join(".docker/config.json")));
        }
    }
}
