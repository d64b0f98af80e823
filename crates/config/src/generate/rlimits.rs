//! `--ulimit NAME=SOFT[:HARD]`.

use oci_spec::runtime::{PosixRlimit, Process};

use super::Facts;
use super::error::{GenerateError, wrong};
use crate::process::rlimit;

/// No limit, `RLIM_INFINITY` (getrlimit(2)).
const UNLIMITED: u64 = u64::MAX;

pub(super) fn run(
    process: &mut Process,
    given: &[String],
    facts: &Facts,
    warnings: &mut Vec<String>,
) -> Result<(), GenerateError> {
    let mut limits = process.rlimits().clone().unwrap_or_default();
    let defaults = limits.len();
    for text in given {
        let limit = parse(text)?;
        if limits[defaults.min(limits.len())..].iter().any(|known| known.typ() == limit.typ()) {
            return Err(wrong("ulimit", text, "is given twice; keep one of them"));
        }
        limits.push(limit);
    }
    // A limit that the user sets replaces the default.
    let (old, new) = limits.split_at(defaults);
    let old = old.iter().filter(|limit| new.iter().all(|other| other.typ() != limit.typ()));
    let mut limits: Vec<_> = old.chain(new).copied().collect();
    for limit in &mut limits {
        lower(limit, facts, warnings);
    }
    process.set_rlimits(Some(limits).filter(|limits| !limits.is_empty()));
    Ok(())
}

fn parse(text: &str) -> Result<PosixRlimit, GenerateError> {
    let form = || wrong("ulimit", text, "is not of the form NAME=SOFT[:HARD], such as nofile=1024:4096");
    let (name, values) = text.split_once('=').ok_or_else(form)?;
    let typ = rlimit::by_name(name).ok_or_else(|| {
        let known: Vec<_> = rlimit::ALL.iter().map(|typ| typ.to_string()[7..].to_ascii_lowercase()).collect();
        wrong("ulimit", text, format!("no limit {name:?}; there are {}", known.join(", ")))
    })?;
    let value = |value: &str| match value {
        "-1" | "unlimited" => Ok(UNLIMITED),
        number => number.parse::<u64>().map_err(|_| form()),
    };
    let (soft, hard) = values.split_once(':').unwrap_or((values, values));
    let (soft, hard) = (value(soft)?, value(hard)?);
    if soft > hard {
        return Err(wrong(
            "ulimit",
            text,
            "the soft limit is above the hard limit; lower it or raise the other",
        ));
    }
    Ok(rlimit::limit(typ, soft, hard))
}

/// Without privileges a hard limit can only be lowered; setrlimit(2).
fn lower(limit: &mut PosixRlimit, facts: &Facts, warnings: &mut Vec<String>) {
    let own = facts.hard_limits.iter().find(|(typ, _)| *typ == limit.typ());
    let Some((_, most)) = own.filter(|(_, most)| *most < limit.hard()) else { return };
    warnings.push(format!(
        "--ulimit: {}: {} is above the caller's own hard limit of {most}, which is used",
        limit.typ(),
        limit.hard()
    ));
    *limit = rlimit::limit(limit.typ(), limit.soft().min(*most), *most);
}
