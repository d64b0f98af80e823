//! The links between the pages of the documentation lead to a file, and to a heading that is there.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};
use rootling_tests::source;

/// Where the pages that name a file without its folders find it: `building/paths.rs` is in `crates/init/src`.
const FOLDERS: [&str; 7] =
    ["", "crates", "crates/init/src", "crates/runtime/src", "crates/image/src", "tests/tests", "docs"];

/// What a page has.
struct Page {
    /// The names of its headings, as GitHub makes them.
    headings: BTreeSet<String>,
    /// The destinations of its links and pictures.
    links: Vec<String>,
}

impl Page {
    fn parse(text: &str) -> Self {
        let (mut headings, mut links) = (BTreeSet::new(), Vec::new());
        let mut heading: Option<String> = None;
        for event in Parser::new_ext(text, Options::ENABLE_TABLES) {
            match event {
                Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
                Event::End(TagEnd::Heading(_)) => headings.extend(heading.take().map(|text| anchor(&text))),
                Event::Text(text) | Event::Code(text) => {
                    if let Some(heading) = &mut heading {
                        heading.push_str(&text);
                    }
                }
                Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                    links.push(dest_url.into_string());
                }
                _ => {}
            }
        }
        Self { headings, links }
    }

    fn read(path: &Path) -> Self {
        Self::parse(&fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
    }
}

/// What follows the `#` in a link to a heading.
fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c.to_ascii_lowercase() }).collect()
}

/// All Markdown files below `dir`, without those that were built or fetched.
fn pages(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display())) {
        let path = entry.expect("an entry").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() && name != "target" && !name.starts_with('.') {
            pages(&path, found);
        } else if path.extension().is_some_and(|kind| kind == "md") {
            found.push(path);
        }
    }
}

/// What is wrong with a link of this page.
fn fault(page: &Path, link: &str) -> Option<String> {
    if link.contains("://") || link.starts_with("mailto:") {
        return None;
    }
    let (file, heading) = link.split_once('#').unwrap_or((link, ""));
    let target = if file.is_empty() { page.to_owned() } else { page.with_file_name("").join(file) };
    if !target.exists() {
        return Some(format!("{} links to {link}: there is no such file", page.display()));
    }
    let is_there = heading.is_empty() || Page::read(&target).headings.contains(heading);
    (!is_there).then(|| format!("{} links to {link}: there is no such heading", page.display()))
}

#[test]
fn links_lead_to_files_and_headings() {
    let mut found = Vec::new();
    pages(&source("."), &mut found);
    let links: Vec<(&PathBuf, String)> = found
        .iter()
        .flat_map(|page| Page::read(page).links.into_iter().map(move |link| (page, link)))
        .collect();
    assert!(found.len() > 20 && links.len() > 100, "{} pages, {} links", found.len(), links.len());
    let faults: Vec<String> = links.iter().filter_map(|(page, link)| fault(page, link)).collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn headings_and_links_are_found() {
    let page =
        Page::parse("# The `run` of it: *one*, two-three\n[a](b.md#c) ![d](e.svg)\n```sh\n# [no](x)\n```\n");
    assert_eq!(page.headings.into_iter().collect::<Vec<_>>(), ["the-run-of-it-one-two-three"]);
    assert_eq!(page.links, ["b.md#c", "e.svg"]);
}

/// A page that names a source file by its path still finds it there.
#[test]
fn source_files_that_a_page_names_exist() {
    let mut found = Vec::new();
    pages(&source("docs"), &mut found);
    found.extend(["README.md", "CONTRIBUTING.md"].map(source));
    let (mut wrong, mut count) = (Vec::new(), 0);
    for page in found {
        let text = fs::read_to_string(&page).expect("a page");
        let is_source =
            |word: &&str| word.contains('/') && Path::new(word).extension().is_some_and(|kind| kind == "rs");
        for word in text.split('`').skip(1).step_by(2).filter(is_source) {
            count += 1;
            let paths = FOLDERS.map(|folder| source(folder).join(word));
            if !paths.iter().any(|path| path.exists()) && !word.contains([' ', '*', '$']) {
                wrong.push(format!("{}: {word}", page.display()));
            }
        }
    }
    assert!(count > 50, "{count}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
