//! How a registry is accessed: the protocol, the trusted authorities, and the proxy.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use oci_client::client::{Certificate, CertificateEncoding, ClientConfig, ClientProtocol};
use oci_client::errors::{OciDistributionError, OciError, OciErrorCode};
use oci_client::{Client, Reference};
use rootling_sys::file;

use crate::error::{Error, Result, Said, shown};

/// How long it may take to connect to a server, and how long the server may be silent.
const CONNECT: Duration = Duration::from_secs(30);
const SILENCE: Duration = Duration::from_mins(1);

/// The size limit of a certificate, in bytes.
const MOST_CERTIFICATE: u64 = 1 << 20;

/// How registries are reached.
#[derive(Clone, Debug, Default)]
pub struct Access {
    /// A server that has copies of the image, as `HOST[:PORT]`.
    pub from: Option<String>,
    /// Whether to permit no encryption, or a certificate that cannot be verified.
    pub insecure: bool,
    /// Files with certificates of authorities to trust in addition to those of the system.
    pub ca_files: Vec<PathBuf>,
}

impl Access {
    /// Parses the name of an image as Docker does: without a registry it is on docker.io.
    pub(crate) fn reference(&self, text: &str) -> Result<Reference> {
        let parsed = text.parse::<Reference>();
        let mut reference = parsed.map_err(|error| {
            Error::invalid(format!(
                "reference {text:?}: {error}; it has the form [HOST[:PORT]/]NAME[:TAG][@DIGEST], such as docker.io/library/alpine:3"
            ))
        })?;
        if let Some(from) = &self.from {
            if from.is_empty() || from.contains('/') {
                return Err(Error::invalid(format!(
                    "--from {from:?}: it has the form HOST[:PORT], without a name of an image"
                )));
            }
            reference.set_mirror_registry(from.clone());
        }
        Ok(reference)
    }

    /// A client for one registry.
    pub(crate) fn client(&self, registry: &str, protocol: ClientProtocol) -> Result<Client> {
        // If a provider is installed already, that one is used.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let variable = |names: [&str; 2]| {
            names.iter().find_map(|name| std::env::var(name).ok()).filter(|text| !text.is_empty())
        };
        let config = ClientConfig {
            protocol,
            accept_invalid_certificates: self.insecure,
            extra_root_certificates: self.certificates(registry)?,
            read_timeout: Some(SILENCE),
            connect_timeout: Some(CONNECT),
            user_agent: concat!("rootling/", env!("CARGO_PKG_VERSION")),
            https_proxy: variable(["https_proxy", "HTTPS_PROXY"]),
            // The upper-case variable is not read, since a request can set it through CGI: httpoxy.
            http_proxy: variable(["http_proxy", "http_proxy"]),
            no_proxy: variable(["no_proxy", "NO_PROXY"]),
            ..ClientConfig::default()
        };
        Client::try_from(config).map_err(|error| Error::system(said(&error)).wrap("HTTP client"))
    }

    /// Whether a registry may be accessed without encryption: only on this machine, or if the user says so.
    pub(crate) fn may_be_plain(&self, registry: &str) -> bool {
        self.insecure || is_loopback(registry)
    }

    /// The authorities from the options, and those that Docker and podman have for this registry.
    fn certificates(&self, registry: &str) -> Result<Vec<Certificate>> {
        let mut all = Vec::new();
        for path in &self.ca_files {
            all.extend(certificates_of(path).said(|| format!("--ca-file {path:?}"))?);
        }
        let home = std::env::var_os("HOME").map(PathBuf::from);
        let of_user = home.map(|home| home.join(".config/containers/certs.d"));
        let of_system = ["/etc/containers/certs.d", "/etc/docker/certs.d"].map(PathBuf::from);
        for dir in of_user.into_iter().chain(of_system) {
            let dir = dir.join(registry);
            for entry in rootling_sys::directory::entries(&dir).unwrap_or_default() {
                if Path::new(&entry.name).extension().is_some_and(|ending| ending == "crt") {
                    let path = dir.join(entry.name);
                    all.extend(certificates_of(&path).said(|| format!("{path:?}"))?);
                }
            }
        }
        Ok(all)
    }
}

/// The certificates in a PEM file.
fn certificates_of(path: &Path) -> std::io::Result<Vec<Certificate>> {
    const END: &str = "-----END CERTIFICATE-----";
    let text = String::from_utf8_lossy(&file::read(path, MOST_CERTIFICATE)?).into_owned();
    let one = |part: &str| {
        part.contains("-----BEGIN CERTIFICATE-----").then(|| format!("{part}{END}\n").into_bytes())
    };
    let found: Vec<_> = text
        .split(END)
        .filter_map(one)
        .map(|data| Certificate { encoding: CertificateEncoding::Pem, data })
        .collect();
    if found.is_empty() {
        return Err(crate::error::to_io(Error::invalid(
            "has no certificate in PEM, which begins with -----BEGIN CERTIFICATE-----",
        )));
    }
    Ok(found)
}

