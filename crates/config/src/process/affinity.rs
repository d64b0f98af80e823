//! Lists of CPUs and memory nodes such as `0-3,7`, in the format of cpuset(7).

use std::fmt;

/// The highest number accepted: the kernel's largest CPU mask (`CONFIG_MAXSMP`) ends there.
pub const MAX: u32 = 8191;

/// A set of small numbers, as bits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NumberSet(Vec<u64>);

/// Why a list was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ListError {
    /// Neither a number nor a range of two numbers.
    #[error("{0:?} is neither a number nor a range; write for example 0-3,7")]
    Malformed(String),
    /// A range that runs downwards.
    #[error("range {0:?} runs downwards; write the smaller number first")]
    Downwards(String),
    /// A number beyond [`MAX`].
    #[error("{0} is too large; the highest number is {MAX}")]
    TooLarge(u32),
}

/// Parses a list. Blanks around items and an empty list are allowed, as in runc.
///
/// # Errors
/// [`ListError`] for the first item that is wrong.
pub fn parse(list: &str) -> Result<NumberSet, ListError> {
    let mut set = NumberSet::default();
    if list.trim().is_empty() {
        return Ok(set);
    }
    for item in list.split(',').map(str::trim) {
        let (low, high) = item.split_once('-').unwrap_or((item, item));
        let number =
            |text: &str| text.trim().parse::<u32>().map_err(|_| ListError::Malformed(item.to_owned()));
        let (low, high) = (number(low)?, number(high)?);
        if high < low {
            return Err(ListError::Downwards(item.to_owned()));
        }
        if high > MAX {
            return Err(ListError::TooLarge(high));
        }
        (low..=high).for_each(|number| set.insert(number));
    }
    Ok(set)
}

impl NumberSet {
    fn insert(&mut self, number: u32) {
        let word = (number / 64) as usize;
        if self.0.len() <= word {
            self.0.resize(word + 1, 0);
        }
        self.0[word] |= 1 << (number % 64);
    }

    /// Whether `number` is in the set.
    pub fn contains(&self, number: u32) -> bool {
        self.0.get((number / 64) as usize).is_some_and(|word| word & (1 << (number % 64)) != 0)
    }

    /// How many numbers are in the set.
    pub fn len(&self) -> usize {
        self.0.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// Whether the set is empty.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The numbers, ascending.
    pub fn iter(&self) -> impl Iterator<Item = u32> {
        (0..self.0.len() as u32 * 64).filter(|number| self.contains(*number))
    }

    /// The set as 64-bit words, lowest numbers first: on little-endian and on 64-bit machines this is the mask of
    /// `sched_setaffinity(2)` and `set_mempolicy(2)`.
    pub fn words(&self) -> &[u64] {
        &self.0
    }
}

/// The set as a list: `0-3,7`.
impl fmt::Display for NumberSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut numbers = self.iter().peekable();
        let mut separator = "";
        while let Some(low) = numbers.next() {
            let mut high = low;
            while let Some(next) = numbers.next_if_eq(&(high + 1)) {
                high = next;
            }
            if low == high {
                write!(f, "{separator}{low}")?;
            } else {
                write!(f, "{separator}{low}-{high}")?;
            }
            separator = ",";
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_ranges_are_read() {
        for (list, expected) in [
            ("", &[][..]),
            ("0", &[0]),
            ("0-3,7", &[0, 1, 2, 3, 7]),
            (" 1 , 3 - 4 ", &[1, 3, 4]),
            ("63-65", &[63, 64, 65]),
            ("2,2,1-2", &[1, 2]),
        ] {
            let set = parse(list).expect(list);
            assert_eq!(set.iter().collect::<Vec<_>>(), expected, "{list:?}");
            assert_eq!(set.len(), expected.len());
            assert_eq!(set.is_empty(), expected.is_empty());
        }
        assert_eq!(parse("0,64").expect("valid").words(), [1, 1]);
        assert!(!parse("0").expect("valid").contains(9999));
    }

    #[test]
    fn a_set_prints_as_the_shortest_list() {
        for (list, expected) in [("", ""), ("3", "3"), ("0,1,2,7,63-65", "0-2,7,63-65"), ("4,2", "2,4")] {
            assert_eq!(parse(list).expect("valid").to_string(), expected);
        }
    }

    #[test]
    fn anything_else_is_an_error() {
        for list in ["a", "1-", "-1", "1--2", "1,,2", "1-2-3", "0x1", "4294967296", "+", ","] {
            assert_eq!(std::mem::discriminant(&parse(list).expect_err(list)), malformed(), "{list}");
        }
        assert_eq!(parse("3-1"), Err(ListError::Downwards("3-1".into())));
        assert_eq!(parse("0-4294967295"), Err(ListError::TooLarge(u32::MAX)));
    }

    fn malformed() -> std::mem::Discriminant<ListError> {
        std::mem::discriminant(&ListError::Malformed(String::new()))
    }
}
