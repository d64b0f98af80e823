//! Draws the benchmark's ratios as bars in SVG.

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

/// How rootling compares with one peer in one work.
#[derive(Debug, Clone, PartialEq)]
pub struct Ratio {
    /// What was timed.
    pub work: String,
    /// The other runtime.
    pub peer: String,
    /// rootling's time divided by the peer's: the median of the pairs.
    pub ratio: f64,
}

/// The colours of peers, in the order in which they occur.
const COLOURS: [RGBColor; 6] = [
    RGBColor(38, 110, 170),
    RGBColor(225, 140, 35),
    RGBColor(90, 150, 70),
    RGBColor(150, 80, 150),
    RGBColor(120, 120, 120),
    RGBColor(200, 70, 60),
];

/// The width of the drawing in pixels.
const WIDTH: u32 = 860;
const BAR: u32 = 15;
const ABOVE_AND_BELOW: u32 = 110;
const NAMES: u32 = 180;

/// How much longer the axis is than the longest bar, which leaves room for the legend.
const BEYOND: f64 = 1.25;

/// The ratios in the first table of works in a Markdown text, as `make bench` prints it.
pub fn ratios(markdown: &str) -> Vec<Ratio> {
    let table = markdown.lines().skip_while(|line| !line.starts_with("| work "));
    let rows = table.take_while(|line| line.starts_with('|')).skip(2);
    rows.map(|row| {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let (Some(work), Some(peer), Some(ratio)) = (cells.first(), cells.get(1), cells.last()) else {
            panic!("not a row of the table: {row}");
        };
        let ratio = ratio.parse().unwrap_or_else(|error| panic!("{ratio:?}: {error}: {row}"));
        Ratio { work: (*work).to_owned(), peer: (*peer).to_owned(), ratio }
    })
    .collect()
}

/// An SVG document with a bar for each ratio, grouped by work, and a line where both take the same time.
pub fn draw(ratios: &[Ratio]) -> String {
    let peers = distinct(ratios, |ratio| &ratio.peer);
    let rows = layout(ratios);
    let mut svg = String::new();
    {
        let height = ABOVE_AND_BELOW + BAR * rows.height as u32;
        let root = SVGBackend::with_string(&mut svg, (WIDTH, height)).into_drawing_area();
        plot(&root, ratios, &peers, &rows).expect("drawing into memory");
        root.present().expect("drawing into memory");
    }
    svg
}

type Drawn<'a> = Result<(), DrawingAreaErrorKind<<SVGBackend<'a> as DrawingBackend>::ErrorType>>;

fn plot<'a>(
    root: &DrawingArea<SVGBackend<'a>, plotters::coord::Shift>,
    ratios: &[Ratio],
    peers: &[&str],
    rows: &Layout<'_>,
) -> Drawn<'a> {
    root.fill(&WHITE)?;
    let most = ratios.iter().map(|ratio| ratio.ratio).fold(1.0, f64::max);
    let mut chart = ChartBuilder::on(root)
        .caption("Time of rootling divided by that of the other runtime", ("sans-serif", 23))
        .margin(12)
        .x_label_area_size(36)
        .y_label_area_size(NAMES)
        .build_cartesian_2d(0.0..most * BEYOND, 0.0..rows.height)?;
    chart
        .configure_mesh()
        .disable_y_mesh()
        .y_labels(0)
        .x_labels(11)
        .x_label_formatter(&|ratio| format!("{ratio:.1}"))
        .label_style(("sans-serif", 16))
        .light_line_style(WHITE)
        .draw()?;
    let beside = Pos::new(HPos::Right, VPos::Center);
    let name = ("sans-serif", 18).into_text_style(root).pos(beside);
    chart.draw_series(rows.works.iter().map(|(work, middle)| {
        EmptyElement::at((0.0, *middle)) + Text::new((*work).to_owned(), (-8, 0), name.clone())
    }))?;
    for (peer, colour) in peers.iter().zip(COLOURS.iter().cycle()) {
        let of_peer = || ratios.iter().zip(&rows.bars).filter(|(ratio, _)| ratio.peer == **peer);
        chart
            .draw_series(of_peer().map(|(ratio, top)| {
                Rectangle::new([(0.0, *top), (ratio.ratio, top - 1.0)], colour.filled())
            }))?
            .label(*peer)
            .legend(|(x, y)| Rectangle::new([(x, y - 5), (x + 12, y + 5)], colour.filled()));
        let value = ("sans-serif", 15).into_text_style(root).pos(Pos::new(HPos::Left, VPos::Center));
        chart.draw_series(of_peer().map(|(ratio, top)| {
            EmptyElement::at((ratio.ratio, top - 0.5))
                + Text::new(format!("{:.2}", ratio.ratio), (4, 0), value.clone())
        }))?;
    }
    chart.draw_series(LineSeries::new([(1.0, 0.0), (1.0, rows.height)], BLACK.stroke_width(2)))?;
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperRight)
        .label_font(("sans-serif", 18))
        .draw()
}

