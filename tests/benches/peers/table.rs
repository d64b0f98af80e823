//! Medians, and a table that is readable both as text and as Markdown.

use std::time::Duration;

/// The times of two runtimes, measured alternately.
pub(crate) struct Pairs {
    pub(crate) ours: Vec<Duration>,
    pub(crate) theirs: Vec<Duration>,
}

impl Pairs {
    /// The median of the ratios of the pairs.
    pub(crate) fn ratio(&self) -> f64 {
        let pairs = self.ours.iter().zip(&self.theirs);
        median(pairs.map(|(ours, theirs)| ours.as_secs_f64() / theirs.as_secs_f64()))
    }

    /// The medians of ours and of theirs in milliseconds, their ratio, and the median of the ratios of the pairs,
    /// which is not affected if the machine is slow for a while.
    pub(crate) fn summary(&self) -> [String; 4] {
        let milliseconds = |times: &[Duration]| median(times.iter().map(|time| time.as_secs_f64() * 1e3));
        let (ours, theirs) = (milliseconds(&self.ours), milliseconds(&self.theirs));
        let of_pairs = self.ratio();
        [
            format!("{ours:.2}"),
            format!("{theirs:.2}"),
            format!("{:.3}", ours / theirs),
            format!("{of_pairs:.3}"),
        ]
    }
}

/// The middle value, or the mean of the two middle ones if the number of values is even.
fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 { values[middle] } else { f64::midpoint(values[middle - 1], values[middle]) }
}

/// A row of a table.
pub(crate) type Row = Vec<String>;

/// A table in Markdown with aligned columns; numbers are right-aligned.
pub(crate) fn render(head: &[&str], rows: &[Row]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].len());
        cells.chain([head[column].len()]).max().unwrap_or_default()
    };
    let is_number = |column: usize| rows.iter().all(|row| row[column].parse::<f64>().is_ok());
    let line = |cells: &[String]| {
        let aligned = cells.iter().enumerate().map(|(column, cell)| {
            let width = width(column);
            if is_number(column) { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
        });
        format!("| {} |\n", aligned.collect::<Vec<_>>().join(" | "))
    };
    let mut text = line(&head.iter().map(|cell| (*cell).to_owned()).collect::<Vec<_>>());
    let rule = |column: usize| {
        let dashes = "-".repeat(width(column) - 1);
        if is_number(column) { format!("{dashes}:") } else { format!("-{dashes}") }
    };
    text += &line(&(0..head.len()).map(rule).collect::<Vec<_>>());
    for row in rows {
        text += &line(row);
    }
    text
}
