//! `unified`: files of cgroup v2 by name.

use std::collections::BTreeMap;

use oci_spec::runtime::LinuxResources;

use super::field::{Field, LimitError, NO_WEIGHT, refuse};

/// `unified`: file contents by name, which is always the name of a single file, `CONTROLLER.FILE`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unified(BTreeMap<String, String>);

impl Unified {
    pub(super) fn parse(resources: &LinuxResources) -> Result<Self, LimitError> {
        let files: BTreeMap<_, _> =
            resources.unified().iter().flatten().map(|(file, value)| (file.clone(), value.clone())).collect();
        let is_file = |name: &str| {
            let parts = name.split_once('.');
            parts.is_some_and(|(controller, file)| !controller.is_empty() && !file.is_empty())
                && !name.contains(['/', '\0'])
        };
        match files.keys().find(|name| !is_file(name)) {
            Some(name) => {
                let problem = "is not a file of a cgroup; write it like memory.high";
                Err(refuse("unified", format!("{name:?}"), problem))
            }
            None => Ok(Self(files)),
        }
    }

    /// Whether no file is set.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The contents for one file.
    pub fn get(&self, file: &str) -> Option<&str> {
        self.0.get(file).map(String::as_str)
    }

    /// The files to write with their contents, by name; a weight beside `cpu.idle` is left out.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let files = self.0.iter().map(|(file, value)| (file.as_str(), value.as_str()));
        files.filter(|(file, _)| !self.is_weight_of_idle(file))
    }

    fn is_weight_of_idle(&self, file: &str) -> bool {
        file == "cpu.weight" && self.get("cpu.idle").is_some_and(|idle| idle.trim() == "1")
    }

    pub(super) fn fields(&self) -> Vec<Field> {
        let field = |file: &String| {
            let controller = file.split_once('.').map_or("", |(controller, _)| controller);
            Field::limit(controller, format!("unified[{file:?}]"), "")
                .not_on_v2(self.is_weight_of_idle(file).then_some(NO_WEIGHT))
        };
        self.0.keys().map(field).collect()
    }
}
