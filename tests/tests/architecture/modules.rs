//! The modules of a crate, and which of them names items of which other one.
//!
//! A name is traced to the module that defines it, through all re-exports, so that a `pub use` hides no arrow. Code
//! that is compiled only for tests is left out.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{Attribute, Item, Meta, UseTree};

/// The name of a module, starting from the crate's root, whose own name is empty.
pub(crate) type Name = Vec<String>;

/// A module as it is in its file.
#[derive(Debug, Default)]
struct Module {
    /// The items that it defines, except for modules.
    items: BTreeSet<String>,
    /// What its `use` declarations import, by the local name.
    imports: BTreeMap<String, Name>,
    globs: Vec<Name>,
    /// All paths that it names, including those in `use` declarations.
    paths: BTreeSet<Name>,
}

/// Arrows between sibling modules, each with the arrows between modules that it stands for.
#[derive(Debug, Default)]
pub(crate) struct Graph(pub(crate) BTreeMap<(String, String), Vec<(Name, Name)>>);

impl Graph {
    fn add(&mut self, ends: (String, String), arrow: (Name, Name)) {
        self.0.entry(ends).or_default().push(arrow);
    }

    /// What can be reached from `start` by one or more arrows.
    fn reached(&self, start: &str) -> BTreeSet<&str> {
        let mut reached = BTreeSet::new();
        let mut left = vec![start];
        while let Some(next) = left.pop() {
            for (_, to) in self.0.keys().filter(|(from, _)| from == next) {
                if reached.insert(to.as_str()) {
                    left.push(to);
                }
            }
        }
        reached
    }

    /// The arrows that are part of a cycle, as `a::b -> c::d`.
    pub(crate) fn circles(&self) -> Vec<String> {
        let in_circle = |(from, to): &(String, String)| self.reached(to).contains(from.as_str());
        let arrows = self.0.iter().filter(|(ends, _)| in_circle(ends)).flat_map(|(_, arrows)| arrows);
        arrows.map(|(from, to)| format!("{} -> {}", from.join("::"), to.join("::"))).collect()
    }

    /// The names in layers from the top, each as low as what it depends on permits; `None` if there is a cycle.
    pub(crate) fn floors(&self, names: BTreeSet<String>) -> Option<Vec<BTreeSet<String>>> {
        let mut left = names;
        let mut floors = Vec::new();
        while !left.is_empty() {
            let stands_on_others =
                |name: &String| self.0.keys().any(|(from, to)| from == name && left.contains(to));
            let (higher, floor): (BTreeSet<_>, BTreeSet<_>) =
                left.iter().cloned().partition(|name| stands_on_others(name));
            if floor.is_empty() {
                return None;
            }
            floors.insert(0, floor);
            left = higher;
        }
        Some(floors)
    }
}

/// A crate's modules.
#[derive(Debug, Default)]
pub(crate) struct Modules(BTreeMap<Name, Module>);

impl Modules {
    /// Reads the root file of a crate and the file of every module that it declares.
    pub(crate) fn read(root: &Path) -> Self {
        let mut modules = Self::default();
        let parsed = parse(root);
        let dir = root.parent().expect("a directory").to_owned();
        modules.add(&Vec::new(), &parsed.items, &dir);
        modules
    }

    /// Makes modules from source text, one for each module, for testing this code.
    pub(crate) fn of(texts: &[(&str, &str)]) -> Self {
        let mut modules = Self::default();
        for (name, text) in texts {
            let name: Name = name.split("::").filter(|part| !part.is_empty()).map(str::to_owned).collect();
            let parsed = syn::parse_file(text).unwrap_or_else(|error| panic!("{name:?}: {error}"));
            modules.add(&name, &parsed.items, Path::new(""));
        }
        modules
    }

    fn add(&mut self, name: &Name, items: &[Item], dir: &Path) {
        let mut module = Module::default();
        for item in items.iter().filter(|item| !is_for_tests(attributes(item))) {
            match item {
                Item::Mod(child) => {
                    let ident = child.ident.to_string();
                    let inside = [name.as_slice(), std::slice::from_ref(&ident)].concat();
                    let below = dir.join(&ident);
                    match &child.content {
                        Some((_, items)) => self.add(&inside, items, &below),
                        None if dir.as_os_str().is_empty() => {}
                        None => self.add(&inside, &parse(&file_of(dir, &ident)).items, &below),
                    }
                }
                Item::Use(item) => module.import(&item.tree, &mut Vec::new()),
                item => {
                    module.items.extend(defined(item));
                    module.visit_item(item);
                }
            }
        }
        self.0.insert(name.clone(), module);
    }

    /// The modules that the root declares.
    pub(crate) fn top(&self) -> BTreeSet<String> {
        self.0.keys().filter(|name| name.len() == 1).map(|name| name[0].clone()).collect()
    }

