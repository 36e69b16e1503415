//! A plot before it is drawn: what it shows, in numbers and in words. It is drawn as SVG, in characters, or as a table.

use deepfit_train::text::words;

/// Letters of a name beside a mark of an axis for which there is space where there is one for each mark.
const LETTERS: usize = 7;

/// A plot.
#[derive(Debug, Clone, PartialEq)]
pub struct Plot {
    /// By which it is asked for, such as `confusion`.
    pub name: &'static str,
    /// Its heading.
    pub title: String,
    /// How it is read, for people who have never seen one.
    pub reading: String,
    /// What can be seen in it, for people who cannot see it.
    pub finding: String,
    /// What is drawn.
    pub chart: Chart,
    /// The same in numbers.
    pub table: Data,
}

/// What is drawn.
#[derive(Debug, Clone, PartialEq)]
pub enum Chart {
    /// Lines, points and columns on two axes.
    Xy(Xy),
    /// Named numbers as bars.
    Bars(Bars),
    /// Counts by two classes.
    Matrix(Matrix),
    /// Several numbers of each of some named things, side by side.
    Lanes(Lanes),
    /// Several of lines, points and columns, each with a horizontal axis of its own.
    Several(Vec<Xy>),
}

/// Lines, points and columns on two axes.
#[derive(Debug, Clone, PartialEq)]
pub struct Xy {
    /// The horizontal axis.
    pub x: Axis,
    /// The vertical axis.
    pub y: Axis,
    /// What is drawn, the last on top.
    pub series: Vec<Series>,
}

/// An axis.
#[derive(Debug, Clone, PartialEq)]
pub struct Axis {
    /// What it measures, with its unit.
    pub label: String,
    /// From and to; never empty.
    pub range: [f64; 2],
    /// Whether there is nothing between whole numbers.
    pub whole: bool,
    /// Whether equal ratios are equally far apart; both ends are above 0 then.
    pub logarithmic: bool,
    /// Names that stand at 0, 1 and on in place of numbers, where it measures nothing.
    pub names: Vec<String>,
}

/// Points that belong together.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// Its name; nothing is listed without one.
    pub name: String,
    /// Its points; what is not finite is left out.
    pub points: Vec<[f64; 2]>,
    /// How they are drawn.
    pub mark: Mark,
    /// Number of its colour, dash and shape.
    pub look: usize,
    /// From and to around each point, if known.
    pub intervals: Vec<[f64; 2]>,
}

/// How points are drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Mark {
    /// A line through them.
    Line,
    /// A thin line through them, one of several of a kind.
    Faint,
    /// A dashed line that says where something would be.
    Guide,
    /// A shape at each.
    Points,
    /// A column of this width over each.
    Columns(f64),
}

/// Named numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct Bars {
    /// What the numbers are.
    pub label: String,
    /// Names and numbers, in the order in which they are drawn.
    pub bars: Vec<(String, f64)>,
    /// The longest bar that there is space for, if that is longer than all of them.
    pub most: f64,
}

/// Counts by two classes.
#[derive(Debug, Clone, PartialEq)]
pub struct Matrix {
    /// What rows are.
    pub rows: String,
    /// What columns are.
    pub columns: String,
    /// Names of the classes.
    pub names: Vec<String>,
    /// Counts by row and column.
    pub counts: Vec<Vec<u64>>,
}

/// Named things, a row each, with a place on each of several axes that stand side by side.
#[derive(Debug, Clone, PartialEq)]
pub struct Lanes {
    /// Their names, from top to bottom.
    pub names: Vec<String>,
    /// The row that stands out.
    pub marked: Option<usize>,
    /// The axes, with what each row has there.
    pub panels: Vec<Panel>,
    /// What the signs mean, those that are drawn.
    pub key: Vec<(Sign, String)>,
}

/// One of several axes that stand side by side.
#[derive(Debug, Clone, PartialEq)]
pub struct Panel {
    /// What it measures.
    pub axis: Axis,
    /// What each row has there.
    pub cells: Vec<LaneCell>,
}

/// What a row has on an axis.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LaneCell {
    /// Its place, if it is known.
    pub point: Option<f64>,
    /// From and to around it, if known.
    pub interval: Option<[f64; 2]>,
    /// Another number of it, if there is one.
    pub second: Option<f64>,
    /// What is written beside it.
    pub shown: String,
}

/// What stands at a place of a lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sign {
    /// The point of a row.
    Point,
    /// That of the row that stands out.
    Marked,
    /// The other number.
    Second,
}

/// Numbers as a table.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Data {
    /// Names of the columns.
    pub header: Vec<String>,
    /// Cells, of which the first of each row says what it is of.
    pub rows: Vec<Vec<String>>,
}

impl Axis {
    /// An axis over some values, with a little space at both ends.
    pub fn over(label: &str, values: impl Iterator<Item = f64>) -> Axis {
        let (mut from, mut to) = (f64::INFINITY, f64::NEG_INFINITY);
        for value in values.filter(|value| value.is_finite()) {
            (from, to) = (from.min(value), to.max(value));
        }
        if from > to {
            (from, to) = (0.0, 1.0);
        }
        let space = 0.04 * (to - from);
        // One value by itself stands in the middle.
        let space = if space > 0.0 { space } else { 0.5 * from.abs().max(1e-3) };
        Axis::fixed(label, from - space, to + space)
    }

