//! The effect of a layer on those below it, image-spec layer.md "Whiteouts".

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};

/// The paths that a layer has made, so that its whiteouts leave them alone. They are stored as hashes that nobody
/// can predict, since there may be a million.
#[derive(Debug)]
pub(crate) struct Layer {
    made: Option<(HashSet<u64>, RandomState)>,
    /// Whether names that begin with `.wh.` have a meaning.
    pub(crate) has_whiteouts: bool,
}

/// The meaning of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meaning<'a> {
    /// A file with this name.
    File,
    /// This name is removed from the layers below.
    Whiteout(&'a [u8]),
    /// Everything that the layers below have in this directory is removed.
    Opaque,
    /// A file of aufs that is not part of the image.
    Nothing,
    /// A whiteout of an impossible name: `.`, `..` or the empty name.
    Wrong,
}

impl Layer {
    /// Starts a layer, or an archive that is not a layer. `first` means that there is nothing below it.
    pub(crate) fn new(first: bool, has_whiteouts: bool) -> Self {
        Self { made: (!first && has_whiteouts).then(Default::default), has_whiteouts }
    }

    pub(crate) fn meaning<'a>(&self, name: &'a [u8]) -> Meaning<'a> {
        let Some(hidden) = name.strip_prefix(b".wh.").filter(|_| self.has_whiteouts) else {
            return Meaning::File;
        };
        match hidden {
            b".wh..opq" => Meaning::Opaque,
            b"" | b"." | b".." => Meaning::Wrong,
            _ if hidden.starts_with(b".wh.") => Meaning::Nothing,
            _ => Meaning::Whiteout(hidden),
        }
    }

    /// Whether there is anything below that could be hidden.
    pub(crate) fn has_others_below(&self) -> bool {
        self.made.is_some()
    }

    /// Records a path of this layer, and the directories above it.
    pub(crate) fn make(&mut self, names: &[&[u8]]) {
        let Some((made, state)) = &mut self.made else { return };
        for length in (1..=names.len()).rev() {
            if !made.insert(state.hash_one(&names[..length])) {
                return;
            }
        }
    }

    /// Whether this layer has made this path, or something below it.
    pub(crate) fn has_made(&self, names: &[&[u8]]) -> bool {
        self.made.as_ref().is_some_and(|(made, state)| made.contains(&state.hash_one(names)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_whiteouts_are_told_apart() {
        let layer = Layer::new(false, true);
        for (name, meaning) in [
            (&b"file"[..], Meaning::File),
            (b".wh.a", Meaning::Whiteout(b"a")),
            (b".wh..wh..opq", Meaning::Opaque),
            (b".wh..wh.plnk", Meaning::Nothing),
            (b".wh.", Meaning::Wrong),
            (b".wh..", Meaning::Wrong),
            (b".wh...", Meaning::Wrong),
            (b".wh....", Meaning::Whiteout(b"...")),
        ] {
            assert_eq!(layer.meaning(name), meaning);
        }
        assert_eq!(Layer::new(true, false).meaning(b".wh.a"), Meaning::File);
    }

    #[test]
    fn a_layer_knows_what_it_has_made() {
        let mut layer = Layer::new(false, true);
        layer.make(&[b"a", b"b"]);
        assert!(layer.has_made(&[b"a"]) && layer.has_made(&[b"a", b"b"]));
        assert!(!layer.has_made(&[b"b"]) && !layer.has_made(&[b"ab"]));
        assert!(!Layer::new(true, true).has_others_below());
    }
}