    /// Pairs of modules of which the first names something that the second defines.
    pub(crate) fn arrows(&self) -> BTreeSet<(Name, Name)> {
        let mut arrows = BTreeSet::new();
        for (from, module) in &self.0 {
            for path in &module.paths {
                let to = self.owner(from, path, 0);
                arrows.extend(to.filter(|to| to != from).map(|to| (from.clone(), to)));
            }
        }
        arrows
    }

    /// The arrows between the children of each module, including everything below them, with the arrows that they
    /// stand for. A module and its own children count as one: what they name of each other is left out.
    pub(crate) fn among_children(&self) -> BTreeMap<Name, Graph> {
        let mut graphs: BTreeMap<Name, Graph> = BTreeMap::new();
        for (from, to) in self.arrows() {
            let common = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
            if let (Some(child), Some(other)) = (from.get(common), to.get(common)) {
                let ends = (child.clone(), other.clone());
                graphs.entry(from[..common].to_vec()).or_default().add(ends, (from, to));
            }
        }
        graphs
    }

    /// The module that defines what `path` means in the module `from`; `None` if it belongs to another crate.
    fn owner(&self, from: &Name, path: &[String], depth: usize) -> Option<Name> {
        // Two modules that import everything from each other.
        if depth > 20 {
            return None;
        }
        let mut at = from.clone();
        let mut rest = path;
        let first = rest.first()?;
        let named = match first.as_str() {
            "crate" => {
                at.clear();
                true
            }
            "self" => true,
            "super" => at.pop().is_some(),
            _ => false,
        };
        if named {
            rest = &rest[1..];
            while rest.first().is_some_and(|part| part == "super") {
                at.pop()?;
                rest = &rest[1..];
            }
        }
        self.below(at, rest, named, depth)
    }

    /// Continues from a module; `ours` means that the path certainly belongs to this crate.
    fn below(&self, at: Name, rest: &[String], ours: bool, depth: usize) -> Option<Name> {
        let Some(part) = rest.first() else { return ours.then_some(at) };
        let child = [at.as_slice(), std::slice::from_ref(part)].concat();
        if self.0.contains_key(&child) {
            return self.below(child, &rest[1..], true, depth);
        }
        let module = self.0.get(&at)?;
        if module.items.contains(part) {
            return Some(at);
        }
        if let Some(target) = module.imports.get(part)
            && target.as_slice() != [part.clone()]
        {
            let target = [target.as_slice(), &rest[1..]].concat();
            return self.owner(&at, &target, depth + 1);
        }
        let all = module.globs.iter().map(|glob| [glob.as_slice(), rest].concat());
        let of_glob = all
            .filter_map(|path| self.owner(&at, &path, depth + 1))
            .find(|owner| self.0.get(owner).is_some_and(|module| module.items.contains(part)));
        of_glob.or_else(|| ours.then_some(at))
    }
}

impl Module {
    fn import(&mut self, tree: &UseTree, before: &mut Name) {
        match tree {
            UseTree::Path(path) => {
                before.push(path.ident.to_string());
                self.import(&path.tree, before);
                before.pop();
            }
            UseTree::Group(group) => group.items.iter().for_each(|tree| self.import(tree, before)),
            UseTree::Glob(_) => {
                self.paths.insert(before.clone());
                self.globs.push(before.clone());
            }
            UseTree::Name(name) => self.bind(&name.ident.to_string(), &name.ident.to_string(), before),
            UseTree::Rename(name) => self.bind(&name.ident.to_string(), &name.rename.to_string(), before),
        }
    }

    fn bind(&mut self, name: &str, here: &str, before: &Name) {
        let mut path = before.clone();
        let mut here = here.to_owned();
        if name == "self" {
            if here == "self" {
                here = before.last().cloned().unwrap_or_default();
            }
        } else {
            path.push(name.to_owned());
        }
        self.paths.insert(path.clone());
        self.imports.insert(here, path);
    }
}

impl Visit<'_> for Module {
    fn visit_path(&mut self, path: &syn::Path) {
        self.paths.insert(path.segments.iter().map(|segment| segment.ident.to_string()).collect());
        visit::visit_path(self, path);
    }

    fn visit_item_use(&mut self, item: &syn::ItemUse) {
        self.import(&item.tree, &mut Vec::new());
    }

    fn visit_visibility(&mut self, _: &syn::Visibility) {
        // `pub(super)` does not use anything.
    }

    fn visit_macro(&mut self, call: &syn::Macro) {
        self.paths_in(call.tokens.clone());
        visit::visit_macro(self, call);
    }
}

