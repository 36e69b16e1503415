//! Named things, a row each, with a place on each of several axes side by side.

use maud::{Markup, html};

use super::xy::shape;
use super::{Drawn, LETTER, LINE, fitted, number};
use crate::clean::clean;
use crate::plot::{LaneCell, Lanes, Panel, Sign};

/// The width of names, and of the first axis, which is looked at first.
const NAMES: f64 = 236.0;
const FIRST: f64 = 256.0;
/// The width of each other axis.
const OTHER: f64 = 132.0;
/// Between axes, and beside a point for what is written there.
const GAP: f64 = 10.0;
const ROOM: f64 = 58.0;
const ROW: f64 = 26.0;
const TOP: f64 = 26.0;
/// Looks of points, and of the one that stands out: another colour and another shape.
const PLAIN: usize = 0;
const MARKED: usize = 3;
const MARKED_COLOUR: usize = 1;

/// Where an axis lies.
struct Place<'a> {
    panel: &'a Panel,
    left: f64,
    width: f64,
    is_first: bool,
}

impl Place<'_> {
    /// Where a value is drawn; one that the axis does not reach stays at its end.
    fn at(&self, value: f64) -> Option<f64> {
        Some(self.left + self.panel.axis.share(value)?.clamp(-0.02, 1.02) * (self.width - ROOM))
    }
}

pub(super) fn draw(lanes: &Lanes) -> Drawn {
    let full = NAMES + FIRST + lanes.panels.len().saturating_sub(1) as f64 * (OTHER + GAP);
    let places: Vec<Place<'_>> = lanes
        .panels
        .iter()
        .enumerate()
        .map(|(at, panel)| match at {
            0 => Place { panel, left: NAMES, width: FIRST, is_first: true },
            _ => {
                let left = NAMES + FIRST + GAP + (at - 1) as f64 * (OTHER + GAP);
                Place { panel, left, width: OTHER, is_first: false }
            }
        })
        .collect();
    let bottom = TOP + ROW * lanes.names.len() as f64;
    let middle = |row: usize| TOP + ROW * (row as f64 + 0.5);
    let (key, below) = key(lanes, full, bottom + 42.0);
    let body = html! {
        @if let Some(row) = lanes.marked {
            rect class={ "f" (MARKED_COLOUR) } fill-opacity="0.14" x="0" y=(number(TOP + ROW * row as f64))
                width=(number(full)) height=(number(ROW)) {}
        }
        @for place in &places { (frame(place, bottom)) }
        @for (row, name) in lanes.names.iter().enumerate() {
            text x=(number(NAMES - 12.0)) y=(number(middle(row) + 4.0)) text-anchor="end" { (fitted(name, NAMES - 12.0)) }
            @for place in &places {
                @if let Some(cell) = place.panel.cells.get(row) {
                    (lane(place, cell, middle(row), lanes.marked == Some(row)))
                }
            }
        }
        (key)
    };
    Drawn { width: full, height: below, body }
}

/// An axis without what stands on it.
fn frame(place: &Place<'_>, bottom: f64) -> Markup {
    let ticks = place.panel.axis.ticks(if place.is_first { 5 } else { 2 });
    html! {
        text x=(number(place.left)) y=(number(TOP - 10.0)) { (fitted(&place.panel.axis.label, place.width)) }
        @for (value, label) in ticks {
            @if let Some(x) = place.at(value) {
                line class="grid" x1=(number(x)) x2=(number(x)) y1=(number(TOP)) y2=(number(bottom)) {}
                text class="small" x=(number(x)) y=(number(bottom + 13.0)) text-anchor="middle" { (label) }
            }
        }
        line class="axis" x1=(number(place.left)) x2=(number(place.left + place.width - ROOM)) y1=(number(bottom))
            y2=(number(bottom)) {}
    }
}

/// What a row has on an axis.
fn lane(place: &Place<'_>, cell: &LaneCell, y: f64, marked: bool) -> Markup {
    let point = cell.point.and_then(|value| place.at(value));
    let ends = cell.interval.and_then(|[low, high]| Some((place.at(low)?, place.at(high)?)));
    let second = cell.second.and_then(|value| place.at(value));
    let end = [point, ends.map(|(_, high)| high), second].into_iter().flatten().fold(place.left, f64::max);
    let colour = if marked { MARKED_COLOUR } else { PLAIN };
    html! {
        @if let Some((low, high)) = ends {
            path class={ "s" (colour) } fill="none" stroke-width="1.6"
                d=(format!("M{} {}v8M{} {}H{}M{} {}v8", number(low), number(y - 4.0), number(low), number(y), number(high),
                    number(high), number(y - 4.0))) {}
        }
        @if let Some(x) = second { (tick(x, y)) }
        @if let Some(x) = point { (dot(x, y, marked)) }
        text class="small" x=(number(end + 8.0)) y=(number(y + 3.5)) { (clean(&cell.shown)) }
    }
}

fn dot(x: f64, y: f64, marked: bool) -> Markup {
    let (colour, look) = if marked { (MARKED_COLOUR, MARKED) } else { (PLAIN, PLAIN) };
    html! { path class={ "s" (colour) " f" (colour) } stroke-width="1.4" d=(shape(look, x, y)) {} }
}

fn tick(x: f64, y: f64) -> Markup {
    html! { path class="guide" fill="none" stroke-width="1.6" d=(format!("M{} {}v12", number(x), number(y - 6.0))) {} }
}

/// What the signs mean, in lines of at most the full width below; with the end of the last of them.
fn key(lanes: &Lanes, full: f64, top: f64) -> (Markup, f64) {
    let (mut x, mut y) = (GAP, top);
    let mut places = Vec::new();
    for (sign, meaning) in &lanes.key {
        let meaning = fitted(meaning, full - 40.0);
        let width = 20.0 + LETTER * meaning.chars().count() as f64;
        if x > GAP && x + width > full {
            (x, y) = (GAP, y + LINE);
        }
        places.push((*sign, meaning, x, y));
        x += width + 14.0;
    }
    let body = html! {
        @for (sign, meaning, x, y) in &places {
            @match sign {
                Sign::Point => (dot(x + 5.0, y - 4.0, false)),
                Sign::Marked => (dot(x + 5.0, y - 4.0, true)),
                Sign::Second => (tick(x + 5.0, y - 4.0)),
            }
            text x=(number(x + 16.0)) y=(number(*y)) { (meaning) }
        }
    };
    (body, if lanes.key.is_empty() { top - 20.0 } else { y + 10.0 })
}
