//! Time and memory over a size, side by side, as SVG.

use anyhow::{Result, anyhow};
use plotters::coord::Shift;
use plotters::prelude::*;

use super::{Line, Point};

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

const SIZE: (u32, u32) = (960, 400);
const FONT: &str = "sans-serif";
const COLOURS: [RGBColor; 5] = [
    RGBColor(0x1b, 0x62, 0xa5),
    RGBColor(0xc4, 0x4e, 0x1f),
    RGBColor(0x2a, 0x7f, 0x45),
    RGBColor(0x7d, 0x45, 0x9b),
    RGBColor(0x55, 0x55, 0x55),
];

/// Pixels of a name, and of a panel without its labels.
const NAME_HEIGHT: f64 = 18.0;
const HEIGHT: f64 = 330.0;

/// The picture of an axis.
///
/// # Errors
/// If it cannot be drawn.
pub fn draw(axis: &str, lines: &[Line]) -> Result<String> {
    let mut text = String::new();
    {
        let all = SVGBackend::with_string(&mut text, SIZE).into_drawing_area();
        let failed = |problem| anyhow!("the plot of {axis} cannot be drawn: {problem}");
        all.fill(&WHITE).map_err(|e| failed(e.to_string()))?;
        let (left, right) = all.split_horizontally(SIZE.0 / 2);
        panel(&left, axis, "milliseconds a step", lines, |point| point.ms).map_err(|e| failed(e.to_string()))?;
        panel(&right, axis, "MB", lines, |point| point.rss_mb).map_err(|e| failed(e.to_string()))?;
        all.present().map_err(|e| failed(e.to_string()))?;
    }
    Ok(text)
}

fn panel(
    area: &Area<'_>,
    axis: &str,
    unit: &str,
    lines: &[Line],
    figure: fn(&Point) -> f64,
) -> std::result::Result<(), Box<dyn std::error::Error>> {
    let points = || lines.iter().flat_map(|line| &line.points);
    let range = |values: &mut dyn Iterator<Item = f64>| {
        let (low, high) = values.fold((f64::MAX, f64::MIN_POSITIVE), |(low, high), v| (low.min(v), high.max(v)));
        low / 1.3..high * 1.3
    };
    let (x, mut y) = (range(&mut points().map(|p| p.size as f64)), range(&mut points().map(figure)));
    // The names of the lines stand above the highest of them.
    let names = (NAME_HEIGHT * lines.len() as f64 + 20.0) / HEIGHT;
    y.end *= (y.end / y.start).powf(names / (1.0 - names));
    let mut chart = ChartBuilder::on(area)
        .margin(14)
        .x_label_area_size(44)
        .y_label_area_size(64)
        .build_cartesian_2d(x.log_scale(), y.log_scale())?;
    chart
        .configure_mesh()
        .light_line_style(WHITE)
        .bold_line_style(BLACK.mix(0.12))
        .x_desc(axis)
        .y_desc(unit)
        .x_label_formatter(&|x| format!("{x:.0}"))
        .y_label_formatter(&|y| if is_told(*y) { format!("{y}") } else { String::new() })
        .axis_desc_style((FONT, 15))
        .label_style((FONT, 13))
        .draw()?;
    for (line, colour) in lines.iter().zip(COLOURS.iter().cycle()) {
        let places = line.points.iter().map(|point| (point.size as f64, figure(point)));
        let style = colour.stroke_width(2);
        chart
            .draw_series(LineSeries::new(places, style).point_size(4))?
            .label(line.workload.clone())
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], style));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE.mix(0.85))
        .border_style(BLACK.mix(0.3))
        .label_font((FONT, 13))
        .draw()?;
    Ok(())
}

/// Whether a number of the scale is written: 1, 2, 5, 10, 20, ...; nine for each power of ten would run into each other.
fn is_told(y: f64) -> bool {
    let digit = y / 10f64.powf(y.log10().floor());
    [1.0, 2.0, 5.0, 10.0].iter().any(|told| (digit - told).abs() < 0.01)
}
