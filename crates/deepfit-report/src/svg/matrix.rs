//! Counts by two classes: rows are shaded by their shares, so that rare classes show their mistakes, too.

use maud::html;

use super::{Drawn, LETTER, WIDTH, fitted, number};
use crate::plot::Matrix;

/// Most of the width that names take.
const NAMES: f64 = 110.0;

pub(super) fn draw(matrix: &Matrix) -> Drawn {
    let classes = matrix.names.len().max(1);
    let longest = matrix.names.iter().map(|name| name.chars().count()).max().unwrap_or(0);
    let left = (longest as f64 * LETTER + 8.0).clamp(20.0, NAMES) + 18.0;
    let cell = ((WIDTH - left - 6.0) / classes as f64).min(64.0);
    // Names of columns stand upright where they are too long.
    let upright = longest as f64 * LETTER > cell - 2.0;
    let above = 22.0 + if upright { (longest as f64 * LETTER).min(NAMES) + 6.0 } else { 18.0 };
    let size = if cell < 20.0 {
        "tiny"
    } else if cell < 28.0 {
        "small"
    } else {
        "usual"
    };
    let cells = matrix.counts.iter().enumerate().flat_map(|(row, counts)| {
        let total: u64 = counts.iter().sum();
        counts.iter().enumerate().map(move |(column, &count)| {
            let share = if total > 0 { count as f64 / total as f64 } else { 0.0 };
            (row, column, count, share)
        })
    });
    let end = above + cell * classes as f64;
    let body = html! {
        text x=(number(left + cell * classes as f64 / 2.0)) y="13" text-anchor="middle" { (matrix.columns) }
        text transform=(format!("translate(12 {}) rotate(-90)", number((above + end) / 2.0))) text-anchor="middle" {
            (matrix.rows)
        }
        @for (place, name) in matrix.names.iter().enumerate() {
            @let middle = (place as f64 + 0.5) * cell;
            text x=(number(left - 5.0)) y=(number(above + middle + 4.0)) class=(size) text-anchor="end" { (fitted(name, left - 18.0)) }
            @if upright {
                text transform=(format!("translate({} {}) rotate(-90)", number(left + middle + 4.0), number(above - 5.0)))
                    class=(size) { (fitted(name, NAMES)) }
            } @else {
                text x=(number(left + middle)) y=(number(above - 5.0)) class=(size) text-anchor="middle" { (fitted(name, cell.max(30.0))) }
            }
        }
        @for (row, column, count, share) in cells {
            @let (x, y) = (left + column as f64 * cell, above + row as f64 * cell);
            // The paper is there where nothing is counted.
            @let ink = if count > 0 { 0.12 + 0.88 * share } else { 0.0 };
            rect class={ "cell " (if row == column { "f0" } else { "f1" }) } x=(number(x)) y=(number(y)) width=(number(cell))
                height=(number(cell)) fill-opacity=(format!("{ink:.2}")) stroke-width="1" {}
            @if count > 0 {
                @let own = if row == column { "on0 " } else { "on1 " };
                text class={ (if ink > 0.55 { own } else { "" }) (size) } x=(number(x + cell / 2.0)) y=(number(y + cell / 2.0 + 4.0))
                    text-anchor="middle" { (count) }
            }
        }
    };
    Drawn { width: WIDTH, height: end + 6.0, body }
}
