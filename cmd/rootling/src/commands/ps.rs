//! `ps`.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::process::Command;

use rootling_runtime::{self as runtime, Error, Result, Store};

use crate::args::{self, PsFormat};
use crate::terminal::print;

pub(crate) fn ps(store: &Store, args: &args::Ps) -> Result<()> {
    let pids = runtime::processes(store, &args.id.id)?;
    match args.format {
        PsFormat::Json => {
            let text = serde_json::to_string(&pids)?;
            print(&(text + "\n"))
        }
        PsFormat::Table => print(&table(&all_processes(&args.options)?, &pids)?),
    }
}

/// The output of ps(1) for the whole host.
fn all_processes(options: &[OsString]) -> Result<String> {
    let default = [OsString::from("-ef")];
    let options = if options.is_empty() { &default[..] } else { options };
    let output = Command::new("ps").args(options).output().map_err(|e| {
        Error::from(e).wrap("ps(1), which makes the table").remedy("install procps, or use --format json")
    })?;
    if !output.status.success() {
        let why = String::from_utf8_lossy(&output.stderr).trim().replace('\n', " ");
        return Err(Error::invalid(format!("ps(1): {}: {why}", output.status)));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The heading and the lines for these processes.
fn table(all: &str, pids: &[i32]) -> Result<String> {
    let mut lines = all.lines();
    let heading = lines.next().unwrap_or_default();
    let column = heading.split_whitespace().position(|title| title == "PID").ok_or_else(|| {
        Error::invalid(
            "couldn't find PID field in ps output; choose options of ps(1) that show it, such as -ef",
        )
    })?;
    let pids: HashSet<i32> = pids.iter().copied().collect();
    let is_ours = |line: &str| {
        let pid = line.split_whitespace().nth(column).and_then(|pid| pid.parse().ok());
        pid.is_some_and(|pid| pids.contains(&pid))
    };
    let mut text = format!("{heading}\n");
    for line in lines.filter(|line| is_ours(line)) {
        let _ = writeln!(text, "{line}");
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_lines_of_the_container_are_shown() {
        let all = "UID   PID CMD\nroot    1 init\nroot   42 sh 1\n";
        assert_eq!(table(all, &[42]).unwrap(), "UID   PID CMD\nroot   42 sh 1\n");
        assert_eq!(table(all, &[]).unwrap(), "UID   PID CMD\n");
    }

    #[test]
    fn a_table_without_pids_is_an_error() {
        let error = table("UID CMD\n", &[1]).unwrap_err().to_string();
        assert!(error.contains("couldn't find PID field"), "{error}");
    }
}
