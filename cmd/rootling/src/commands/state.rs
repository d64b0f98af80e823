//! `state`.

use rootling_config::id::ContainerId;
use rootling_runtime::{self as runtime, Error, Result, Store};

pub(crate) fn state(store: &Store, id: &ContainerId) -> Result<()> {
    let view = runtime::state(store, id)?;
    let text = serde_json::to_string_pretty(&view).map_err(|e| Error::system(e.to_string()))?;
    crate::terminal::print(&format!("{text}\n"))
}
