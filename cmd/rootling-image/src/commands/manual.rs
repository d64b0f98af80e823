//! Manual pages and completions, from the definition of the command line.

use std::path::Path;

use clap_complete::Shell;
use clap_mangen::Man;
use rootling_cli::terminal::print;
use rootling_image::{Error, Result};

use crate::args::definition;

/// The section for commands of the administrator, man(1).
const SECTION: &str = "8";

pub(crate) fn man(dir: &Path) -> Result<()> {
    std::fs::create_dir_all(dir).map_err(|e| Error::from(e).wrap(format!("--dir {dir:?}")))?;
    let root = definition();
    write(dir, root.clone(), "rootling-image", "rootling image")?;
    for command in root.get_subcommands() {
        let name = command.get_name();
        write(dir, command.clone(), &format!("rootling-image-{name}"), &format!("rootling image {name}"))?;
    }
    Ok(())
}

fn write(dir: &Path, command: clap::Command, name: &str, usage: &str) -> Result<()> {
    // A command's name must live as long as its definition, so this one is leaked.
    let static_name: &'static str = name.to_owned().leak();
    let mut text = Vec::new();
    Man::new(command.name(static_name).bin_name(usage))
        .section(SECTION)
        .source(format!("rootling {}", env!("CARGO_PKG_VERSION")))
        .render(&mut text)?;
    let path = dir.join(format!("{name}.{SECTION}"));
    std::fs::write(&path, text).map_err(|e| Error::from(e).wrap(path.display()))
}

pub(crate) fn completion(shell: Shell) -> Result<()> {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut definition(), "rootling-image", &mut text);
    print(&String::from_utf8_lossy(&text))
}
