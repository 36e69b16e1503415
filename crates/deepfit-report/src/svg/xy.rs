//! Lines, points and columns on two axes.

use std::fmt::Write;

use maud::{Markup, html};

use super::style::{DASHES, LOOKS};
use super::{Drawn, LETTER, LINE, WIDTH, fitted, number};
use crate::clean::clean;
use crate::plot::{Mark, Series, Xy};

const LEFT: f64 = 58.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 10.0;
const HEIGHT: f64 = 240.0;
/// With more points than this they are dots: shapes would cover each other.
const SHAPES: usize = 600;

/// A place in the plot.
struct Frame<'a> {
    xy: &'a Xy,
}

impl Frame<'_> {
    /// Where a point is drawn; nothing of what the axes cannot show.
    fn at(&self, [x, y]: [f64; 2]) -> Option<(f64, f64)> {
        let (x, y) = (self.xy.x.share(x)?, self.xy.y.share(y)?);
        // A value that is far outside stays at the edge.
        let (x, y) = (x.clamp(-0.02, 1.02), y.clamp(-0.02, 1.02));
        Some((LEFT + x * (WIDTH - LEFT - RIGHT), TOP + (1.0 - y) * HEIGHT))
    }
}

pub(super) fn draw(xy: &Xy) -> Drawn {
    let frame = Frame { xy };
    let (right, bottom) = (WIDTH - RIGHT, TOP + HEIGHT);
    let at_x = |value: f64| LEFT + xy.x.share(value).unwrap_or(0.0) * (right - LEFT);
    let at_y = |value: f64| bottom - xy.y.share(value).unwrap_or(0.0) * HEIGHT;
    let (legend, below) = legend(&xy.series, bottom + 56.0);
    let body = html! {
        @for (value, label) in xy.y.ticks(5) {
            line class="grid" x1=(number(LEFT)) x2=(number(right)) y1=(number(at_y(value))) y2=(number(at_y(value))) {}
            text x=(number(LEFT - 6.0)) y=(number(at_y(value) + 4.0)) text-anchor="end" { (label) }
        }
        @for (value, label) in xy.x.ticks(6) {
            line class="grid" x1=(number(at_x(value))) x2=(number(at_x(value))) y1=(number(TOP)) y2=(number(bottom)) {}
            text x=(number(at_x(value))) y=(number(bottom + 16.0)) text-anchor="middle" { (label) }
        }
        path class="axis" fill="none" d=(format!("M{} {}V{}H{}", number(LEFT), number(TOP), number(bottom), number(right))) {}
        text x=(number((LEFT + right) / 2.0)) y=(number(bottom + 34.0)) text-anchor="middle" { (fitted(&xy.x.label, right - LEFT)) }
        text transform=(format!("translate(12 {}) rotate(-90)", number((TOP + bottom) / 2.0))) text-anchor="middle" {
            (fitted(&xy.y.label, HEIGHT))
        }
        @for series in &xy.series { (one(&frame, series)) }
        (legend)
    };
    Drawn { width: WIDTH, height: below, body }
}

fn one(frame: &Frame<'_>, series: &Series) -> Markup {
    let look = series.look % LOOKS;
    match series.mark {
        Mark::Line => html! {
            path class={ "s" (look) } fill="none" stroke-width="2" stroke-linejoin="round"
                stroke-dasharray=[Some(DASHES[look]).filter(|dash| !dash.is_empty())] d=(through(frame, &series.points)) {}
        },
        Mark::Faint => html! {
            path class={ "s" (look) } fill="none" stroke-width="1" stroke-opacity="0.45" d=(through(frame, &series.points)) {}
        },
        Mark::Guide => html! {
            path class="guide" fill="none" stroke-width="1.2" stroke-dasharray="4 4" d=(through(frame, &series.points)) {}
        },
        Mark::Columns(width) => html! {
            path class={ "f" (look) } fill-opacity="0.85" d=(columns(frame, series, width)) {}
        },
        Mark::Points => html! {
            @if !series.intervals.is_empty() {
                path class={ "s" (look) } fill="none" stroke-width="1.4" d=(whiskers(frame, series)) {}
            }
            @if series.points.len() > SHAPES {
                path class={ "s" (look) } fill="none" stroke-width="3.2" stroke-linecap="round" stroke-opacity="0.45"
                    d=(dots(frame, series)) {}
            } @else {
                path class={ "s" (look) " f" (look) } fill-opacity="0.55" stroke-width="1" d=(shapes(frame, series)) {}
            }
        },
    }
}

/// A line through points; where some are missing it begins again.
fn through(frame: &Frame<'_>, points: &[[f64; 2]]) -> String {
    let (mut path, mut open) = (String::new(), false);
    for &point in points {
        let Some((x, y)) = frame.at(point) else {
            open = false;
            continue;
        };
        let _ = write!(path, "{}{} {}", if open { "L" } else { "M" }, number(x), number(y));
        open = true;
    }
    // A line through one point is a dot.
    if points.len() == 1 && open {
        path.push_str("h0.1");
    }
    path
}

