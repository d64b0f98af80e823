//! The caller, and the ids that belong to the caller: passwd(5), group(5), subuid(5), getsubids(1),
//! nsswitch.conf(5) and the maps of a user namespace.

use oci_spec::runtime::LinuxIdMapping;
use rootling_config::idmap::{IdKind, IdMaps};
use rootling_init::error::chain;
use rootling_rootless::host::{Fixture, Host};
use rootling_rootless::idmap::{IdmapError, MapOwner, WantedMaps, cut, default_maps, maps_of, writer};

use super::host::choice;
use super::sections;
use crate::check::{Answer, Run};

pub(super) fn start() -> Run {
    Box::new(run)
}

fn run(input: &[u8]) -> Result<Answer, String> {
    let text = String::from_utf8_lossy(input);
    let files = sections::of(&text);
    let host = Host::on(machine(input, &files));
    let mut said = Vec::new();
    for kind in [IdKind::User, IdKind::Group] {
        let given = host.sub_ids(kind, host.account());
        host.range_to_add(kind, &given);
        said.extend(given.warnings.into_iter().take(5));
    }
    let mut error = None;
    // As those that the kernel writes always are.
    let well_formed = is_a_map(host.uid_map()).and_then(|()| is_a_map(host.gid_map())).is_ok();
    let mut check = |maps: Result<WantedMaps, IdmapError>| -> Result<(), String> {
        match maps {
            Ok(wanted) if well_formed => {
                is_a_map(&wanted.maps.uid)?;
                is_a_map(&wanted.maps.gid)?;
                drop(cut(&wanted.maps.uid, host.uid_map()));
                let maps = IdMaps::new(wanted.maps.uid, wanted.maps.gid).map_err(|e| chain(&e))?;
                error = error.take().or(writer(&host, &maps).err());
            }
            Ok(_) => {}
            Err(refused) => error = Some(refused),
        }
        Ok(())
    };
    check(default_maps(&host))?;
    for owner in files.iter().filter(|(name, _)| *name == "owner").flat_map(|(_, text)| text.lines()) {
        match owner.parse::<MapOwner>() {
            Ok(owner) => check(maps_of(&host, &owner))?,
            Err(refused) => return Ok(Answer::Refused(chain(&refused))),
        }
    }
    Ok(error.map_or(Answer::Accepted(said), |error| Answer::Refused(chain(&error))))
}

/// A machine that has these files.
fn machine(input: &[u8], files: &[(&str, String)]) -> Fixture {
    let machine = match choice(input, 4) {
        0 => Fixture::ordinary(0),
        1 => Fixture::root_in_user_namespace(1000),
        _ => Fixture::ordinary(1000),
    };
    let machine = machine.id_helpers().program("/usr/bin/getsubids", 0o755);
    files.iter().fold(machine, |machine, (name, text)| match *name {
        "getsubids" => machine.output("/usr/bin/getsubids alice", text),
        name if name.starts_with('/') => machine.file(name, text),
        _ => machine,
    })
}

/// Checks that 0 is mapped, nothing is mapped twice or beyond the last id, and no row is empty.
fn is_a_map(rows: &[LinuxIdMapping]) -> Result<(), String> {
    if rows.iter().any(|row| row.size() == 0) {
        return Err(format!("a row without ids: {rows:?}"));
    }
    if !rows.iter().any(|row| row.container_id() == 0) {
        return Err(format!("0 is not mapped: {rows:?}"));
    }
    for first in [LinuxIdMapping::container_id, LinuxIdMapping::host_id] {
        let mut ranges: Vec<(u64, u64)> = rows
            .iter()
            .map(|row| (first(row).into(), u64::from(first(row)) + u64::from(row.size())))
            .collect();
        ranges.sort_unstable();
        if ranges.windows(2).any(|pair| pair[0].1 > pair[1].0) {
            return Err(format!("an id is mapped twice: {rows:?}"));
        }
        if ranges.last().is_some_and(|range| range.1 > u64::from(u32::MAX)) {
            return Err(format!("an id beyond the last one: {rows:?}"));
        }
    }
    Ok(())
}
