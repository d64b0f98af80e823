//! Mounts as a process sees them (proc_pid_mountinfo(5)).

use std::collections::BTreeSet;

/// One mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// Its number, by which others name it.
    pub id: u32,
    /// The number of the mount on which it is.
    pub parent: u32,
    /// What of the file system is mounted.
    pub root: String,
    /// Where it is mounted.
    pub point: String,
    /// Options of the mount, such as `ro` and `nosuid`.
    pub options: BTreeSet<String>,
    /// Propagation: `shared:N`, `master:N`, `unbindable`.
    pub tags: Vec<String>,
    /// Type of the file system.
    pub kind: String,
    /// What was mounted.
    pub source: String,
    /// Options of the file system, such as `size=4k`.
    pub data: BTreeSet<String>,
}

/// All mounts of a process, in the order in which they were made.
#[derive(Clone, Debug)]
pub struct Mounts(Vec<Mount>);

impl Mounts {
    /// Reads the text of a mountinfo file.
    pub fn parse(text: &str) -> Self {
        Self(text.lines().map(parse).collect())
    }

    /// The mount that is seen at `point`, if there is one.
    pub fn find(&self, point: &str) -> Option<&Mount> {
        self.0.iter().rev().find(|mount| mount.point == point)
    }

    /// The mount that is seen at `point`.
    pub fn at(&self, point: &str) -> &Mount {
        self.find(point).unwrap_or_else(|| panic!("nothing is mounted on {point}: {self:#?}"))
    }

    /// How many mounts are at `point`.
    pub fn count(&self, point: &str) -> usize {
        self.0.iter().filter(|mount| mount.point == point).count()
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Mount> {
        self.0.iter()
    }

    /// Those that are on another: what covers parts of it. Wherever somebody has moved its mount point to,
    /// they are there too.
    pub fn on<'a>(&'a self, mount: &Mount) -> impl Iterator<Item = &'a Mount> {
        let id = mount.id;
        self.0.iter().filter(move |other| other.parent == id && other.id != id)
    }

    /// The points at and below `dir`, in their order.
    pub fn points_below(&self, dir: &str) -> Vec<&str> {
        let points = self.0.iter().map(|mount| mount.point.as_str());
        points.filter(|point| std::path::Path::new(point).starts_with(dir)).collect()
    }
}

impl Mount {
    /// Asserts the options of the mount, in any order; `context` says whose they are.
    pub fn assert_options(&self, expected: &str, context: &dyn std::fmt::Display) {
        let expected = words(expected);
        assert!(self.options == expected, "{context}: {:?}, not {expected:?}", self.options);
    }
}

fn words(text: &str) -> BTreeSet<String> {
    text.split(',').map(str::to_owned).collect()
}

fn parse(line: &str) -> Mount {
    let (mount, filesystem) = line.split_once(" - ").unwrap_or_else(|| panic!("not of mountinfo: {line:?}"));
    let mount: Vec<&str> = mount.split(' ').collect();
    let filesystem: Vec<&str> = filesystem.split(' ').collect();
    let number = |field: &str| field.parse().unwrap_or_else(|_| panic!("not of mountinfo: {line:?}"));
    Mount {
        id: number(mount[0]),
        parent: number(mount[1]),
        root: mount[3].to_owned(),
        point: mount[4].to_owned(),
        options: words(mount[5]),
        tags: mount[6..].iter().map(|&tag| tag.to_owned()).collect(),
        kind: filesystem[0].to_owned(),
        source: filesystem[1].to_owned(),
        data: words(filesystem[2]),
    }
}