fn host_of(registry: &str) -> &str {
    match registry.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or(rest),
        None => registry.rsplit_once(':').map_or(registry, |(host, _)| host),
    }
}

fn is_loopback(registry: &str) -> bool {
    let host = host_of(registry);
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// An error of the library with all its causes.
pub(crate) fn said(error: &OciDistributionError) -> String {
    said_of(error, &OciErrorCode::ManifestUnknown)
}

/// The same for a blob: a registry that lacks it answers as for an image.
pub(crate) fn said_of_blob(error: &OciDistributionError) -> String {
    said_of(error, &OciErrorCode::BlobUnknown)
}

fn said_of(error: &OciDistributionError, missing: &OciErrorCode) -> String {
    let mut text = match error {
        OciDistributionError::UnauthorizedError { .. } | OciDistributionError::AuthenticationFailure(_) => {
            format!("{error}: {LOG_IN}")
        }
        OciDistributionError::RegistryError { envelope, .. } => return answered(&envelope.errors, missing),
        OciDistributionError::ServerError { code: 404, .. }
        | OciDistributionError::ImageManifestNotFoundError(_) => return answered(&[], missing),
        OciDistributionError::ServerError { code, url, message } => {
            format!("{url}: status {code} of HTTP: {}", shown(message.trim().as_bytes()))
        }
        _ => error.to_string(),
    };
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text = format!("{text}: {inner_text}");
        }
        source = inner.source();
    }
    text
}

const LOG_IN: &str =
    "log in to the registry with `podman login` or `docker login`, or check the name of the image";

/// What a registry has answered, by the codes of the distribution specification, "Error Codes".
fn answered(errors: &[OciError], missing: &OciErrorCode) -> String {
    let Some(OciError { code, message, .. }) = errors.first() else {
        return format!("the registry {}", meaning(missing));
    };
    let is_missing = matches!(code, OciErrorCode::ManifestUnknown | OciErrorCode::NotFound);
    let meant = if is_missing { missing } else { code };
    let name = serde_json::to_value(code).ok().and_then(|name| Some(shown(name.as_str()?.as_bytes())));
    let answer = format!("{}: {}", name.unwrap_or_default().trim_matches('"'), shown(message.as_bytes()));
    format!("the registry {} ({answer})", meaning(meant))
}

fn meaning(code: &OciErrorCode) -> String {
    match code {
        OciErrorCode::ManifestUnknown | OciErrorCode::NotFound => {
            "has no image of this name with this tag or digest: check both".into()
        }
        OciErrorCode::NameUnknown | OciErrorCode::NameInvalid => {
            "has no repository of this name: check it".into()
        }
        OciErrorCode::BlobUnknown | OciErrorCode::ManifestBlobUnknown => {
            "has lost a part of the image: push it again".into()
        }
        OciErrorCode::Unauthorized | OciErrorCode::Denied => format!("does not permit it: {LOG_IN}"),
        OciErrorCode::Toomanyrequests => {
            "has had too many requests from here: wait, or log in with `podman login` or `docker login`"
                .into()
        }
        _ => "refuses".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_loopback() {
        for (registry, wanted) in [
            ("localhost:5000", true),
            ("localhost", true),
            ("127.0.0.1:5000", true),
            ("[::1]:5000", true),
            ("127.0.0.1.example.org:5000", false),
            ("localhost.example.org", false),
            ("10.0.0.1:5000", false),
        ] {
            assert_eq!(is_loopback(registry), wanted, "{registry}");
        }
    }

    #[test]
    fn answers_are_told_with_what_can_be_done() {
        for (code, words) in [
            (
                Some("MANIFEST_UNKNOWN"),
                "no image of this name with this tag or digest: check both (MANIFEST_UNKNOWN: \"m\")",
            ),
            (None, "no image of this name"),
            (Some("NAME_UNKNOWN"), "no repository of this name"),
            (Some("DENIED"), "`podman login`"),
            (Some("TOOMANYREQUESTS"), "wait, or log in"),
            (Some("a\u{1b}b"), "refuses (a\\u{1b}b: \"m\")"),
        ] {
            let error = |code| serde_json::from_value(serde_json::json!({"code": code, "message": "m"}));
            let errors: Vec<OciError> = code.map(|code| error(code).expect("an error")).into_iter().collect();
            let text = answered(&errors, &OciErrorCode::ManifestUnknown);
            assert!(text.contains(words), "{text}");
        }
    }

    #[test]
    fn names_are_read_as_docker_reads_them() {
        let access = Access { from: Some("localhost:5000".into()), ..Access::default() };
        let reference = access.reference("alpine").expect("a reference");
        assert_eq!(
            (reference.registry(), reference.repository(), reference.tag()),
            ("docker.io", "library/alpine", Some("latest"))
        );
        assert_eq!(reference.resolve_registry(), "localhost:5000");
        assert!(access.reference("a b").expect_err("wrong").to_string().contains("[HOST[:PORT]/]NAME"));
        let access = Access { from: Some("host/name".into()), ..Access::default() };
        assert!(access.reference("alpine").expect_err("wrong").to_string().contains("--from"));
    }
}
