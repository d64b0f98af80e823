//! Compares docs/architecture.md with the source: crates and modules use only what the page draws below them.

mod drawing;
mod modules;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;

use drawing::Arrows;
use modules::{Modules, Name};
use rootling_tests::source;
use serde_json::Value;

/// A crate of the workspace, named without `rootling-`.
struct Crate {
    name: String,
    /// The crates of the workspace on which its program or library depends.
    uses: BTreeSet<String>,
    /// The root file of its library or program.
    root: Option<PathBuf>,
}

fn short(package: &str) -> String {
    package.strip_prefix("rootling-").unwrap_or(package).to_owned()
}

fn workspace() -> Vec<Crate> {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["metadata", "--no-deps", "--offline", "--format-version", "1", "--manifest-path"]);
    let output = cargo.arg(source("Cargo.toml")).output().expect("start cargo");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("JSON of cargo");
    metadata["packages"].as_array().expect("packages").iter().map(of_package).collect()
}

fn of_package(package: &Value) -> Crate {
    let list = |name: &str| package[name].as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().expect("a string of cargo").to_owned();
    let ours = |dependency: &Value| dependency["path"].is_string() && dependency["kind"].is_null();
    let uses = list("dependencies").iter().filter(|d| ours(d)).map(|d| short(&text(&d["name"]))).collect();
    let targets = list("targets");
    let root =
        ["lib", "bin"].iter().find_map(|kind| targets.iter().find(|target| target["kind"][0] == *kind));
    let root = root.map(|target| PathBuf::from(text(&target["src_path"])));
    Crate { name: short(&text(&package["name"])), uses, root }
}

/// All crates that are drawn: the tests are not part of the program.
fn drawn_crates() -> impl Iterator<Item = Crate> {
    workspace().into_iter().filter(|one| one.name != "tests")
}

#[test]
fn crates_depend_on_what_is_drawn_below_them() {
    let found: Arrows =
        workspace().iter().flat_map(|one| one.uses.iter().map(|to| (one.name.clone(), to.clone()))).collect();
    let drawn = drawing::of_crates();
    let not_drawn: Vec<_> = found.difference(&drawn).collect();
    assert!(not_drawn.is_empty(), "crates that depend on one that is not drawn below them: {not_drawn:?}");
    let not_there: Vec<_> = drawn.difference(&found).collect();
    assert!(not_there.is_empty(), "drawn, and no dependency: {not_there:?}");
}

#[test]
fn modules_use_what_is_drawn_below_them() {
    let drawn = drawing::of_modules();
    let mut faults = String::new();
    for one in drawn_crates() {
        let (Some(floors), Some(root)) = (drawn.get(&one.name), &one.root) else { continue };
        faults += &faults_of(&one.name, &Modules::read(root), floors);
    }
    assert!(faults.is_empty(), "docs/architecture.md and the source differ:\n{faults}");
}

#[test]
fn every_crate_is_drawn() {
    let names: BTreeSet<String> = drawn_crates().map(|one| one.name).collect();
    let drawn: BTreeSet<String> = drawing::of_modules().into_keys().collect();
    assert_eq!(
        drawn, names,
        "the crates whose modules docs/architecture.md draws are not those of the workspace"
    );
}

#[test]
fn no_modules_form_a_circle() {
    let mut circles = Vec::new();
    for one in drawn_crates() {
        let Some(root) = &one.root else { continue };
        for (parent, graph) in Modules::read(root).among_children() {
            let arrows = graph.circles();
            if !arrows.is_empty() {
                let inside = [vec![one.name.clone()], parent].concat().join("::");
                circles.push(format!("in {inside}:\n    {}", arrows.join("\n    ")));
            }
        }
    }
    assert!(circles.is_empty(), "modules that use each other in a circle:\n{}", circles.join("\n"));
}

/// The differences between the layers of a crate and its source, one per line, and possible layers.
fn faults_of(name: &str, modules: &Modules, floors: &[BTreeSet<String>]) -> String {
    let floor = |module: &String| floors.iter().position(|floor| floor.contains(module));
    let mut faults = Vec::new();
    let (drawn, there): (BTreeSet<_>, _) = (floors.iter().flatten().cloned().collect(), modules.top());
    faults.extend(there.difference(&drawn).map(|module| format!("{name}: {module} is not drawn")));
    faults.extend(drawn.difference(&there).map(|module| format!("{name}: {module} is drawn, and not there")));
    let graph = modules.among_children().remove(&Name::new()).unwrap_or_default();
    for ((from, to), arrows) in &graph.0 {
        if let (Some(upper), Some(lower)) = (floor(from), floor(to))
            && upper >= lower
        {
            let all = arrows.iter().map(|(from, to)| format!("{} -> {}", from.join("::"), to.join("::")));
            let all = all.collect::<Vec<_>>().join(", ");
            faults.push(format!("{name}: {to} is not drawn below {from}: {all}"));
        }
    }
    if faults.is_empty() {
        return String::new();
    }
    let could_be = graph.floors(there).map_or_else(
        || "there is no order without a circle".into(),
        |floors| format!("an order that fits:\n{}", drawing::show(&floors)),
    );
    format!("{}\n{name}: {could_be}\n", faults.join("\n"))
}
