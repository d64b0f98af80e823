//! `pull`, `inspect`, `list` and `gc`.

use std::fmt::Write as _;
use std::path::Path;

use rootling_cli::terminal::print;
use rootling_image::{
    Access, Error, Inspected, Platform, PullOptions, Result, Show, Source, layout as of, size,
};

use crate::args::{Choice, Inspect, OfLayout, Pull, Registry};

pub(super) fn platform(choice: &Choice) -> Result<Platform> {
    let named = choice.platform.as_deref().map(str::parse).transpose();
    named
        .map(|platform| platform.unwrap_or_else(Platform::own))
        .map_err(|error: Error| error.wrap("--platform"))
}

pub(super) fn access(registry: &Registry) -> Access {
    Access { from: registry.from.clone(), insecure: registry.insecure, ca_files: registry.ca_file.clone() }
}

/// Progress is not shown if the output is for a program.
pub(super) fn show(choice: &Choice) -> Show {
    if choice.json { Show::Nothing } else { Show::Auto }
}

pub(super) fn json(value: &impl serde::Serialize) -> Result<()> {
    let text = serde_json::to_string_pretty(value).map_err(|error| Error::system(error.to_string()))?;
    print(&format!("{text}\n"))
}

pub(super) fn pull(args: &Pull) -> Result<()> {
    let options = PullOptions {
        reference: args.reference.clone(),
        access: access(&args.registry),
        platform: platform(&args.choice)?,
        show: show(&args.choice),
    };
    let pulled = rootling_image::pull(&options, &args.dir)?;
    if args.choice.json {
        return json(&pulled);
    }
    print(&format!("{} {}\n", pulled.digest, place(&args.dir, &pulled.name)))
}

fn place(dir: &Path, name: &str) -> String {
    format!("oci:{}:{name}", dir.display())
}

pub(super) fn inspect(args: &Inspect) -> Result<()> {
    let source: Source = args.image.parse()?;
    let found = rootling_image::inspect(&source, &platform(&args.choice)?)?;
    if args.choice.json { json(&found) } else { print(&described(&found)) }
}

/// Text of an image as it is printed: nothing in it may begin a line or reach the terminal as a command.
fn plain(text: &str) -> String {
    let shown =
        |char: char| if char.is_control() { char.escape_default().to_string() } else { char.to_string() };
    text.chars().map(shown).collect()
}

/// A description for people: what runs, as which user, and what the image consists of.
fn described(found: &Inspected) -> String {
    let config = &found.config;
    let text = |value: &serde_json::Value| match value {
        serde_json::Value::String(text) => text.clone(),
        serde_json::Value::Null => String::new(),
        other => other.to_string(),
    };
    let program = &config["config"];
    let mut out = String::new();
    for (name, value) in [
        ("digest", found.digest.clone()),
        ("platform", format!("{}/{}", text(&config["os"]), text(&config["architecture"]))),
        ("created", text(&config["created"])),
        ("entrypoint", text(&program["Entrypoint"])),
        ("command", text(&program["Cmd"])),
        ("user", text(&program["User"])),
        ("directory", text(&program["WorkingDir"])),
        ("environment", text(&program["Env"])),
        ("labels", text(&program["Labels"])),
    ] {
        if !value.is_empty() {
            let _ = writeln!(out, "{name:<12}{}", plain(&value));
        }
    }
    for layer in found.manifest.layers() {
        let _ = writeln!(out, "{:<12}{} {}", "layer", layer.digest(), size(layer.size()));
    }
    out
}

pub(super) fn list(args: &OfLayout) -> Result<()> {
    let images = of::list(&args.dir).map_err(|error| error.wrap(format!("{:?}", args.dir)))?;
    if args.json {
        return json(&images);
    }
    let mut out = String::new();
    for image in images {
        let name = if image.names.is_empty() { "-".to_owned() } else { image.names.join(",") };
        let (name, platforms) = (plain(&name), plain(&image.platforms.join(",")));
        let _ = writeln!(out, "{name} {} {platforms} {}", image.digest, size(image.size));
    }
    print(&out)
}

pub(super) fn gc(args: &OfLayout) -> Result<()> {
    let collected = of::collect(&args.dir).map_err(|error| error.wrap(format!("{:?}", args.dir)))?;
    if args.json {
        return json(&collected);
    }
    print(&format!("removed {} blobs, {}\n", collected.blobs, size(collected.bytes)))
}
