//! Converts the configuration of an image to that of a container: image-spec conversion.md.

use std::collections::BTreeMap;

use oci_spec::image::ImageConfiguration;
use rootling_config::annotations::is_unsafe;

/// What the image says about its program, which applies to what the user does not say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Defaults {
    /// The program and its first arguments.
    pub entrypoint: Vec<String>,
    /// Further arguments, which others may replace.
    pub cmd: Vec<String>,
    /// Variables in the form `NAME=VALUE`.
    pub env: Vec<String>,
    /// The working directory, as an absolute path.
    pub workdir: Option<String>,
    /// `USER[:GROUP]`, by the names or ids of the image.
    pub user: Option<String>,
}

/// The defaults in an image's configuration.
pub fn defaults(image: &ImageConfiguration) -> Defaults {
    let Some(config) = image.config() else { return Defaults::default() };
    let filled = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    Defaults {
        entrypoint: config.entrypoint().clone().unwrap_or_default(),
        cmd: config.cmd().clone().unwrap_or_default(),
        // A variable without a value or without a name is ignored.
        env: config
            .env()
            .iter()
            .flatten()
            .filter(|text| text.find('=').is_some_and(|at| at > 0))
            .cloned()
            .collect(),
        workdir: filled(config.working_dir())
            .map(|dir| if dir.starts_with('/') { dir } else { format!("/{dir}") }),
        user: filled(config.user()),
    }
}

/// The annotations for a container of the image, and the labels that do not become annotations: they would change
/// what a container may do, which the maker of an image must not decide.
pub fn annotations(image: &ImageConfiguration) -> (BTreeMap<String, String>, Vec<String>) {
    let mut all = BTreeMap::new();
    let mut add = |name: &str, value: Option<String>| {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            all.insert(format!("org.opencontainers.image.{name}"), value);
        }
    };
    add("os", Some(image.os().to_string()));
    add("architecture", Some(image.architecture().to_string()));
    add("variant", image.variant().clone());
    add("os.version", image.os_version().clone());
    add("os.features", image.os_features().as_ref().map(|all| all.join(",")));
    add("author", image.author().clone());
    add("created", image.created().clone());
    if let Some(config) = image.config() {
        add("stopSignal", config.stop_signal().clone());
        let mut ports = config.exposed_ports().clone().unwrap_or_default();
        ports.sort_unstable();
        add("exposedPorts", Some(ports.join(",")));
    }
    let mut left_out = Vec::new();
    for (name, value) in image.config().iter().filter_map(|config| config.labels().as_ref()).flatten() {
        if name.is_empty() || is_unsafe(name) {
            left_out.push(name.clone());
        } else {
            all.insert(name.clone(), value.clone());
        }
    }
    left_out.sort_unstable();
    (all, left_out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(config: &str) -> ImageConfiguration {
        let text = format!(
            r#"{{"os":"linux","architecture":"arm64","variant":"v8","author":"me","created":"2026-11-29T00:00:00Z",
                "rootfs":{{"type":"layers","diff_ids":[]}},"config":{config}}}"#
        );
        serde_json::from_str(&text).expect("a configuration")
    }

    #[test]
    fn program_environment_and_user_are_the_images() {
        let image = image(
            r#"{"Entrypoint":["/e"],"Cmd":["a"],"Env":["A=b","C","=d"],"WorkingDir":"srv","User":"www:www","Labels":null}"#,
        );
        assert_eq!(
            defaults(&image),
            Defaults {
                entrypoint: vec!["/e".into()],
                cmd: vec!["a".into()],
                env: vec!["A=b".into()],
                workdir: Some("/srv".into()),
                user: Some("www:www".into()),
            }
        );
        assert_eq!(defaults(&self::image("{}")), Defaults::default());
    }

    #[test]
    fn annotations_are_those_of_the_specification_and_harmless_labels() {
        let image = image(
            r#"{"ExposedPorts":{"80/tcp":{},"53/udp":{}},"StopSignal":"SIGQUIT","Labels":{"a":"b","org.opencontainers.image.author":"you",
                "run.oci.keep_original_groups":"1","org.systemd.property.ExecStart":"x","":"y"}}"#,
        );
        let (found, left_out) = annotations(&image);
        let wanted = [
            ("a", "b"),
            ("org.opencontainers.image.architecture", "arm64"),
            ("org.opencontainers.image.author", "you"),
            ("org.opencontainers.image.created", "2026-11-29T00:00:00Z"),
            ("org.opencontainers.image.exposedPorts", "53/udp,80/tcp"),
            ("org.opencontainers.image.os", "linux"),
            ("org.opencontainers.image.stopSignal", "SIGQUIT"),
            ("org.opencontainers.image.variant", "v8"),
        ];
        assert_eq!(found, wanted.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
        assert_eq!(left_out, ["", "org.systemd.property.ExecStart", "run.oci.keep_original_groups"]);
    }
}
