//! Reads `linux.resources` from the file that `update --resources` names.

use oci_spec::runtime::LinuxResources;
use rootling_config::load::{lenient, without_lone_surrogates};
use serde_json::Value;

use crate::error::{Error, Result};

/// Parses resources from JSON as leniently as runc does: names in any case, and null for what is missing.
///
/// # Errors
/// The text is not JSON, or a value has the wrong type.
pub fn resources(json: &[u8]) -> Result<LinuxResources> {
    let invalid = |e: serde_json::Error| {
        Error::invalid(format!("--resources: {e}; it takes an object like linux.resources of config.json"))
    };
    let mut value: Value = serde_json::from_slice(&without_lone_surrogates(json)).map_err(invalid)?;
    lenient(&mut value);
    if let Some(object) = value.as_object_mut()
        && object.get("pids").is_some_and(|pids| pids.get("limit").is_none())
    {
        object.remove("pids");
    }
    serde_json::from_value(value).map_err(invalid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_in_any_case() {
        let read =
            resources(br#"{"CPU":{"Cpus":"1","Mems":null},"blockio":{"WEIGHT":10},"pids":{}}"#).unwrap();
        assert_eq!(read.cpu().as_ref().unwrap().cpus().as_deref(), Some("1"));
        assert_eq!(read.block_io().as_ref().unwrap().weight(), Some(10));
        assert!(read.pids().is_none());
    }

    #[test]
    fn what_is_no_resources_is_an_error_that_says_what_is() {
        for json in ["", "[1]", r#"{"memory":{"limit":"64M"}}"#] {
            let error = resources(json.as_bytes()).unwrap_err().to_string();
            assert!(error.contains("--resources") && error.contains("linux.resources"), "{error}");
        }
    }
}
