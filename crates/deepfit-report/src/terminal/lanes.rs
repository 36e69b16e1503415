//! Named things, a row each, with a place on each of several axes, in characters.

use deepfit_train::text::{Style, words};

use super::NAME;
use crate::plot::{Axis, LaneCell, Lanes, Panel, Sign};

/// Least characters of the first axis, and of the others.
const FIRST: usize = 8;
const OTHERS: usize = 4;
/// Most characters of the first axis.
const MOST: usize = 30;

/// A line for each row: its name, and for each axis where it stands and what is written beside that.
pub(super) fn text(lanes: &Lanes, width: usize, style: Style) -> String {
    let names: Vec<String> = lanes.names.iter().map(|name| words::shortened(&words::printable(name), NAME)).collect();
    let left = names.iter().map(|name| name.chars().count()).max().unwrap_or(0);
    // What is written has its unit, which the name of an axis ends with.
    let label = |panel: &Panel| words::printable(panel.axis.label.split(',').next().unwrap_or_default());
    let shown = |panel: &Panel| {
        let cells = panel.cells.iter().map(|cell| cell.shown.chars().count());
        cells.chain([label(panel).chars().count()]).max().unwrap_or(0)
    };
    let written: Vec<usize> = lanes.panels.iter().map(shown).collect();
    // Each axis has two spaces before it, and one before what is written.
    let taken = left + 4 + written.iter().map(|width| width + 3).sum::<usize>();
    let free = width.saturating_sub(taken);
    let count = lanes.panels.len();
    // Where there is no place for all axes, the first is drawn, and of the others it is written.
    let others = match free / (count + 2).max(1) {
        each if count > 1 && each >= OTHERS => each,
        _ => 0,
    };
    let first = free.saturating_sub(others * count.saturating_sub(1)).clamp(FIRST, MOST);
    let columns = |at: usize| if at == 0 { first } else { others };

    let mut lines = vec![" ".repeat(left + 4)];
    for (at, panel) in lanes.panels.iter().enumerate() {
        let wide = columns(at) + usize::from(columns(at) > 0) + written[at];
        lines[0].push_str(&format!("  {:wide$}", label(panel)));
    }
    for (row, name) in names.iter().enumerate() {
        let marked = lanes.marked == Some(row);
        let mut line = format!("  {} {name:left$}", if marked { '*' } else { ' ' });
        for (at, panel) in lanes.panels.iter().enumerate() {
            let Some(cell) = panel.cells.get(row) else { continue };
            let wide = written[at];
            line.push_str("  ");
            if columns(at) > 0 {
                line.push_str(&drawn(&panel.axis, cell, columns(at), marked));
                line.push(' ');
            }
            line.push_str(&format!("{:<wide$}", words::printable(&cell.shown)));
        }
        lines.push(if marked { style.bold(line.trim_end()) } else { line });
    }
    let signs: Vec<String> = lanes
        .key
        .iter()
        .map(|(sign, meaning)| match sign {
            Sign::Point => format!("{} {meaning}", point(false)),
            Sign::Marked => format!("{} {meaning}", point(true)),
            Sign::Second => format!("│ {meaning}"),
        })
        .collect();
    lines.extend(words::wrapped(&signs, width.saturating_sub(2)).into_iter().map(|line| format!("  {line}")));
    lines.iter().map(|line| format!("{}\n", line.trim_end())).collect()
}

fn point(marked: bool) -> char {
    if marked { '◆' } else { '●' }
}

/// Where a row stands on an axis of so many characters.
fn drawn(axis: &Axis, cell: &LaneCell, columns: usize, marked: bool) -> String {
    let place = |value: f64| Some((axis.share(value)?.clamp(0.0, 1.0) * (columns - 1) as f64).round() as usize);
    let mut lane = vec![' '; columns];
    if let Some((low, high)) = cell.interval.and_then(|[low, high]| Some((place(low)?, place(high)?))) {
        lane[low..=high.max(low)].fill('─');
        if low < high {
            (lane[low], lane[high]) = ('├', '┤');
        }
    }
    for (value, sign) in [(cell.second, '│'), (cell.point, point(marked))] {
        if let Some(at) = value.and_then(place) {
            lane[at] = sign;
        }
    }
    lane.into_iter().collect()
}
