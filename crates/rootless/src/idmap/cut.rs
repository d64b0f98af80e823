//! Maps that cross the boundaries of the caller's own map; `user_namespaces`(7).

use oci_spec::runtime::LinuxIdMapping;

use rootling_config::idmap::mapping;

/// Splits `rows` wherever a row of `own`, the map of the parent namespace, ends: the kernel rejects a row that
/// crosses such a boundary, even if every id in it is mapped. The mapping itself stays the same.
///
/// # Errors
/// The first outer id that `own` does not have.
pub fn cut(rows: &[LinuxIdMapping], own: &[LinuxIdMapping]) -> Result<Vec<LinuxIdMapping>, u32> {
    let mut parts = Vec::new();
    for row in rows {
        let mut done = 0;
        while done < row.size() {
            let id = row.host_id().checked_add(done).ok_or(u32::MAX)?;
            let left = own
                .iter()
                .find_map(|o| {
                    o.size().checked_sub(id.checked_sub(o.container_id())?).filter(|left| *left > 0)
                })
                .ok_or(id)?;
            let size = left.min(row.size() - done);
            parts.push(mapping(row.container_id().saturating_add(done), id, size));
            done += size;
        }
    }
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    type Row = (u32, u32, u32);

    fn map(rows: &[Row]) -> Vec<LinuxIdMapping> {
        rows.iter().map(|&(container, host, size)| mapping(container, host, size)).collect()
    }

    #[test]
    fn rows_are_cut_at_the_borders_of_the_outer_map() {
        let outer: &[Row] = &[(0, 1000, 1), (1, 100_000, 65536), (70_000, 5, 10)];
        for (rows, wanted) in [
            (&[(0, 0, 65536)][..], Ok(&[(0, 0, 1), (1, 1, 65535)][..])),
            (&[(5, 0, 3)], Ok(&[(5, 0, 1), (6, 1, 2)])),
            (&[(0, 1, 10), (10, 0, 1)], Ok(&[(0, 1, 10), (10, 0, 1)])),
            (&[(0, 70_000, 10)], Ok(&[(0, 70_000, 10)])),
            (&[(0, 70_000, 11)], Err(70_010)),
            (&[(0, 65_530, 100)], Err(65_537)),
            (&[(0, u32::MAX, 2)], Err(u32::MAX)),
            (&[], Ok(&[])),
        ] {
            assert_eq!(cut(&map(rows), &map(outer)), wanted.map(map), "{rows:?}");
        }
    }

    #[test]
    fn all_ids_of_the_initial_namespace_are_one_row() {
        let all = map(&[(0, 0, u32::MAX)]);
        assert_eq!(cut(&all, &all), Ok(all.clone()));
    }
}
