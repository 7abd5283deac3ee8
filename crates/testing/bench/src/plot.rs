//! Plots as SVG.

use std::{ops::Range, path::Path, time::Duration};

use anyhow::{Context, Error};
use plotters::{
    chart::{ChartBuilder, ChartContext, SeriesLabelPosition},
    coord::ranged1d::{AsRangedCoord, Ranged, ValueFormatter},
    drawing::{DrawingArea, IntoDrawingArea},
    element::PathElement,
    prelude::{Cartesian2d, IntoLogRange, SVGBackend},
    series::LineSeries,
    style::{BLACK, Color, RGBColor, WHITE},
};
use strum::IntoEnumIterator;

use crate::{
    kinds::{Kind, Tallies, millis},
    online_times::HOURS,
};

/// Width and height, in pixels.
const SIZE: (u32, u32) = (760, 380);

/// Colours that colour-blind readers can distinguish, one for each kind.
const COLOURS: [RGBColor; 5] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(86, 180, 233),
];

const FONT: &str = "sans-serif";
const FONT_SIZE: u32 = 15;

/// The percentiles that are drawn.
const SHARES: usize = 100;

/// The width of the day, with space for labels next to it.
const HOURS_AND_LABELS: f64 = HOURS + 7.0;

/// The points of one line.
type Points = Vec<(f64, f64)>;

/// Draws how many requests of each kind were answered within which time.
pub(crate) fn shares(path: &Path, tallies: &Tallies) -> anyhow::Result<()> {
    let lines = lines(tallies, |kind| {
        let share = |number: usize| number as f64 / SHARES as f64;
        let point = |number| {
            let within = millis(tallies.of(kind), share(number));
            (within, share(number) * 100.0)
        };
        (0..=SHARES).map(point).collect()
    });
    draw(path, |root| {
        let times = range(&lines, |point| point.0);
        let chart = ChartBuilder::on(root)
            .caption("answered within, of 100", (FONT, FONT_SIZE + 3))
            .margin(12)
            .x_label_area_size(40)
            .y_label_area_size(50)
            .build_cartesian_2d(times.log_scale(), 0.0..100.0)?;
        fill(chart, "ms", &lines, Some(SeriesLabelPosition::UpperLeft))
    })
}

/// Draws the requests per second of each kind over the day, and below it the 99th percentile of their latency.
pub(crate) fn day(path: &Path, parts: &[Tallies], part_length: Duration) -> anyhow::Result<()> {
    let mut all = Tallies::new();
    parts.iter().for_each(|part| all.merge(part));
    let hours = |number: usize| (number as f64 + 0.5) * HOURS / parts.len() as f64;
    let over_the_day = |value: &dyn Fn(&Tallies, Kind) -> f64| {
        lines(&all, |kind| {
            let points = parts.iter().enumerate();
            let points = points.map(|(number, part)| (hours(number), value(part, kind)));
            points.filter(|(_, value)| *value > 0.0).collect()
        })
    };
    let rates =
        over_the_day(&|part, kind| part.of(kind).ok_count() as f64 / part_length.as_secs_f64());
    let latencies = over_the_day(&|part, kind| millis(part.of(kind), 0.99));
    draw(path, |root| {
        let (upper, lower) = root.split_vertically(SIZE.1 / 2);
        let rate = 0.0..range(&rates, |point| point.1).end;
        let chart = ChartBuilder::on(&upper)
            .caption("requests a second", (FONT, FONT_SIZE + 3))
            .margin(8)
            .x_label_area_size(34)
            .y_label_area_size(50)
            .build_cartesian_2d(0.0..HOURS_AND_LABELS, rate)?;
        fill(chart, "", &rates, Some(SeriesLabelPosition::UpperRight))?;
        let latency = range(&latencies, |point| point.1);
        let chart = ChartBuilder::on(&lower)
            .caption("p99, ms", (FONT, FONT_SIZE + 3))
            .margin(8)
            .x_label_area_size(34)
            .y_label_area_size(50)
            .build_cartesian_2d(0.0..HOURS_AND_LABELS, latency.log_scale())?;
        fill(chart, "hour", &latencies, None)
    })
}

/// A line for each kind that occurred.
fn lines(all: &Tallies, points: impl Fn(Kind) -> Points) -> Vec<(Kind, Points)> {
    let kinds = Kind::iter().filter(|kind| all.of(*kind).ok_count() > 0);
    kinds.map(|kind| (kind, points(kind))).collect()
}

/// From the smallest to the largest of all points, above zero for a logarithmic axis.
fn range(lines: &[(Kind, Points)], value: impl Fn(&(f64, f64)) -> f64) -> Range<f64> {
    let values = || lines.iter().flat_map(|(_, points)| points).map(&value);
    let least = values().fold(f64::INFINITY, f64::min).max(0.01);
    let most = values().fold(0.0, f64::max);
    least * 0.9..most.max(least) * 1.1
}

type Canvas<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;

fn draw(path: &Path, content: impl Fn(&Canvas<'_>) -> anyhow::Result<()>) -> anyhow::Result<()> {
    let draw = || {
        let root = SVGBackend::new(path, SIZE).into_drawing_area();
        root.fill(&WHITE)?;
        content(&root)?;
        root.present()?;
        Ok::<_, Error>(())
    };
    draw().with_context(|| format!("{} cannot be drawn", path.display()))
}

fn fill<'a, X, Y>(
    mut chart: ChartContext<'a, SVGBackend<'a>, Cartesian2d<X, Y>>,
    unit: &str,
    lines: &[(Kind, Points)],
    labels: Option<SeriesLabelPosition>,
) -> anyhow::Result<()>
where
    X: Ranged<ValueType = f64> + ValueFormatter<f64> + AsRangedCoord,
    Y: Ranged<ValueType = f64> + ValueFormatter<f64>,
{
    let mesh = &mut chart.configure_mesh();
    mesh.x_desc(unit)
        .max_light_lines(0)
        .label_style((FONT, FONT_SIZE - 2))
        .bold_line_style(BLACK.mix(0.12))
        .draw()?;
    for ((kind, points), colour) in lines.iter().zip(COLOURS) {
        chart
            .draw_series(LineSeries::new(
                points.iter().copied(),
                colour.stroke_width(2),
            ))?
            .label(kind.name())
            .legend(move |(x, y)| {
                PathElement::new(vec![(x, y), (x + 16, y)], colour.stroke_width(2))
            });
    }
    let Some(position) = labels else {
        return Ok(());
    };
    chart
        .configure_series_labels()
        .position(position)
        .background_style(WHITE.mix(0.8))
        .label_font((FONT, FONT_SIZE - 2))
        .draw()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plots_have_a_line_of_each_kind_that_there_was_and_are_small() {
        let mut part = Tallies::new();
        for millis in 1..500 {
            part.add(Kind::Put, Duration::from_millis(millis), Ok(()));
            part.add(Kind::Dns, Duration::from_micros(millis), Ok(()));
        }
        let dir = tempfile::tempdir().unwrap();
        let (one, other) = (dir.path().join("restart.svg"), dir.path().join("day.svg"));
        shares(&one, &part).unwrap();
        day(&other, &vec![part; 48], Duration::from_secs(1)).unwrap();
        for path in [one, other] {
            let svg = std::fs::read_to_string(path).unwrap();
            assert!(svg.contains("PUT") && svg.contains("DNS over UDP"));
            assert!(!svg.contains("GET"));
            assert!(svg.len() < 60_000, "{}", svg.len());
        }
    }
}
