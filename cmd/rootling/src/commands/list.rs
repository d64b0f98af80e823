//! `list` and `state`.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::process::ExitCode;

use rootling_config::id::ContainerId;
use rootling_rootless::host::Host;
use rootling_runtime::{self as runtime, Listed, Result, StateView, Store};
use tabwriter::TabWriter;

use super::columns::aligned;
use crate::args::{self, ListFormat};
use crate::log;
use crate::terminal::print;

pub(crate) fn list(host: &Host, store: &Store, args: &args::List) -> Result<ExitCode> {
    let mut views = Vec::new();
    let mut ids = String::new();
    let mut owners = Owners { host, names: HashMap::new() };
    // If the system failed to read a container, the list is incomplete.
    let mut whole = true;
    for entry in store.list()? {
        match entry {
            Listed::Damaged(name, error) => {
                whole &= error.errno().is_none();
                log::warning(&format!("{name:?}: {error}"));
            }
            Listed::Container(slot, _) if args.quiet => {
                ids.push_str(slot.id().as_str());
                ids.push('\n');
            }
            Listed::Container(slot, record) => match slot.status(&record) {
                Ok(status) => {
                    let mut view = record.view(status);
                    view.owner = owners.name(slot.owner()?);
                    views.push(view);
                }
                Err(error) => {
                    whole = false;
                    log::warning(&format!("\"{}\": {error}", slot.id()));
                }
            },
        }
    }
    let text = match args.format {
        _ if args.quiet => ids,
        ListFormat::Json => serde_json::to_string(&views)? + "\n",
        ListFormat::Table => table(&views)?,
    };
    print(&text)?;
    Ok(if whole { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

pub(crate) fn state(store: &Store, id: &ContainerId) -> Result<()> {
    let view = runtime::state(store, id)?;
    let text = serde_json::to_string_pretty(&view)?;
    print(&format!("{text}\n"))
}

fn table(views: &[StateView]) -> Result<String> {
    let mut text = String::from("ID\tPID\tSTATUS\tBUNDLE\tCREATED\tOWNER\n");
    for view in views {
        let StateView { id, pid, status, bundle, created, owner, .. } = view;
        let _ = writeln!(text, "{id}\t{pid}\t{status}\t{}\t{created}\t{owner}", bundle.display());
    }
    // The same widths as in runc.
    aligned(&text, TabWriter::new(Vec::new()).minwidth(12).padding(3))
}

/// The names of users, each of which is looked up once.
struct Owners<'h> {
    host: &'h Host,
    names: HashMap<u32, String>,
}

impl Owners<'_> {
    fn name(&mut self, uid: u32) -> String {
        self.names
            .entry(uid)
            .or_insert_with(|| self.host.user_by_id(uid).name.unwrap_or_else(|| format!("#{uid}")))
            .clone()
    }
}
