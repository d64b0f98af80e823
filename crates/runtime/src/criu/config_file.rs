//! A file with further options for CRIU, which override ours; criu(8), "CONFIGURATION FILES".
//!
//! Two of these files belong to the administrator. A third can be named by the annotation `org.criu.config`, whose
//! author may be somebody else, such as the maker of an image, and the file may come from an image. CRIU has options
//! that make it execute a program or open any path. Therefore the file is read here, only the options in [`PASSED`] are
//! accepted, and CRIU gets exactly what was read.

use std::collections::HashMap;
use std::fs::File;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::path::Path;

use nix::sys::memfd::{MemFdCreateFlag, memfd_create};
use rootling_config::annotations::CRIU_CONFIG;
use rust_criu::rust_criu_protobuf::rpc::Criu_opts;

use crate::error::{Context, Error, Result};
use rootling_sys as sys;

/// The first of these files that exists is used.
const OF_THE_HOST: [&str; 2] = ["/etc/criu/rootling.conf", "/etc/criu/runc.conf"];
/// More bytes than a file needs that sets each option once.
const MOST: u64 = 64 << 10;

/// Options that say how CRIU does its work, and whether each takes a value. Left out is every option that executes
/// something (`action-script`, `exec-cmd`, `libdir`), names a path or a descriptor (`root`, `external`, `inherit-fd`,
/// `status-fd`), uses the network (`page-server`, `tls`), or changes what becomes of the container.
const PASSED: [(&str, bool); 27] = [
    ("allow-uprobes", false),
    ("auto-dedup", false),
    ("display-stats", false),
    ("enable-external-masters", false),
    ("enable-external-sharing", false),
    ("evasive-devices", false),
    ("ext-unix-sk", false),
    ("file-locks", false),
    ("file-validation", true),
    ("force-irmap", false),
    ("ghost-fiemap", false),
    ("ghost-limit", true),
    ("link-remap", false),
    ("log-file", true),
    ("log-pid", false),
    ("mntns-compat-mode", false),
    ("network-lock", true),
    ("no-tcp-close", false),
    ("no-tcp-established", false),
    ("pre-dump-mode", true),
    ("shell-job", false),
    ("skip-in-flight", false),
    ("tcp-close", false),
    ("tcp-established", false),
    ("timeout", true),
    ("track-mem", false),
    ("weak-sysctls", false),
];

/// Tells CRIU which file to read; no other annotation reaches CRIU. The returned file must stay open until CRIU has
/// answered.
pub(crate) fn set_config_file(
    message: &mut Criu_opts,
    annotations: &HashMap<String, String>,
) -> Result<Option<File>> {
    match annotations.get(CRIU_CONFIG) {
        None => {
            let found = OF_THE_HOST.into_iter().find(|path| Path::new(path).exists());
            message.config_file = found.map(str::to_owned);
            Ok(None)
        }
        Some(path) if path.is_empty() => Ok(None),
        Some(path) => {
            let file = copy(path).map_err(|e| e.wrap(format!("annotations: {CRIU_CONFIG} {path:?}")))?;
            message.config_file = Some(format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd()));
            Ok(Some(file))
        }
    }
}

fn copy(path: &str) -> Result<File> {
    if !path.starts_with('/') {
        return Err(Error::invalid("write an absolute path"));
    }
    let bytes = sys::file::read(Path::new(path), MOST)?;
    let text = String::from_utf8(bytes).map_err(|_| Error::invalid("is not UTF-8"))?;
    let options = passed(&text)?;
    let mut file =
        File::from(memfd_create(c"criu.conf", MemFdCreateFlag::MFD_CLOEXEC).context(|| "memfd_create")?);
    file.write_all(options.as_bytes()).context(|| "write")?;
    Ok(file)
}

/// The options of a file, rewritten so that they can be parsed in only one way.
fn passed(text: &str) -> Result<String> {
    let mut options = String::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let option = option(line).map_err(|why| Error::invalid(format!("line {}: {why}", number + 1)))?;
        options.push_str(&option);
        options.push('\n');
    }
    Ok(options)
}

fn option(line: &str) -> Result<String, String> {
    let (name, value) = line.split_once([' ', '\t']).unwrap_or((line, ""));
    let Some((_, has_value)) = PASSED.iter().find(|(passed, _)| *passed == name) else {
        return Err(format!(
            "{name:?} is not among the options that an annotation can set; if it shall hold for all containers, \
             write it to {}",
            OF_THE_HOST[0]
        ));
    };
    let value = value.split('#').next().unwrap_or_default().trim();
    let value = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value);
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "._-".contains(letter);
    match (has_value, value) {
        (false, "") => Ok(name.to_owned()),
        (false, _) => Err(format!("{name} takes no value")),
        (true, value) if !value.is_empty() && !value.starts_with(['-', '.']) && value.chars().all(plain) => {
            Ok(format!("{name} {value}"))
        }
        (true, value) => {
            Err(format!("{name} {value:?}: write letters, digits, dots, dashes and underscores"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_annotation_takes_the_file_of_options_away() {
        let mut message = Criu_opts::default();
        let annotations = HashMap::from([(CRIU_CONFIG.to_owned(), String::new())]);
        assert!(set_config_file(&mut message, &annotations).unwrap().is_none());
        assert_eq!(message.config_file, None);
    }

    #[test]
    fn what_says_how_criu_works_passes() {
        let text = "# of ours\n\n tcp-established\nlog-file\t\"criu.log\" # here\nghost-limit 1M\n";
        assert_eq!(passed(text).unwrap(), "tcp-established\nlog-file criu.log\nghost-limit 1M\n");
    }

    #[test]
    fn what_executes_or_opens_a_path_does_not_and_cannot_be_smuggled() {
        for line in [
            "action-script /image/evil",
            "action-script=/image/evil",
            "action-s /image/evil",
            "--action-script /image/evil",
            "libdir /image",
            "external mnt[/x]:/etc",
            "inherit-fd fd[3]:x",
            "tcp-close --action-script=/image/evil",
            "log-file /etc/cron.d/x",
            "log-file ../x",
            "log-file --action-script=x",
            "tcp-close\u{b}action-script /image/evil",
            "verbosity --action-script=/image/evil",
        ] {
            let error = passed(&format!("tcp-close\n{line}\n")).unwrap_err().to_string();
            assert!(error.starts_with("line 2: "), "{line}: {error}");
        }
    }

    #[test]
    fn names_are_in_order_and_once() {
        assert!(PASSED.is_sorted_by(|a, b| a.0 < b.0));
    }
}
