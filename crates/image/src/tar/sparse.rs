//! Where a sparse file has data: the formats of GNU tar, "Storing Sparse Files" in its manual.

use std::io::Read;

use tar::{GnuExtSparseHeader, Header};

use super::pax::{Records, number};
use crate::error::{Error, Result, Said};

/// More parts than this are refused: each takes 16 bytes of memory.
const MOST_PARTS: usize = 1 << 18;

const BLOCK: usize = 512;

pub(crate) type Map = Vec<(u64, u64)>;

fn damaged(what: &str) -> Error {
    Error::invalid(format!("the map of a sparse file {what}: the archive is damaged"))
}

/// The old format: the map is in the header and in blocks after it.
pub(crate) fn of_header(header: &Header, source: &mut impl Read) -> Result<(Map, u64)> {
    let gnu = header.as_gnu().ok_or_else(|| damaged("is in a header that has no place for one"))?;
    let size = gnu.real_size().said(|| "the size of a sparse file")?;
    let mut map = Map::new();
    let mut add = |part: &tar::GnuSparseHeader| -> Result<()> {
        if !part.is_empty() {
            map.push((part.offset().said(|| "sparse")?, part.length().said(|| "sparse")?));
        }
        if map.len() > MOST_PARTS { Err(damaged("has too many parts")) } else { Ok(()) }
    };
    gnu.sparse.iter().try_for_each(&mut add)?;
    let mut more = gnu.is_extended();
    while more {
        let mut block = GnuExtSparseHeader::new();
        source.read_exact(block.as_mut_bytes()).said(|| "a sparse file")?;
        block.sparse.iter().try_for_each(&mut add)?;
        more = block.is_extended();
    }
    Ok((map, size))
}

/// The formats 0.0 and 0.1: the map is in extended headers.
pub(crate) fn of_records(records: &Records) -> Result<Option<(Map, u64)>> {
    let Some(size) = records.number("GNU.sparse.size")? else { return Ok(None) };
    let numbers = match records.get("GNU.sparse.map") {
        Some(text) => text
            .split(|byte| *byte == b',')
            .filter(|part| !part.is_empty())
            .map(|part| number(b"GNU.sparse.map", part))
            .collect::<Result<Vec<u64>>>()?,
        None => records.sparse.clone(),
    };
    Ok(Some((pairs(&numbers)?, size)))
}

/// The format 1.0: the map is at the beginning of the data. Also returns how much of the data it takes.
pub(crate) fn of_data(source: &mut impl Read) -> Result<(Map, u64)> {
    let mut blocks = Blocks { source, block: [0; BLOCK], at: BLOCK, taken: 0 };
    let count = usize::try_from(blocks.number()?).unwrap_or(usize::MAX);
    if count > MOST_PARTS {
        return Err(damaged("has too many parts"));
    }
    let numbers = (0..count * 2).map(|_| blocks.number()).collect::<Result<Vec<u64>>>()?;
    Ok((pairs(&numbers)?, blocks.taken))
}

fn pairs(numbers: &[u64]) -> Result<Map> {
    if !numbers.len().is_multiple_of(2) || numbers.len() / 2 > MOST_PARTS {
        return Err(damaged("has half a part, or too many"));
    }
    Ok(numbers.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect())
}

/// Decimal numbers, one per line, in whole blocks.
struct Blocks<'a, R> {
    source: &'a mut R,
    block: [u8; BLOCK],
    at: usize,
    taken: u64,
}

impl<R: Read> Blocks<'_, R> {
    fn number(&mut self) -> Result<u64> {
        let mut digits = Vec::new();
        loop {
            if self.at == BLOCK {
                self.source.read_exact(&mut self.block).said(|| "a sparse file")?;
                self.at = 0;
                self.taken += BLOCK as u64;
            }
            let byte = self.block[self.at];
            self.at += 1;
            match byte {
                b'\n' => return number(b"GNU.sparse", &digits),
                b'0'..=b'9' if digits.len() < 20 => digits.push(byte),
                _ => return Err(damaged("contains something other than numbers")),
            }
        }
    }
}

/// Checks that the parts are in order and within the file; returns how many bytes of data they have.
pub(crate) fn check(map: &Map, size: u64) -> Result<u64> {
    let (mut end, mut data) = (0u64, 0u64);
    for (offset, length) in map {
        let after = offset.checked_add(*length).filter(|after| *after <= size && *offset >= end);
        end = after.ok_or_else(|| damaged("has parts that overlap, or lie behind its end"))?;
        data += length;
    }
    Ok(data)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_follow_each_other_within_the_file() {
        assert_eq!(check(&vec![(0, 10), (20, 5), (25, 0)], 25).expect("a map"), 15);
        for map in [vec![(0, 10), (5, 10)], vec![(20, 6)], vec![(u64::MAX, 2)]] {
            assert!(check(&map, 25).is_err(), "{map:?}");
        }
    }

    #[test]
    fn a_map_is_read_from_whole_blocks_of_data() {
        let mut data = b"2\n0\n10\n512\n7\n".to_vec();
        data.resize(512, 0);
        data.extend(b"rest");
        let mut source = &data[..];
        assert_eq!(of_data(&mut source).expect("a map"), (vec![(0, 10), (512, 7)], 512));
        assert_eq!(source, b"rest");
        for text in [&b"999999999999\n"[..], b"x\n", b"1\n-1\n"] {
            let mut data = text.to_vec();
            data.resize(512, 0);
            assert!(of_data(&mut &data[..]).is_err());
        }
    }
}
