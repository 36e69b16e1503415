//! Plots in characters, for a terminal.

mod lanes;

use std::fmt::Write;

use deepfit_train::text::{Style, Table, words};

use crate::plot::{Bars, Chart, Mark, Matrix, Plot, Series, Xy};

/// Characters of a plot, without what stands beside it.
const HEIGHT: usize = 14;
const LEAST: usize = 24;
const MOST: usize = 76;
/// Longest names of bars and classes.
const NAME: usize = 28;
/// With more classes than this a matrix is too wide, and those that are confused most are listed.
const CLASSES: usize = 12;
/// Characters of points of each series, where lines are drawn in dots.
const SHAPES: [char; 7] = ['o', '#', '^', '*', 'x', '+', 'v'];

/// A plot in lines of at most about so many characters.
pub fn text(plot: &Plot, width: usize, style: Style) -> String {
    let drawn = match &plot.chart {
        Chart::Xy(xy) => of_xy(xy, width),
        Chart::Bars(bars) => of_bars(bars, width),
        Chart::Matrix(matrix) => of_matrix(matrix, style),
        Chart::Lanes(lanes) => lanes::text(lanes, width, style),
        Chart::Several(several) => several.iter().map(|xy| of_xy(xy, width)).collect::<Vec<_>>().join("\n"),
    };
    format!(
        "{}\n{drawn}{}\n",
        style.bold(&words::printable(&plot.title)),
        indented(&words::printable(&plot.finding), width, style)
    )
}

