//! `help` and `man`, from the definition of the command line.

use std::path::Path;

use clap_mangen::Man;
use rootling_runtime::{Error, Result};

use crate::args::{self, help_text, whole};
use crate::terminal::print;
use crate::version;

/// The section in which runtimes have their pages: commands of the administrator, man(1).
const SECTION: &str = "8";
const PROGRAM: &str = env!("CARGO_PKG_NAME");

pub(crate) fn help(args: &args::Help) -> Result<()> {
    match help_text(PROGRAM, args.command.as_deref()) {
        Some(text) => print(&text),
        None => Err(no_command(args.command.as_deref().unwrap_or_default())),
    }
}

fn no_command(name: &str) -> Error {
    Error::invalid(format!("no command {name:?}: No help topic for '{name}'; see `{PROGRAM} --help`"))
}

pub(crate) fn man(args: &args::Man) -> Result<()> {
    let pages = pages()?;
    if let Some(dir) = &args.dir {
        std::fs::create_dir_all(dir).map_err(|e| Error::from(e).wrap(format!("--dir {dir:?}")))?;
        return pages.iter().try_for_each(|(name, text)| write(dir, name, text));
    }
    let name = args.command.as_ref().map_or_else(|| PROGRAM.to_owned(), |c| format!("{PROGRAM}-{c}"));
    let page = pages.iter().find(|(page, _)| *page == name);
    let (_, text) = page.ok_or_else(|| no_command(args.command.as_deref().unwrap_or_default()))?;
    print(text)
}

fn write(dir: &Path, name: &str, text: &str) -> Result<()> {
    let path = dir.join(format!("{name}.{SECTION}"));
    std::fs::write(&path, text).map_err(|e| Error::from(e).wrap(path.display()))
}

/// The name and the text of every page.
fn pages() -> Result<Vec<(String, String)>> {
    let root = whole(PROGRAM);
    let mut pages = vec![(PROGRAM.to_owned(), page(root.clone().name(PROGRAM))?)];
    for command in root.get_subcommands() {
        let name = format!("{PROGRAM}-{}", command.get_name());
        let usage = format!("{PROGRAM} {}", command.get_name());
        // A command's name must live as long as its definition, so this one is leaked.
        let static_name: &'static str = name.clone().leak();
        pages.push((name, page(command.clone().name(static_name).bin_name(usage))?));
    }
    Ok(pages)
}

fn page(command: clap::Command) -> Result<String> {
    let mut text = Vec::new();
    Man::new(command).section(SECTION).source(format!("{PROGRAM} {}", version::VERSION)).render(&mut text)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}