fn columns(frame: &Frame<'_>, series: &Series, width: f64) -> String {
    let mut path = String::new();
    let floor = frame.xy.y.range[0].max(0.0);
    for &[x, y] in &series.points {
        let corners = (frame.at([x - width / 2.0, y]), frame.at([x + width / 2.0, floor]));
        let (Some((left, top)), Some((right, bottom))) = corners else { continue };
        let space = (0.06 * (right - left)).min(1.0);
        let _ = write!(
            path,
            "M{} {}H{}V{}H{}z",
            number(left + space),
            number(bottom),
            number(right - space),
            number(top),
            number(left + space)
        );
    }
    path
}

fn whiskers(frame: &Frame<'_>, series: &Series) -> String {
    let mut path = String::new();
    for (&[x, _], &[low, high]) in series.points.iter().zip(&series.intervals) {
        let (Some((x, low)), Some((_, high))) = (frame.at([x, low]), frame.at([x, high])) else { continue };
        let _ = write!(path, "M{} {}h6m-3 0V{}m-3 0h6", number(x - 3.0), number(low), number(high));
    }
    path
}

fn dots(frame: &Frame<'_>, series: &Series) -> String {
    let mut path = String::new();
    for (x, y) in series.points.iter().filter_map(|&point| frame.at(point)) {
        let _ = write!(path, "M{} {}h0", number(x), number(y));
    }
    path
}

fn shapes(frame: &Frame<'_>, series: &Series) -> String {
    let mut path = String::new();
    for (x, y) in series.points.iter().filter_map(|&point| frame.at(point)) {
        path.push_str(&shape(series.look, x, y));
    }
    path
}

/// One of several shapes around a place.
pub(super) fn shape(look: usize, x: f64, y: f64) -> String {
    let from = |dx: f64, dy: f64| format!("M{} {}", number(x + dx), number(y + dy));
    match look % LOOKS {
        0 => from(-3.0, 0.0) + "a3 3 0 1 0 6 0a3 3 0 1 0 -6 0z",
        1 => from(-2.8, -2.8) + "h5.6v5.6h-5.6z",
        2 => from(0.0, -3.6) + "l3.6 6.4h-7.2z",
        3 => from(0.0, -4.0) + "l4 4l-4 4l-4 -4z",
        4 => from(-3.0, -3.0) + "l6 6m0 -6l-6 6",
        5 => from(-4.0, 0.0) + "h8m-4 -4v8",
        _ => from(0.0, 3.6) + "l3.6 -6.4h-7.2z",
    }
}

/// What the series are, in lines below the plot; with the end of the last of them.
fn legend(series: &[Series], top: f64) -> (Markup, f64) {
    let named: Vec<&Series> = series.iter().filter(|series| !series.name.is_empty()).collect();
    let (mut x, mut y) = (LEFT, top);
    let mut places = Vec::new();
    for one in &named {
        let name = fitted(&one.name, WIDTH - LEFT - 40.0);
        let width = 34.0 + LETTER * name.chars().count() as f64;
        if x > LEFT && x + width > WIDTH {
            (x, y) = (LEFT, y + LINE);
        }
        places.push((x, y, name));
        x += width + 8.0;
    }
    let end = if named.is_empty() { top - 6.0 } else { y + 10.0 };
    let body = html! {
        @for (one, (x, y, name)) in named.iter().zip(&places) {
            (sample(one, *x, *y))
            text x=(number(x + 28.0)) y=(number(*y)) { (clean(name)) }
        }
    };
    (body, end)
}

fn sample(series: &Series, x: f64, y: f64) -> Markup {
    let look = series.look % LOOKS;
    let line = format!("M{} {}h22", number(x), number(y - 4.0));
    match series.mark {
        Mark::Line => html! {
            path class={ "s" (look) } fill="none" stroke-width="2"
                stroke-dasharray=[Some(DASHES[look]).filter(|dash| !dash.is_empty())] d=(line) {}
        },
        Mark::Faint => {
            html! { path class={ "s" (look) } fill="none" stroke-width="1" stroke-opacity="0.45" d=(line) {} }
        }
        Mark::Guide => html! { path class="guide" fill="none" stroke-width="1.2" stroke-dasharray="4 4" d=(line) {} },
        Mark::Columns(_) => html! {
            path class={ "f" (look) } fill-opacity="0.85" d=(format!("M{} {}h12v10h-12z", number(x + 5.0), number(y - 9.0))) {}
        },
        Mark::Points => html! {
            path class={ "s" (look) " f" (look) } fill-opacity="0.55" d=(shape(series.look, x + 11.0, y - 4.0)) {}
        },
    }
}
