//! Annotations that change more than a container's name: which ones are accepted, and what they mean.
//!
//! Annotations are often copied from an image, by engines and by every conversion of an image into a bundle
//! (image-spec, conversion.md "Annotation Fields"). So those that change what the container gets are not accepted in
//! a `config.json` that was converted, which is recognised by the annotations that a conversion has to write.

use std::collections::HashMap;

use oci_spec::runtime::Spec;

use crate::cgroup_parent;
use crate::error::ValidateError;

/// Annotations that change more than the container itself: features.md, "potentiallyUnsafeConfigAnnotations". A name
/// that ends in a dot stands for all names that begin with it.
pub const UNSAFE: [&str; 5] =
    ["bundle", CRIU_CONFIG, cgroup_parent::ANNOTATION, "org.systemd.property.", KEEP_GROUPS];

/// Names a file of options for CRIU.
pub const CRIU_CONFIG: &str = "org.criu.config";
/// Keeps the caller's supplementary groups. This is crun's annotation, which podman writes for `--group-add
/// keep-groups`.
pub const KEEP_GROUPS: &str = "run.oci.keep_original_groups";

/// image-spec, conversion.md: written from the image's `os` and `architecture`, which every image has.
const OF_AN_IMAGE: [&str; 2] = ["org.opencontainers.image.architecture", "org.opencontainers.image.os"];

/// How systemd ends the container's scope. podman writes these for every container of an image, beside the image's own
/// annotations. The maker of an image gains nothing by them: a container can delay its end as much by ignoring the
/// signal.
const OF_AN_ENGINE: [&str; 2] = ["org.systemd.property.KillSignal", "org.systemd.property.TimeoutStopUSec"];

/// Whether the caller's groups are kept.
pub fn keeps_groups(spec: &Spec) -> bool {
    spec.annotations().as_ref().and_then(|all| all.get(KEEP_GROUPS)).is_some_and(|value| value == "1")
}

/// Checks the annotations of a spec.
pub(crate) fn check(annotations: &HashMap<String, String>) -> Result<(), ValidateError> {
    let invalid = |name: &str, problem: String, remedy: String| ValidateError::Field {
        field: if name.is_empty() { "annotations".to_owned() } else { format!("annotations: {name}") },
        problem,
        remedy,
    };
    if annotations.contains_key("") {
        let (problem, remedy) = ("there is one with an empty name", "give it a name");
        return Err(invalid("", problem.to_owned(), remedy.to_owned()));
    }
    if let Some(value) = annotations.get(KEEP_GROUPS).filter(|value| !["0", "1"].contains(&value.as_str())) {
        let remedy = "write 1 to keep the caller's supplementary groups, or 0";
        return Err(invalid(KEEP_GROUPS, format!("{value:?} is neither"), remedy.to_owned()));
    }
    let Some(converted) = OF_AN_IMAGE.into_iter().find(|name| annotations.contains_key(*name)) else {
        return Ok(());
    };
    // `bundle` has no effect here.
    let harmless = |name: &str| name == "bundle" || OF_AN_ENGINE.contains(&name);
    let mut unsafe_ones: Vec<&String> =
        annotations.keys().filter(|name| is_unsafe(name) && !harmless(name)).collect();
    unsafe_ones.sort_unstable();
    let Some(name) = unsafe_ones.first() else { return Ok(()) };
    let problem = format!(
        "{converted} says that the annotations were copied from an image, whose author may not set it"
    );
    Err(invalid(name, problem, format!("remove it, or remove {converted} if it is yours")))
}

/// Whether an annotation of this name is one of [`UNSAFE`].
pub fn is_unsafe(name: &str) -> bool {
    UNSAFE.iter().any(|known| name == *known || (known.ends_with('.') && name.starts_with(known)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(annotations: &[(&str, &str)]) -> Result<(), String> {
        let all = annotations.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        check(&all).map_err(|e| e.to_string())
    }

    #[test]
    fn what_an_image_may_not_set_is_refused_in_a_converted_spec() {
        let os = ("org.opencontainers.image.os", "linux");
        for name in UNSAFE.into_iter().filter(|name| *name != "bundle") {
            let name = if name.ends_with('.') { format!("{name}KillMode") } else { name.to_owned() };
            assert_eq!(checked(&[(&name, "1")]), Ok(()), "{name}");
            let error = checked(&[(&name, "1"), os]).unwrap_err();
            assert!(
                error.starts_with(&format!("annotations: {name}: org.opencontainers.image.os says")),
                "{error}"
            );
        }
        assert_eq!(checked(&[os, ("bundle", "/x"), ("org.example", "x")]), Ok(()));
        // podman writes these for every container.
        assert_eq!(checked(&[("org.opencontainers.image.stopSignal", "15"), (KEEP_GROUPS, "1")]), Ok(()));
        assert_eq!(checked(&[os, (OF_AN_ENGINE[0], "15"), (OF_AN_ENGINE[1], "uint64 10000000")]), Ok(()));
    }

    #[test]
    fn groups_are_kept_or_not_and_nothing_else() {
        assert_eq!(checked(&[(KEEP_GROUPS, "0")]), Ok(()));
        let error = checked(&[(KEEP_GROUPS, "yes")]).unwrap_err();
        assert!(error.contains("\"yes\" is neither; write 1"), "{error}");
    }
}
