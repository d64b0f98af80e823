//! `spec`.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};

use rootling_config::generate;
use rootling_runtime::{Error, Result};

use crate::args;

const NAME: &str = "config.json";

pub(crate) fn spec(args: &args::Spec) -> Result<()> {
    let (uid, gid) = (nix::unistd::geteuid(), nix::unistd::getegid());
    let spec = if args.rootless || !uid.is_root() {
        generate::rootless_spec(uid.as_raw(), gid.as_raw())
    } else {
        generate::default_spec()
    };
    let text = serde_json::to_string_pretty(&spec).map_err(|e| Error::system(e.to_string()))?;
    let path = args.bundle.clone().unwrap_or_default().join(NAME);
    let result = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(&path)
        .and_then(|mut file| file.write_all(text.as_bytes()));
    result.map_err(|e| match e.kind() {
        ErrorKind::AlreadyExists => {
            Error::invalid(format!("file {} exists. Remove it first", path.display()))
        }
        ErrorKind::NotFound => {
            Error::invalid(format!("{}: no such directory; create it first", path.display()))
        }
        _ => Error::from(e).wrap(path.display()),
    })
}
