//! The ways of a comparison: how good each is, and what it costs.

use deepfit_train::metrics::higher_is_better;
use deepfit_train::text::words;
use deepfit_train::{Comparison, WayResult};

use crate::plot::{Axis, Chart, Data, LaneCell, Lanes, Panel, Plot, Sign};

/// What takes less than this is drawn at it: a logarithm has no 0.
const LEAST_SECONDS: f64 = 1e-3;
const LEAST_MEGABYTES: f64 = 1e-3;
const LEAST_JOULES: f64 = 1e-3;
const MEGABYTE: f64 = 1e6;

/// Quality, calibration, time of training, memory, size and energy of all ways of a comparison, the best first.
pub fn ways(found: &Comparison) -> Plot {
    let mut order: Vec<&WayResult> = found.ways.iter().collect();
    let sign = if higher_is_better(&found.metric) { -1.0 } else { 1.0 };
    let worth = |way: &WayResult| held_out(way).map_or(f64::INFINITY, |value| sign * value);
    order.sort_by(|a, b| worth(a).total_cmp(&worth(b)));
    let marked = order.iter().position(|way| Some(&way.name) == found.recommended.as_ref());
    let panel = |axis: Axis, cell: &dyn Fn(&WayResult) -> LaneCell| Panel {
        axis,
        cells: order.iter().map(|way| cell(way)).collect(),
    };
    let quality = |way: &WayResult| LaneCell {
        point: way.value,
        interval: way.interval,
        second: held_out(way),
        shown: way.value.map_or_else(|| "-".to_string(), words::number),
    };
    let of_quality = order.iter().flat_map(|way| {
        let ends = way.interval.into_iter().flatten();
        way.value.into_iter().chain(held_out(way)).chain(ends)
    });
    let seconds = |way: &WayResult| way.train_seconds.max(LEAST_SECONDS);
    let memory = |way: &WayResult| way.memory_bytes as f64 / MEGABYTE;
    let size = |way: &WayResult| (way.size_bytes as f64 / MEGABYTE).max(LEAST_MEGABYTES);
    let cost = |value: f64, shown: String| LaneCell { point: Some(value), shown, ..LaneCell::default() };
    let energy = |way: &WayResult| way.energy_joules.max(LEAST_JOULES);
    let off = |way: &WayResult| way.ece.unwrap_or(0.0);
    let most_off = order.iter().map(|way| off(way)).fold(0.01, f64::max);
    let most_memory = order.iter().map(|way| memory(way)).fold(1.0, f64::max);
    let mut panels = vec![
        panel(Axis::over(&found.metric, of_quality), &quality),
        panel(logarithmic("training, s (log)", order.iter().map(|way| seconds(way))), &|way| {
            cost(seconds(way), words::duration(way.train_seconds))
        }),
        panel(Axis::fixed("memory, MB", 0.0, 1.05 * most_memory), &|way| {
            cost(memory(way), words::bytes(way.memory_bytes))
        }),
        panel(logarithmic("model, MB (log)", order.iter().map(|way| size(way))), &|way| {
            cost(size(way), words::bytes(way.size_bytes))
        }),
        panel(logarithmic("energy, J (log)", order.iter().map(|way| energy(way))), &|way| {
            cost(energy(way), format!("{} J", words::number(way.energy_joules)))
        }),
    ];
    if order.iter().any(|way| way.ece.is_some()) {
        let calibration = panel(Axis::fixed("ece, calibration", 0.0, 1.05 * most_off), &|way| LaneCell {
            point: way.ece,
            shown: way.ece.map_or_else(|| "-".to_string(), words::number),
            ..LaneCell::default()
        });
        panels.insert(1, calibration);
    }
    let mut key = vec![
        (Sign::Point, format!("{} on the test rows, with its 95 % interval", found.metric)),
        (Sign::Second, "on rows that were held out, which decide".to_string()),
    ];
    if marked.is_some() {
        key.insert(0, (Sign::Marked, "what is recommended".to_string()));
    }
    let name = found.data.file_stem().map_or_else(String::new, |name| format!(" {}", name.to_string_lossy()));
    let better = if sign < 0.0 { "right" } else { "left" };
    Plot {
        name: "compare",
        title: format!("Ways to learn{name}, by {}", found.metric),
        reading: format!(
            "Each row is a way to learn the data, the best above. The farther to the {better}, the better is its {}; a line \
             through a point says where it may be for other test rows. Beside it stands what the way costs: equal steps of a \
             scale that is marked as log are equal factors.",
            found.metric
        ),
        finding: found.reason.clone(),
        chart: Chart::Lanes(Lanes { names: order.iter().map(|way| way.title.clone()).collect(), marked, panels, key }),
        table: ways_table(found),
    }
}

/// The metric by which a way is chosen, where it is defined.
fn held_out(way: &WayResult) -> Option<f64> {
    (!way.selection_values.is_empty()).then_some(way.selection_value)
}

/// An axis on which equal ratios are equally far apart.
fn logarithmic(label: &str, values: impl Iterator<Item = f64> + Clone) -> Axis {
    let (low, high) = (values.clone().fold(f64::INFINITY, f64::min), values.fold(0.0, f64::max));
    let (low, high) = if low <= high { (low, high) } else { (1.0, 1.0) };
    Axis { logarithmic: true, ..Axis::fixed(label, low / 1.5, high * 1.5) }
}

/// All numbers of the ways of a comparison, in the order in which they ran: quality, calibration and costs.
pub fn ways_table(found: &Comparison) -> Data {
    let chosen = format!("{} held out", found.metric);
    let mut header = vec!["way", &chosen[..], "on test", "95 % interval"];
    let of_classes = found.ways.iter().any(|way| way.log_loss.is_some());
    if of_classes {
        header.extend(["log loss", "ece"]);
    }
    header.extend(["p", "train", "1000 rows", "memory", "size", "energy"]);
    let mut table = Data::new(&header);
    let number = |value: Option<f64>| value.map_or_else(|| "-".to_string(), words::number);
    let interval = |[low, high]: [f64; 2]| format!("{} to {}", words::number(low), words::number(high));
    for way in &found.ways {
        let mut cells = vec![
            way.title.clone(),
            words::number(way.selection_value),
            number(way.value),
            way.interval.map_or_else(|| "-".to_string(), interval),
        ];
        if of_classes {
            cells.extend([number(way.log_loss), number(way.ece)]);
        }
        let per_thousand = way.predict_seconds * 1000.0 / way.predict_rows.max(1) as f64;
        cells.extend([
            way.versus_recommended.map_or_else(|| "-".to_string(), |versus| format!("{:.3}", versus.p_value)),
            words::duration(way.train_seconds),
            words::duration(per_thousand),
            words::bytes(way.memory_bytes),
            words::bytes(way.size_bytes),
            format!("{} J", words::number(way.energy_joules)),
        ]);
        table.row(cells);
    }
    table
}
