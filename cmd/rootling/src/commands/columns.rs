//! Lines of a table in columns.

use std::io::Write;

use rootling_runtime::{Error, Result};
use tabwriter::TabWriter;

/// Aligns the cells of the lines, which are separated by tabs.
pub(super) fn aligned(text: &str, mut writer: TabWriter<Vec<u8>>) -> Result<String> {
    writer.write_all(text.as_bytes())?;
    let bytes = writer.into_inner().map_err(|e| Error::system(e.to_string()))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
