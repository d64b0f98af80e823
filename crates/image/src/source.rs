//! The source of an image, such as `oci:DIR[:REF]`.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::error::{Error, Result, Said};

/// The image argument of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// An OCI image layout, and which of its images.
    Layout(PathBuf, Option<String>),
    /// A tar archive of a layout.
    OciArchive(PathBuf, Option<String>),
    /// An archive of `docker save`, and which of its images.
    DockerArchive(PathBuf, Option<String>),
    /// A tar archive of a root file system; `-` stands for standard input.
    Rootfs(PathBuf),
    /// The host's busybox.
    Busybox,
    /// An image in a registry.
    Registry(String),
}

const FORMS: &str = "use oci:DIR[:REF], oci-archive:FILE[:REF], docker-archive:FILE[:REF], docker://REFERENCE, rootfs:FILE, \
     busybox:, or a path";

impl FromStr for Source {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (kind, rest) = text.split_once(':').unwrap_or(("", text));
        if let Some(reference) = text.strip_prefix("docker://") {
            return match reference {
                "" => Err(wrong(text, "names no image")),
                _ => Ok(Self::Registry(reference.to_owned())),
            };
        }
        let source = match kind {
            "oci" => Self::Layout,
            "oci-archive" => Self::OciArchive,
            "docker-archive" => Self::DockerArchive,
            "rootfs" if !rest.is_empty() => return Ok(Self::Rootfs(rest.into())),
            "busybox" if rest.is_empty() => return Ok(Self::Busybox),
            "busybox" => {
                return Err(wrong(
                    text,
                    "names something behind busybox:, which has no images to choose from",
                ));
            }
            "rootfs" => return Err(wrong(text, "names no file")),
            _ => return recognised(text),
        };
        let (path, reference) = split_reference(rest);
        if path.as_os_str().is_empty() {
            return Err(wrong(text, "names no file or directory"));
        }
        Ok(source(path, reference))
    }
}

fn wrong(text: &str, problem: &str) -> Error {
    Error::invalid(format!("image {text:?} {problem}: {FORMS}"))
}

/// Splits `PATH[:REF]`; an existing path may contain a colon itself.
fn split_reference(text: &str) -> (PathBuf, Option<String>) {
    if Path::new(text).exists() {
        return (text.into(), None);
    }
    let whole = || (text.into(), None);
    // A reference may contain colons as well, for example before a tag: the shortest existing path is chosen.
    let splits = text.match_indices(':').map(|(at, _)| (&text[..at], &text[at + 1..]));
    let mut candidates = splits.filter(|(path, reference)| !path.is_empty() && !reference.is_empty());
    let there = candidates.clone().find(|(path, _)| Path::new(path).exists());
    there
        .or_else(|| candidates.next())
        .map_or_else(whole, |(path, reference)| (path.into(), Some(reference.into())))
}

/// Determines the kind of source from what exists at a path.
fn recognised(text: &str) -> Result<Source> {
    if text == "-" {
        return Ok(Source::Rootfs(text.into()));
    }
    let (path, reference) = split_reference(text);
    if !path.exists() {
        return Err(wrong(text, "is of an unknown type, and there is no file or directory of that name"));
    }
    if path.is_dir() {
        if path.join("oci-layout").exists() {
            return Ok(Source::Layout(path, reference));
        }
        return Err(wrong(text, "is a directory without an image layout: it has no file oci-layout"));
    }
    match crate::archive::kind(&path).said(|| format!("{path:?}"))? {
        crate::archive::Kind::Oci => Ok(Source::OciArchive(path, reference)),
        crate::archive::Kind::Docker => Ok(Source::DockerArchive(path, reference)),
        crate::archive::Kind::Other => Ok(Source::Rootfs(path)),
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, path, reference) = match self {
            Self::Layout(path, reference) => ("oci", path, reference),
            Self::OciArchive(path, reference) => ("oci-archive", path, reference),
            Self::DockerArchive(path, reference) => ("docker-archive", path, reference),
            Self::Rootfs(path) => return write!(f, "rootfs:{}", path.display()),
            Self::Busybox => return f.write_str("busybox:"),
            Self::Registry(reference) => return write!(f, "docker://{reference}"),
        };
        write!(f, "{kind}:{}", path.display())?;
        reference.iter().try_for_each(|reference| write!(f, ":{reference}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_told_by_their_prefix() {
        for (text, source) in [
            ("oci:dir", Source::Layout("dir".into(), None)),
            ("oci:dir:latest", Source::Layout("dir".into(), Some("latest".into()))),
            ("oci:dir:host:5000/a:1", Source::Layout("dir".into(), Some("host:5000/a:1".into()))),
            ("oci-archive:f.tar", Source::OciArchive("f.tar".into(), None)),
            ("docker-archive:f:a:1", Source::DockerArchive("f".into(), Some("a:1".into()))),
            ("rootfs:-", Source::Rootfs("-".into())),
            ("busybox:", Source::Busybox),
            ("docker://a/b:1", Source::Registry("a/b:1".into())),
        ] {
            assert_eq!(text.parse::<Source>().expect(text), source);
            assert_eq!(source.to_string(), text);
        }
    }

    #[test]
    fn a_path_is_recognised_and_anything_else_refused() {
        let dir = tempfile::tempdir().expect("a directory");
        let layout = dir.path().join("with:colon");
        std::fs::create_dir(&layout).expect("a directory");
        let text = layout.to_str().expect("UTF-8").to_owned();
        assert!(text.parse::<Source>().expect_err("no layout").to_string().contains("oci-layout"));
        std::fs::write(layout.join("oci-layout"), "{}").expect("a file");
        assert_eq!(text.parse::<Source>().expect("a layout"), Source::Layout(layout.clone(), None));
        assert_eq!(
            format!("{text}:v1").parse::<Source>().expect("a layout"),
            Source::Layout(layout, Some("v1".into()))
        );
        for text in ["", "oci:", "rootfs:", "busybox:x", "docker://", "nosuch", "nosuch:x"] {
            let error = text.parse::<Source>().expect_err(text).to_string();
            assert!(error.contains("oci-archive:FILE"), "{error}");
        }
    }
}