impl Module {
    /// The paths in a macro's arguments, which have not been parsed yet.
    fn paths_in(&mut self, tokens: TokenStream) {
        let mut path = Name::new();
        let mut colons = 0;
        for token in tokens {
            match token {
                TokenTree::Ident(ident) => {
                    if colons < 2 {
                        self.end_path(&mut path);
                    }
                    path.push(ident.to_string());
                    colons = 0;
                }
                TokenTree::Punct(punct) if punct.as_char() == ':' => colons += 1,
                other => {
                    self.end_path(&mut path);
                    colons = 0;
                    if let TokenTree::Group(group) = other {
                        self.paths_in(group.stream());
                    }
                }
            }
        }
        self.end_path(&mut path);
    }

    fn end_path(&mut self, path: &mut Name) {
        let path = std::mem::take(path);
        if path.len() > 1 {
            self.paths.insert(path);
        }
    }
}

fn parse(file: &Path) -> syn::File {
    let text = fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    syn::parse_file(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

fn file_of(dir: &Path, module: &str) -> PathBuf {
    let flat = dir.join(module).with_extension("rs");
    if flat.exists() { flat } else { dir.join(module).join("mod.rs") }
}

/// Whether an item with these attributes is compiled only for tests: `#[cfg(test)]`, alone or among conditions that
/// must all be true.
fn is_for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().filter(|attribute| attribute.path().is_ident("cfg")).any(|attribute| {
        let Meta::List(list) = &attribute.meta else { return false };
        let text = list.tokens.to_string();
        text == "test" || (text.starts_with("all") && text.contains("test"))
    })
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

/// The name that an item defines.
fn defined(item: &Item) -> Option<String> {
    let ident = match item {
        Item::Const(item) => &item.ident,
        Item::Enum(item) => &item.ident,
        Item::Fn(item) => &item.sig.ident,
        Item::Macro(item) => item.ident.as_ref()?,
        Item::Static(item) => &item.ident,
        Item::Struct(item) => &item.ident,
        Item::Trait(item) => &item.ident,
        Item::Type(item) => &item.ident,
        _ => return None,
    };
    Some(ident.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrows(texts: &[(&str, &str)]) -> Vec<String> {
        let arrows = Modules::of(texts).arrows();
        arrows.iter().map(|(from, to)| format!("{} -> {}", from.join("::"), to.join("::"))).collect()
    }

    #[test]
    fn a_name_is_of_the_module_that_defines_it() {
        let found = arrows(&[
            ("", "mod a; mod b; pub use b::Thing;"),
            ("a", "use crate::Thing; use std::fs; fn f() { super::b::inner::g(); fs::read(1); }"),
            ("b", "mod inner; pub use inner::{g as h, *}; pub struct Thing;"),
            ("b::inner", "pub fn g() {} pub fn k() { crate::b::h(); }"),
        ]);
        assert_eq!(found, [" -> b", "a -> b", "a -> b::inner", "b -> b::inner"]);
    }

    #[test]
    fn names_in_macros_and_of_globs_count_and_those_for_tests_do_not() {
        let found = arrows(&[
            ("", "mod a; mod b; mod c;"),
            ("a", "use super::c::*; fn f() { println!(\"{}\", crate::b::NUMBER); }"),
            ("b", "pub const NUMBER: u8 = 1; #[cfg(test)] mod tests { use crate::a::f; }"),
            (
                "c",
                "#[cfg(test)] use crate::a; #[cfg(all(test, unix))] fn t() { crate::a::f(); } pub fn g() {}",
            ),
        ]);
        assert_eq!(found, ["a -> b", "a -> c"]);
    }

    #[test]
    fn a_circle_has_all_its_arrows_and_no_other() {
        let modules = Modules::of(&[
            ("", "mod a; mod b; mod c;"),
            ("a", "mod x; use crate::{b, c}; pub fn f() { b::f(); c::f(); }"),
            ("a::x", "use super::f; pub fn g() {}"),
            ("b", "use crate::a::x::g; pub fn f() {}"),
            ("c", "pub fn f() {}"),
        ]);
        let graphs = modules.among_children();
        assert_eq!(graphs.len(), 1, "a parent and its child are one: {graphs:?}");
        assert_eq!(graphs[&Name::new()].circles(), ["a -> b", "b -> a::x"]);
        assert_eq!(graphs[&Name::new()].floors(modules.top()), None);
    }

    #[test]
    fn floors_are_as_low_as_the_arrows_allow() {
        let modules = Modules::of(&[
            ("", "mod a; mod b; mod c; mod d;"),
            ("a", "use crate::b;"),
            ("b", "use crate::c;"),
            ("c", ""),
            ("d", "use crate::c;"),
        ]);
        let graph = modules.among_children().remove(&Name::new()).expect("a graph");
        let floors: Vec<Vec<String>> = graph
            .floors(modules.top())
            .expect("no circle")
            .into_iter()
            .map(|floor| floor.into_iter().collect())
            .collect();
        assert_eq!(floors, [vec!["a"], vec!["b", "d"], vec!["c"]]);
    }
}
