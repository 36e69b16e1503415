//! Named numbers as bars.

use maud::html;

use super::{Drawn, LETTER, WIDTH, fitted, number};
use crate::plot::Bars;
use deepfit_train::text::words;

const ROW: f64 = 22.0;
/// Most of the width that names take.
const NAMES: f64 = 150.0;

pub(super) fn draw(bars: &Bars) -> Drawn {
    let longest = bars.bars.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    let left = (longest as f64 * LETTER + 10.0).clamp(40.0, NAMES);
    let values = || bars.bars.iter().map(|(_, value)| *value).filter(|value| value.is_finite());
    let (low, high) = (values().fold(0.0, f64::min), values().fold(bars.most.max(0.0), f64::max));
    let size = if high > low { high - low } else { 1.0 };
    // Space for what is written at the ends.
    let room = WIDTH - left - 64.0 - if low < 0.0 { 54.0 } else { 0.0 };
    let zero = left + if low < 0.0 { 54.0 } else { 0.0 } + room * (-low / size);
    let height = ROW * bars.bars.len() as f64 + 30.0;
    let rows = bars.bars.iter().enumerate().map(|(row, (name, value))| {
        let (y, length) = (row as f64 * ROW, room * value / size);
        let length = if length.is_finite() { length } else { 0.0 };
        (fitted(name, left), words::number(*value), y, zero + length.min(0.0), length)
    });
    let body = html! {
        @for (name, value, y, begin, length) in rows {
            text x=(number(left - 6.0)) y=(number(y + 15.0)) text-anchor="end" { (name) }
            rect class=(if length < 0.0 { "f1" } else { "f0" }) x=(number(begin)) y=(number(y + 3.0))
                width=(number(length.abs().max(0.5))) height="16" {}
            @if length < 0.0 {
                text x=(number(begin - 4.0)) y=(number(y + 15.0)) text-anchor="end" { (value) }
            } @else {
                text x=(number(begin + length + 4.0)) y=(number(y + 15.0)) { (value) }
            }
        }
        line class="axis" x1=(number(zero)) x2=(number(zero)) y1="0" y2=(number(height - 26.0)) {}
        text x=(number(WIDTH / 2.0)) y=(number(height - 8.0)) text-anchor="middle" { (fitted(&bars.label, WIDTH)) }
    };
    Drawn { width: WIDTH, height, body }
}
