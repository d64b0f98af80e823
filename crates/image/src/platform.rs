//! Selects the image in an index: image-spec image-index.md "platform".

use std::str::FromStr;

use oci_spec::image::{Descriptor, ImageConfiguration, ImageIndex};

use crate::error::{Error, Result};

/// An operating system, a processor architecture, and optionally its variant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Platform {
    os: String,
    architecture: String,
    variant: Option<String>,
    /// Whether the caller has named it, so that an image for another one is an error.
    named: bool,
}

impl Platform {
    /// The platform of this machine.
    pub fn own() -> Self {
        let (architecture, variant) = match std::env::consts::ARCH {
            "x86_64" => ("amd64", None),
            "aarch64" => ("arm64", Some("v8")),
            "arm" => ("arm", Some("v7")),
            "powerpc64" => ("ppc64le", None),
            other => (other, None),
        };
        let variant = variant.map(Into::into);
        Self { os: "linux".into(), architecture: architecture.into(), variant, named: false }
    }

    /// Checks an image that no index has offered: only its configuration says for which platform it is.
    pub(crate) fn check(&self, config: &ImageConfiguration) -> Result<()> {
        let other_variant =
            matches!((&self.variant, config.variant()), (Some(wanted), Some(found)) if wanted != found);
        let (os, architecture) = (config.os().to_string(), config.architecture().to_string());
        if !self.named || os == self.os && architecture == self.architecture && !other_variant {
            return Ok(());
        }
        let variant = config.variant().as_ref().map(|variant| format!("/{variant}")).unwrap_or_default();
        Err(Error::invalid(format!(
            "the image is one for {os}/{architecture}{variant}, not for {self}, and there is no other under this name"
        )))
    }

    /// Whether the caller has named it.
    pub(crate) fn is_named(&self) -> bool {
        self.named
    }

    /// How well a platform fits, with lower being better; `None` if it does not fit.
    fn rank(&self, descriptor: &Descriptor) -> Option<u8> {
        let Some(platform) = descriptor.platform() else { return Some(2) };
        if platform.os().to_string() != self.os || platform.architecture().to_string() != self.architecture {
            return None;
        }
        match (&self.variant, platform.variant()) {
            (wanted, found) if wanted == found => Some(0),
            (None, Some(_)) | (Some(_), None) => Some(1),
            _ => None,
        }
    }

    /// The manifest in an index that fits best.
    pub(crate) fn choose<'a>(&self, index: &'a ImageIndex, of: &str) -> Result<&'a Descriptor> {
        // Attestations of builders are listed as images for an unknown platform.
        let is_image = |d: &&Descriptor| {
            d.annotations().as_ref().is_none_or(|all| !all.contains_key("vnd.docker.reference.type"))
        };
        let images = || index.manifests().iter().filter(is_image);
        let best = images().filter_map(|d| Some((self.rank(d)?, d))).min_by_key(|(rank, _)| *rank);
        best.map(|(_, descriptor)| descriptor).ok_or_else(|| {
            let there: Vec<String> = images().filter_map(|d| d.platform().as_ref()).map(shown).collect();
            Error::invalid(format!(
                "{of} has no image for {self}, only for {}: choose one with --platform",
                if there.is_empty() { "none".to_owned() } else { there.join(", ") }
            ))
        })
    }
}

/// A platform in an index, in the form that `--platform` takes.
pub(crate) fn shown(platform: &oci_spec::image::Platform) -> String {
    let variant = platform.variant().as_ref().map(|v| format!("/{v}")).unwrap_or_default();
    format!("{}/{}{variant}", platform.os(), platform.architecture())
}

impl std::fmt::Display for Platform {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let variant = self.variant.as_ref().map(|v| format!("/{v}")).unwrap_or_default();
        write!(f, "{}/{}{variant}", self.os, self.architecture)
    }
}

impl FromStr for Platform {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let parts: Vec<&str> = text.split('/').collect();
        let (os, architecture, variant) = match parts[..] {
            [os, architecture] => (os, architecture, None),
            [os, architecture, variant] => (os, architecture, Some(variant)),
            _ => ("", "", None),
        };
        if os.is_empty() || architecture.is_empty() || variant == Some("") {
            return Err(Error::invalid(format!(
                "{text:?} is not of the form OS/ARCHITECTURE[/VARIANT], such as linux/arm64"
            )));
        }
        let variant = variant.map(Into::into);
        Ok(Self { os: os.into(), architecture: architecture.into(), variant, named: true })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_for_another_platform_than_the_named_one_is_an_error() {
        let config = serde_json::json!({"os": "linux", "architecture": "arm64", "variant": "v8",
            "rootfs": {"type": "layers", "diff_ids": []}});
        let config: ImageConfiguration = serde_json::from_value(config).expect("a configuration");
        let check = |text: &str| text.parse::<Platform>().expect("a platform").check(&config);
        check("linux/arm64").expect("the same");
        check("linux/arm64/v8").expect("the same");
        for other in ["linux/amd64", "linux/arm64/v9", "windows/arm64"] {
            let error = check(other).expect_err(other).to_string();
            assert!(error.contains(&format!("is one for linux/arm64/v8, not for {other}")), "{error}");
        }
        Platform { architecture: "other".to_owned(), ..Platform::own() }
            .check(&config)
            .expect("none was named");
    }

    fn index(platforms: &[&str]) -> ImageIndex {
        let digest = format!("sha256:{}", "0".repeat(64));
        let manifests: Vec<_> = platforms
            .iter()
            .map(|text| {
                let p: Platform = text.parse().expect("a platform");
                let mut platform = serde_json::json!({"os": p.os, "architecture": p.architecture});
                if let Some(variant) = p.variant {
                    platform["variant"] = variant.into();
                }
                serde_json::json!({"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": digest, "size": 1, "platform": platform})
            })
            .collect();
        serde_json::from_value(serde_json::json!({"schemaVersion": 2, "manifests": manifests}))
            .expect("an index")
    }

    #[test]
    fn the_image_that_fits_best_is_chosen() {
        let index = index(&["linux/arm/v6", "linux/arm/v7", "linux/amd64", "windows/amd64", "linux/arm64"]);
        for (wanted, found) in [
            ("linux/arm/v7", "linux/arm/v7"),
            ("linux/amd64", "linux/amd64"),
            ("linux/arm64/v8", "linux/arm64"),
            ("linux/arm", "linux/arm/v6"),
        ] {
            let platform: Platform = wanted.parse().expect("a platform");
            let chosen = platform.choose(&index, "x").expect("an image");
            assert_eq!(chosen.platform().as_ref().map(shown).as_deref(), Some(found), "{wanted}");
        }
        let error = "linux/s390x"
            .parse::<Platform>()
            .expect("a platform")
            .choose(&index, "x")
            .expect_err("none")
            .to_string();
        assert!(
            error.contains("linux/arm/v6, linux/arm/v7, linux/amd64") && error.contains("--platform"),
            "{error}"
        );
    }

    #[test]
    fn another_form_is_refused() {
        for text in ["", "linux", "linux/", "a/b/c/d", "linux/arm/"] {
            assert!(text.parse::<Platform>().is_err(), "{text}");
        }
    }
}
