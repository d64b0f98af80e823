//! Mounts as a process sees them (proc_pid_mountinfo(5)).

use std::collections::BTreeSet;

/// One mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// Its id, by which others refer to it.
    pub id: u32,
    /// The id of the mount that it is on.
    pub parent: u32,
    /// The directory of the file system that is mounted.
    pub root: String,
    /// The mount point.
    pub point: String,
    /// Options of the mount, such as `ro` and `nosuid`.
    pub options: BTreeSet<String>,
    /// Its propagation: `shared:N`, `master:N`, `unbindable`.
    pub tags: Vec<String>,
    /// Type of the file system.
    pub kind: String,
    /// The source of the mount.
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

    /// The visible mount at `point`, if there is one.
    pub fn find(&self, point: &str) -> Option<&Mount> {
        self.0.iter().rev().find(|mount| mount.point == point)
    }

    /// The visible mount at `point`.
    pub fn at(&self, point: &str) -> &Mount {
        self.find(point).unwrap_or_else(|| panic!("nothing is mounted on {point}: {self:#?}"))
    }

    /// The number of mounts at `point`.
    pub fn count(&self, point: &str) -> usize {
        self.0.iter().filter(|mount| mount.point == point).count()
    }

    /// All mounts.
    pub fn iter(&self) -> impl Iterator<Item = &Mount> {
        self.0.iter()
    }

    /// The mounts on top of another, which cover parts of it. If somebody has moved its mount point, they are at
    /// the new place as well.
    pub fn on<'a>(&'a self, mount: &Mount) -> impl Iterator<Item = &'a Mount> {
        let id = mount.id;
        self.0.iter().filter(move |other| other.parent == id && other.id != id)
    }

    /// The mount points at and below `dir`, in their order.
    pub fn points_below(&self, dir: &str) -> Vec<&str> {
        let points = self.0.iter().map(|mount| mount.point.as_str());
        points.filter(|point| std::path::Path::new(point).starts_with(dir)).collect()
    }
}

impl Mount {
    /// Asserts the options of the mount, in any order; `context` says what they belong to.
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
