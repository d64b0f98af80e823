//! `state`.

use rootling_config::id::ContainerId;
use rootling_runtime::{Error, Result, Store};

pub(crate) fn state(store: &Store, id: &ContainerId) -> Result<()> {
    let slot = store.open(id)?;
    let record = slot.read()?;
    let view = record.view(slot.status(&record)?);
    let text = serde_json::to_string_pretty(&view).map_err(|e| Error::system(e.to_string()))?;
    super::list::print(&format!("{text}\n"))
}