    /// An axis from and to given values.
    pub fn fixed(label: &str, from: f64, to: f64) -> Axis {
        Axis { label: label.to_string(), range: [from, to], whole: false, logarithmic: false, names: Vec::new() }
    }

    /// An axis of names, one beside the other.
    pub fn named(label: &str, names: Vec<String>) -> Axis {
        Axis { names: names.clone(), ..Axis::fixed(label, -0.5, names.len() as f64 - 0.5) }
    }

    /// The same for values between which there is nothing.
    pub fn whole(self) -> Axis {
        Axis { whole: true, ..self }
    }

    /// Where a value is, from 0 to 1; nothing of values that the axis cannot show.
    pub fn share(&self, value: f64) -> Option<f64> {
        let [from, to] = self.range;
        let share = match self.logarithmic {
            true if value > 0.0 => (value / from).ln() / (to / from).ln(),
            true => return None,
            false => (value - from) / (to - from),
        };
        share.is_finite().then_some(share)
    }

    /// Values that are marked, with what stands beside them.
    pub fn ticks(&self, most: usize) -> Vec<(f64, String)> {
        let [from, to] = self.range;
        if !self.names.is_empty() {
            // Each has its share of the space of all marks.
            let letters = (most * LETTERS / self.names.len()).max(3);
            let shown = |(at, name): (usize, &String)| (at as f64, words::shortened(&words::printable(name), letters));
            return self.names.iter().enumerate().map(shown).collect();
        }
        if self.logarithmic {
            let powers = (from.log10().ceil() as i32)..=(to.log10().floor() as i32);
            let step = (powers.clone().count() / most.max(1)).max(1);
            return powers.step_by(step).map(|power| (10f64.powi(power), format!("1e{power}"))).collect();
        }
        let mut step = nice((to - from) / most.max(1) as f64);
        if self.whole {
            step = step.max(1.0);
        }
        let first = (from / step - 1e-9).ceil() as i64;
        let last = (to / step + 1e-9).floor() as i64;
        let decimals = (-step.log10().floor()).max(0.0) as usize;
        let shown = |value: f64| match value.abs() {
            size if size >= 1e6 || (size > 0.0 && size < 1e-4) => format!("{value:.1e}"),
            _ => format!("{value:.decimals$}"),
        };
        // A value of no size at all has no sign either.
        let at = |i: i64| if i == 0 { 0.0 } else { i as f64 * step };
        (first..=last).take(4 * most.max(1)).map(|i| (at(i), shown(at(i)))).collect()
    }
}

/// The next larger of 1, 2 and 5 times a power of ten.
fn nice(step: f64) -> f64 {
    let power = 10f64.powf(step.max(f64::MIN_POSITIVE).log10().floor());
    let times = step / power;
    power
        * match times {
            t if t <= 1.0 => 1.0,
            t if t <= 2.0 => 2.0,
            t if t <= 5.0 => 5.0,
            _ => 10.0,
        }
}

impl Series {
    /// Points with a name.
    pub fn new(name: &str, mark: Mark, look: usize, points: Vec<[f64; 2]>) -> Series {
        Series { name: name.to_string(), points, mark, look, intervals: Vec::new() }
    }
}

impl Data {
    /// A table with these columns.
    pub fn new(header: &[&str]) -> Data {
        Data { header: header.iter().map(|name| name.to_string()).collect(), rows: Vec::new() }
    }

    /// Appends a row.
    pub fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_inside() {
        let ticks = |from, to| Axis::fixed("", from, to).ticks(5).into_iter().map(|(_, text)| text).collect::<Vec<_>>();
        assert_eq!(ticks(0.0, 1.0), ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
        assert_eq!(ticks(-3.0, 3.0), ["-2", "0", "2"]);
        assert_eq!(ticks(0.0, 4e7), ["0", "1.0e7", "2.0e7", "3.0e7", "4.0e7"]);
        let whole: Vec<String> = Axis::fixed("", 1.0, 3.0).whole().ticks(8).into_iter().map(|t| t.1).collect();
        assert_eq!(whole, ["1", "2", "3"]);
    }

    #[test]
    fn an_axis_of_names_has_all_of_them_as_far_as_there_is_space() {
        let axis = Axis::named("town", vec!["york".to_string(), "kingston upon hull".to_string()]);
        assert_eq!(axis.share(0.0), Some(0.25));
        let ticks = axis.ticks(3);
        assert_eq!((ticks.len(), &ticks[0].1[..], ticks[1].0), (2, "york", 1.0));
        assert!(ticks[1].1.chars().count() <= 10, "{ticks:?}");
    }

    #[test]
    fn an_axis_holds_whatever_it_is_given() {
        let axis = Axis::over("", [f64::NAN, 2.0, f64::INFINITY].into_iter());
        assert!(axis.range[0] < 2.0 && axis.range[1] > 2.0 && !axis.ticks(5).is_empty());
        assert_eq!(Axis::over("", std::iter::empty()).range, [-0.04, 1.04]);
        assert!(Axis::over("", [0.0, 0.0].into_iter()).share(0.0).is_some());
        let logarithmic = Axis { logarithmic: true, ..Axis::fixed("", 1e-3, 1.0) };
        assert_eq!(logarithmic.share(0.0), None);
        assert!((logarithmic.share(1e-3).unwrap()).abs() < 1e-12);
        assert!(!Axis::fixed("", 1e300, 1e301).ticks(5).is_empty());
    }
}