/// A text in lines that fit.
fn indented(text: &str, width: usize, style: Style) -> String {
    let (width, mut lines) = (width.clamp(LEAST, 100), vec![String::new()]);
    for word in text.split_whitespace() {
        let last = lines.last_mut().map_or(0, |line| line.chars().count());
        if last > 0 && last + 1 + word.chars().count() > width - 2 {
            lines.push(String::new());
        }
        if let Some(line) = lines.last_mut() {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines.iter().map(|line| format!("  {}\n", style.dim(line))).collect()
}

/// Places of two by four dots in each character.
struct Dots {
    columns: usize,
    /// Bits of the dots of each character, as Unicode numbers them from U+2800.
    bits: Vec<u8>,
    /// Characters that stand in place of dots.
    over: Vec<Option<char>>,
}

impl Dots {
    fn new(columns: usize) -> Dots {
        Dots { columns, bits: vec![0; columns * HEIGHT], over: vec![None; columns * HEIGHT] }
    }

    /// The dot at a place, each from 0 to 1; what lies outside is left out.
    fn dot(&mut self, x: f64, y: f64) {
        if !(0.0..=1.0).contains(&x) || !(0.0..=1.0).contains(&y) {
            return;
        }
        let column = (x * (2 * self.columns - 1) as f64).round() as usize;
        let row = ((1.0 - y) * (4 * HEIGHT - 1) as f64).round() as usize;
        const BITS: [[u8; 2]; 4] = [[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]];
        self.bits[row / 4 * self.columns + column / 2] |= BITS[row % 4][column % 2];
    }

    fn put(&mut self, x: f64, y: f64, shape: char) {
        if (0.0..=1.0).contains(&x) && (0.0..=1.0).contains(&y) {
            let column = (x * (self.columns - 1) as f64).round() as usize;
            let row = ((1.0 - y) * (HEIGHT - 1) as f64).round() as usize;
            self.over[row * self.columns + column] = Some(shape);
        }
    }

    fn line(&mut self, from: (f64, f64), to: (f64, f64), dashed: bool) {
        let steps =
            ((to.0 - from.0).abs() * 2.0 * self.columns as f64).max((to.1 - from.1).abs() * 4.0 * HEIGHT as f64);
        let steps = steps.ceil().clamp(1.0, 4000.0) as usize;
        for step in (0..=steps).filter(|step| !dashed || step % 4 < 2) {
            let share = step as f64 / steps as f64;
            self.dot(from.0 + share * (to.0 - from.0), from.1 + share * (to.1 - from.1));
        }
    }

    fn row(&self, row: usize) -> String {
        let each = row * self.columns..(row + 1) * self.columns;
        each.map(|at| match (self.over[at], self.bits[at]) {
            (Some(shape), _) => shape,
            (None, 0) => ' ',
            (None, bits) => char::from_u32(0x2800 + u32::from(bits)).unwrap_or(' '),
        })
        .collect()
    }
}

fn of_xy(xy: &Xy, width: usize) -> String {
    let marks = xy.y.ticks(4);
    let left = marks.iter().map(|(_, label)| label.chars().count()).max().unwrap_or(0);
    let columns = width.saturating_sub(left + 5).clamp(LEAST, MOST);
    let mut dots = Dots::new(columns);
    for series in &xy.series {
        draw(&mut dots, xy, series);
    }
    let mut text = format!("  {}\n", words::printable(&xy.y.label));
    for row in 0..HEIGHT {
        let here = |value: f64| {
            let share = xy.y.share(value)?;
            Some(((1.0 - share) * (HEIGHT - 1) as f64).round() as usize)
        };
        let label = marks.iter().find(|(value, _)| here(*value) == Some(row)).map_or("", |(_, label)| label);
        let _ = writeln!(text, "  {label:>left$} │{}", dots.row(row).trim_end());
    }
    let _ = writeln!(text, "  {:left$} └{}", "", "─".repeat(columns));
    let mut below = vec![' '; columns];
    let mut free = 0;
    for (value, label) in xy.x.ticks(columns / 12) {
        let middle = (xy.x.share(value).unwrap_or(0.0) * (columns - 1) as f64) as usize;
        let begin = middle.saturating_sub(label.chars().count() / 2);
        if begin >= free && begin + label.chars().count() <= columns {
            label.chars().enumerate().for_each(|(i, c)| below[begin + i] = c);
            free = begin + label.chars().count() + 1;
        }
    }
    let _ = writeln!(text, "  {:left$}  {}", "", below.into_iter().collect::<String>().trim_end());
    let _ = writeln!(text, "  {:left$}  {}", "", words::printable(&xy.x.label));
    let named: Vec<String> = xy.series.iter().filter(|s| !s.name.is_empty()).map(sample).collect();
    if named.len() > 1 {
        for line in words::wrapped(&named, width.max(LEAST)) {
            let _ = writeln!(text, "  {line}");
        }
    }
    text
}

fn sample(series: &Series) -> String {
    let shape = match series.mark {
        Mark::Guide => "┄".to_string(),
        Mark::Columns(_) => "█".to_string(),
        _ => SHAPES[series.look % SHAPES.len()].to_string(),
    };
    format!("{shape} {}", words::printable(&series.name))
}

fn draw(dots: &mut Dots, xy: &Xy, series: &Series) {
    let at = |[x, y]: [f64; 2]| Some((xy.x.share(x)?, xy.y.share(y)?));
    match series.mark {
        Mark::Points => {
            let many = series.points.len() > 200;
            for (x, y) in series.points.iter().filter_map(|&point| at(point)) {
                if many { dots.dot(x, y) } else { dots.put(x, y, SHAPES[series.look % SHAPES.len()]) }
            }
        }
        Mark::Columns(width) => {
            for &[x, y] in &series.points {
                let corners = (at([x - width / 2.0, y]), at([x + width / 2.0, xy.y.range[0].max(0.0)]));
                let (Some((left, top)), Some((right, bottom))) = corners else { continue };
                let steps = ((right - left) * 2.0 * dots.columns as f64).ceil().max(1.0) as usize;
                for step in 0..steps {
                    let x = left + (right - left) * (step as f64 + 0.5) / steps as f64;
                    dots.line((x, bottom), (x, top), false);
                }
            }
        }
        Mark::Line | Mark::Faint | Mark::Guide => {
            let places: Vec<(f64, f64)> = series.points.iter().filter_map(|&point| at(point)).collect();
            for pair in places.windows(2) {
                dots.line(pair[0], pair[1], series.mark == Mark::Guide);
            }
            // Lines are told apart by a shape here and there.
            if series.mark == Mark::Line && !series.name.is_empty() {
                let step = places.len().div_ceil(5).max(1);
                let shape = SHAPES[series.look % SHAPES.len()];
                places.iter().step_by(step).chain(places.last()).for_each(|&(x, y)| dots.put(x, y, shape));
            }
        }
    }
}

fn of_bars(bars: &Bars, width: usize) -> String {
    let names: Vec<String> =
        bars.bars.iter().map(|(name, _)| words::shortened(&words::printable(name), NAME)).collect();
    let left = names.iter().map(|name| name.chars().count()).max().unwrap_or(0);
    let columns = width.saturating_sub(left + 16).clamp(8, 50);
    let most = bars.bars.iter().map(|(_, value)| value.abs()).fold(bars.most.max(f64::MIN_POSITIVE), f64::max);
    let mut text = format!("  {}\n", words::printable(&bars.label));
    for (name, (_, value)) in names.iter().zip(&bars.bars) {
        let eighths = (value.abs() / most * (8 * columns) as f64).round() as usize;
        let rest = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"][eighths % 8];
        let space = left - name.chars().count();
        let _ =
            writeln!(text, "  {}{name} {}{rest} {}", " ".repeat(space), "█".repeat(eighths / 8), words::number(*value));
    }
    text
}

fn of_matrix(matrix: &Matrix, style: Style) -> String {
    let name = |at: usize| words::shortened(&matrix.names[at], 12);
    if matrix.names.len() > CLASSES {
        let mut wrong: Vec<(u64, usize, usize)> = Vec::new();
        for (row, counts) in matrix.counts.iter().enumerate() {
            wrong.extend(counts.iter().enumerate().filter(|&(c, &n)| c != row && n > 0).map(|(c, &n)| (n, row, c)));
        }
        wrong.sort_by_key(|&(count, row, column)| (std::cmp::Reverse(count), row, column));
        let mut table = Table::new(2, &["true", "predicted", "times"]);
        wrong.iter().take(12).for_each(|&(n, r, c)| table.row(vec![name(r), name(c), words::count(n)]));
        return table.render(style);
    }
    let names: Vec<String> = (0..matrix.names.len()).map(|at| words::printable(&name(at))).collect();
    let header: Vec<&str> = ["true \\ predicted"].into_iter().chain(names.iter().map(String::as_str)).collect();
    let mut table = Table::new(1, &header);
    for (row, counts) in matrix.counts.iter().enumerate() {
        let cells = counts.iter().map(|&n| if n == 0 { "·".to_string() } else { words::count(n) });
        table.row([names[row].clone()].into_iter().chain(cells).collect());
    }
    table.render(style)
}