/// The positions of everything, in bars from the bottom.
struct Layout<'a> {
    height: f64,
    /// Each work, with the middle of its bars.
    works: Vec<(&'a str, f64)>,
    /// The upper edge of each ratio's bar.
    bars: Vec<f64>,
}

/// The works from top to bottom in the order of the table, with half a bar between them.
fn layout(ratios: &[Ratio]) -> Layout<'_> {
    const BETWEEN: f64 = 0.5;
    let mut layout = Layout { height: BETWEEN, works: Vec::new(), bars: vec![0.0; ratios.len()] };
    for name in distinct(ratios, |ratio| &ratio.work).into_iter().rev() {
        let bottom = layout.height;
        for (bar, _) in layout.bars.iter_mut().zip(ratios).rev().filter(|(_, ratio)| ratio.work == name) {
            layout.height += 1.0;
            *bar = layout.height;
        }
        layout.works.push((name, f64::midpoint(bottom, layout.height)));
        layout.height += BETWEEN;
    }
    layout
}

/// The distinct names, in the order in which they occur.
fn distinct(ratios: &[Ratio], name: impl Fn(&Ratio) -> &str) -> Vec<&str> {
    let mut names = Vec::new();
    for ratio in ratios {
        if !names.contains(&name(ratio)) {
            names.push(name(ratio));
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use std::fs;

    use snapbox::data::DataFormat;
    use snapbox::{Assert, Data};

    use super::*;
    use crate::source;

    const TABLE: &str = "\
Median times, and another line.

| work  | peer | rootling | of the peer | ratio | ratio of pairs |
| ----- | ---- | -------: | ----------: | ----: | -------------: |
| run   | crun |     1.00 |        2.00 | 0.510 |          0.500 |
| run   | runc |     1.00 |        4.00 | 0.240 |          0.250 |
| state | crun |     3.00 |        2.00 | 1.500 |          1.250 |

| work  | peer |
| ----- | ---- |
| other | none |
";

    fn ratio(work: &str, peer: &str, ratio: f64) -> Ratio {
        Ratio { work: work.into(), peer: peer.into(), ratio }
    }

    /// The widths of the bars with this fill, in pixels.
    fn widths(svg: &str, colour: RGBColor) -> Vec<f64> {
        let fill = format!("fill=\"#{:02X}{:02X}{:02X}\"", colour.0, colour.1, colour.2);
        let attribute = |tag: &str, name: &str| -> f64 {
            let value = tag.split(&format!(" {name}=\"")).nth(1).and_then(|rest| rest.split('"').next());
            value.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("no {name}: {tag}"))
        };
        let tags = svg.split("<rect").skip(1).filter_map(|rest| rest.split("/>").next());
        tags.filter(|tag| tag.contains(&fill)).map(|tag| attribute(tag, "width")).collect()
    }

    #[test]
    fn ratios_are_those_of_the_first_table() {
        let expected = [ratio("run", "crun", 0.5), ratio("run", "runc", 0.25), ratio("state", "crun", 1.25)];
        assert_eq!(ratios(TABLE), expected);
        assert_eq!(ratios("no table"), []);
    }

    #[test]
    fn picture_in_the_docs_has_the_ratios_of_their_table() {
        let page = fs::read_to_string(source("docs/performance.md")).expect("docs/performance.md");
        let (_, recorded) = page.split_once("\n## Figures\n").expect("a section with the figures");
        let picture = Data::read_from(&source("docs/pictures/bench.svg"), Some(DataFormat::Text));
        Assert::new().action_env("SNAPSHOTS").eq(Data::text(draw(&ratios(recorded))), picture);
    }

    #[test]
    fn bars_are_as_long_as_their_ratios_and_in_the_colour_of_the_peer() {
        let svg = draw(&ratios(TABLE));
        // The last one belongs to the legend.
        let (crun, runc) = (widths(&svg, COLOURS[0]), widths(&svg, COLOURS[1]));
        assert_eq!((crun.len(), runc.len()), (3, 2), "{svg}");
        assert_eq!((crun.last(), runc.last()), (Some(&12.0), Some(&12.0)), "{svg}");
        for (found, expected) in [(crun[1] / crun[0], 2.5), (runc[0] / crun[0], 0.5)] {
            // They end at whole pixels.
            assert!((found - expected).abs() < 0.02, "{found} is not {expected}: {svg}");
        }
    }

    #[test]
    fn every_work_and_value_is_named_and_no_label_is_cut_off() {
        let svg = draw(&ratios(TABLE));
        for text in ["run", "state", "0.50", "0.25", "1.25", "crun", "runc"] {
            assert!(svg.lines().any(|line| line.trim() == text), "{text}: {svg}");
        }
        assert!(svg.starts_with("<svg width=\"860\"") && svg.trim_end().ends_with("</svg>"), "{svg}");
    }
}
