//! Explanations for a terminal, as JSON, and as pages.

use std::fmt::Write as _;
use std::io::{self, Write};

use deepfit_explain::{Attributions, Curves, Explanation, Map, Shown};
use deepfit_train::PredictionValue;
use deepfit_train::text::{Style, Table, words};

/// Columns of a table that are shown; the others are summed up in one line.
const SHOWN: usize = 12;
/// Most characters of a map, which are about twice as high as wide.
const MAP_COLUMNS: usize = 28;

/// Writes explanations to `out`.
pub struct Writer<W: Write> {
    json: bool,
    out: W,
    style: Style,
    written: u64,
}

impl<W: Write> Writer<W> {
    /// A writer of nothing so far.
    pub fn new(json: bool, out: W, style: Style) -> Writer<W> {
        Writer { json, out, style, written: 0 }
    }

    /// Writes one.
    ///
    /// # Errors
    /// If `out` does not take it.
    pub fn write(&mut self, explanation: &Explanation) -> io::Result<()> {
        if self.json {
            self.out.write_all(if self.written == 0 { b"[\n" } else { b",\n" })?;
            serde_json::to_writer(&mut self.out, explanation)?;
        } else {
            let gap = if self.written == 0 { "" } else { "\n" };
            write!(self.out, "{gap}{}", text(explanation, self.style))?;
            // One takes a while: it is shown when it is there.
            self.out.flush()?;
        }
        self.written += 1;
        Ok(())
    }

    /// Ends the output.
    ///
    /// # Errors
    /// If `out` does not take it.
    pub fn finish(mut self) -> io::Result<()> {
        if self.json {
            self.out.write_all(if self.written == 0 { b"[]\n" } else { b"\n]\n" })?;
        }
        self.out.flush()
    }

    /// Shows what has come so far and leaves an array open, so that nobody takes a part for the whole.
    ///
    /// # Errors
    /// If `out` does not take it.
    pub fn abandon(mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// What was predicted and what is explained, in a line.
fn heading(explanation: &Explanation) -> String {
    let predicted = match &explanation.prediction {
        Some(PredictionValue::Class(class)) => class.clone(),
        Some(PredictionValue::Labels(labels)) if labels.is_empty() => "no label".to_string(),
        Some(PredictionValue::Labels(labels)) => labels.join(", "),
        Some(PredictionValue::Value(value)) => words::number(*value),
        // Of labels, single words are explained.
        Some(PredictionValue::Entities(_)) => String::new(),
        None => match explanation.details.metric {
            Some((metric, value)) => format!("{metric} {}", words::number(value)),
            None => String::new(),
        },
    };
    let of = match &explanation.class {
        Some((class, probability)) if *class == predicted => format!(" ({probability:.4})"),
        // Attention is of no class, and tested by one.
        Some((class, probability)) if explanation.meaning().is_some() => format!("; of {class} ({probability:.4})"),
        Some((class, probability)) => format!("; why {class} ({probability:.4})"),
        None => String::new(),
    };
    let layer = explanation.details.layer.as_ref().map_or(String::new(), |layer| format!(" of {layer}"));
    let word = explanation.details.of.as_ref().map_or(String::new(), |word| format!(", '{word}'"));
    words::printable(&format!("{}{word}: {predicted}{of}, by {}{layer}", explanation.input, explanation.method))
}

/// How it did when it was tested.
fn test(explanation: &Explanation) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(test) = &explanation.faithfulness {
        let (own, number) = (&test.curves, words::number);
        let tested = explanation.tested().unwrap_or_default();
        // Where there is no other order, there is no mean of others.
        let random = |of: &dyn Fn(&Curves) -> Option<f64>| {
            let found = test.random.as_ref().and_then(of);
            found.map_or(String::new(), |value| format!(" (random {})", number(value)))
        };
        let deletion = random(&|curves| Some(curves.deletion));
        // Of a change, the class that is left.
        let left = match &explanation.prediction {
            Some(PredictionValue::Class(class)) => words::printable(class),
            _ => "what is predicted".to_string(),
        };
        lines.push(match own.insertion {
            Some(insertion) => format!(
                "deletion {}{deletion}, insertion {}{}: {tested}",
                number(own.deletion),
                number(insertion),
                random(&|curves| curves.insertion),
            ),
            None => match &test.random {
                Some(random) if test.tells => format!(
                    "probability of {left} then {}; after random changes of as many other columns {}",
                    number(own.deletion),
                    number(random.deletion)
                ),
                _ => format!("probability of {left} then {}: {tested}", number(own.deletion)),
            },
        });
    }
    if let Some(error) = explanation.completeness_error {
        lines.push(format!("completeness error {} of the {}", words::number(error), explanation.unit));
    }
    lines
}

/// What else is told: what the numbers mean, a change that would be enough, where the sum begins.
fn remarks(explanation: &Explanation) -> Vec<String> {
    let details = &explanation.details;
    let mut lines: Vec<String> = explanation.meaning().map(str::to_string).into_iter().collect();
    if explanation.method.name() == "counterfactual" {
        lines.push(match &details.counterfactual {
            Some(found) => {
                format!("{}; probability of {} then {:.4}", found.sentence(), found.prediction, found.probability)
            }
            None if details.already.is_some() => details.already.clone().unwrap_or_default(),
            None => "no change of at most 5 columns within the known values leads to another class".to_string(),
        });
    }
    if let Some(expectation) = details.expectation {
        let drawn = details.permutations.map_or("exact".to_string(), |drawn| format!("from {drawn} orders"));
        lines.push(format!(
            "{} on average of {}; {drawn}",
            words::number(expectation),
            details.background.as_deref().unwrap_or("other rows")
        ));
    }
    lines
}

fn text(explanation: &Explanation, style: Style) -> String {
    let mut text = format!("{}\n", style.bold(&heading(explanation)));
    // As of a line of spaces.
    if explanation.attributions.is_empty() {
        text.push_str("  the text is empty: there is no word whose share could be told\n");
        return text;
    }
    match &explanation.attributions {
        Attributions::Pixels(map) => text.push_str(&drawn(map)),
        Attributions::Named(_) if !explanation.details.words.is_empty() => text.push_str(&marked(explanation, style)),
        Attributions::Named(values) if values.iter().all(|(_, value)| *value == 0.0) => {
            if explanation.method.name() != "counterfactual" {
                text.push_str("  no column counts\n");
            }
        }
        Attributions::Named(values) => text.push_str(&table(explanation, values).render(style)),
    }
    for line in remarks(explanation) {
        let _ = writeln!(text, "  {}", words::printable(&line));
    }
    for line in test(explanation) {
        let _ = writeln!(text, "  {}", style.dim(&line));
    }
    if let Some(warning) = explanation.warning() {
        let _ = writeln!(text, "  {}", style.yellow(&words::printable(&format!("warning: {warning}"))));
    }
    text
}

/// The largest size among some values, at least more than nothing.
fn largest(values: impl Iterator<Item = f64>) -> f64 {
    values.map(f64::abs).fold(f64::MIN_POSITIVE, f64::max)
}

/// A map in characters, denser where it is larger.
fn drawn(map: &Map) -> String {
    const DENSITIES: [char; 5] = ['·', '░', '▒', '▓', '█'];
    let columns = map.width.min(MAP_COLUMNS);
    let rows = (map.height * columns / map.width / 2).max(1);
    let mean = |y: usize, x: usize| {
        let (top, bottom) = (y * map.height / rows, ((y + 1) * map.height / rows).max(y * map.height / rows + 1));
        let (left, right) = (x * map.width / columns, (x + 1) * map.width / columns);
        let sum: f64 =
            (top..bottom).map(|y| map.values[y * map.width + left..y * map.width + right].iter().sum::<f64>()).sum();
        sum / ((bottom - top) * (right - left)) as f64
    };
    let means: Vec<f64> = (0..rows).flat_map(|y| (0..columns).map(move |x| (y, x))).map(|(y, x)| mean(y, x)).collect();
    let most = means.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
    let mut text = String::new();
    for row in means.chunks(columns) {
        let density = |value: &f64| DENSITIES[((value / most).clamp(0.0, 1.0) * 4.0).round() as usize];
        let _ = writeln!(text, "  {}", row.iter().map(density).collect::<String>());
    }
    text
}

/// Which of two texts words are of, if there are two.
fn which(words: &[Shown]) -> &'static str {
    match words.first().and_then(|word| word.side) {
        None => "",
        Some(0) => "first text: ",
        Some(_) => "second text: ",
    }
}

/// The words of a text, marked where there are colours; otherwise those that count most, in a table.
fn marked(explanation: &Explanation, style: Style) -> String {
    let shown = &explanation.details.words;
    let most = largest(shown.iter().map(|word| word.value));
    let paint = |word: &Shown| style.shaded(&words::printable(&word.written), word.value / most);
    let mut lines = String::new();
    for text in shown.chunk_by(|a, b| a.side == b.side) {
        let line = text.iter().map(paint).collect::<Vec<_>>().join(" ");
        let _ = writeln!(lines, "  {}{line}", which(text));
    }
    let Attributions::Named(values) = &explanation.attributions else { return lines };
    lines + &table(explanation, values).render(style)
}

fn table(explanation: &Explanation, values: &[(String, f64)]) -> Table {
    let details = &explanation.details;
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[b].1.abs().total_cmp(&values[a].1.abs()));
    if let Some((like, _)) = &details.neighbours {
        let what = like.iter().any(|one| one.shown.is_some());
        let header = ["training example", "target", "similarity"].into_iter().chain(what.then_some("what it is"));
        let mut table = Table::new(2, &header.collect::<Vec<_>>());
        for one in like {
            let row = vec![one.input.clone(), one.target.clone(), format!("{:.4}", one.similarity)];
            let shown = what.then(|| words::printable(one.shown.as_deref().unwrap_or_default()));
            table.row(row.into_iter().chain(shown).collect());
        }
        return table;
    }
    if let Some(found) = &details.counterfactual {
        let mut table = Table::new(1, &["column", "is", "would be", "rows between"]);
        for change in &found.changes {
            let share = format!("{:.0} %", 100.0 * change.distance);
            table.row(vec![change.column.clone(), change.from.to_string(), change.to.to_string(), share]);
        }
        return table;
    }
    let has_cells = details.cells.len() == values.len();
    let what = if details.words.is_empty() { "column" } else { "word" };
    // What is in the row, and what that does to what is predicted.
    let adds = format!("adds to the {}", explanation.unit);
    let header = if has_cells { vec![what, "in this row", &adds] } else { vec![what, explanation.unit] };
    let mut table = Table::new(1, &header);
    // What does not count at all need not be told; of a counterfactual that was not found, nothing.
    let told: Vec<usize> = order.into_iter().filter(|&i| values[i].1 != 0.0).collect();
    for &i in told.iter().take(SHOWN) {
        let signed = format!("{}{}", if values[i].1 > 0.0 { "+" } else { "" }, words::number(values[i].1));
        let name = words::shortened(&values[i].0, 40);
        table.row(if has_cells {
            vec![name, words::shortened(&details.cells[i], 24), signed]
        } else {
            vec![name, signed]
        });
    }
    if told.len() > SHOWN {
        let rest: f64 = told[SHOWN..].iter().map(|&i| values[i].1).sum();
        let signed = format!("{}{}", if rest > 0.0 { "+" } else { "" }, words::number(rest));
        let name = format!("{} others", told.len() - SHOWN);
        table.row(if has_cells { vec![name, String::new(), signed] } else { vec![name, signed] });
    }
    table
}

/// A page of its own with the words or columns in colours.
pub fn page(explanation: &Explanation) -> String {
    let escape = |text: &str| {
        words::printable(text).replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
    };
    let colour = |share: f64| match share {
        s if s > 0.0 => format!("rgba(220,30,40,{:.3})", 0.85 * s.min(1.0)),
        s => format!("rgba(40,90,230,{:.3})", 0.85 * -s.max(-1.0)),
    };
    let title = escape(&heading(explanation));
    let mut body = format!("<h1>{title}</h1>\n");
    let shown = &explanation.details.words;
    if !shown.is_empty() {
        let most = largest(shown.iter().map(|word| word.value));
        for text in shown.chunk_by(|a, b| a.side == b.side) {
            let _ = write!(body, "<p class=\"text\">{}", which(text));
            for word in text {
                let (style, value) = (colour(word.value / most), words::number(word.value));
                let word = escape(&word.written);
                let _ = write!(body, "<span style=\"background:{style}\" title=\"{value}\">{word}</span> ");
            }
            body.push_str("</p>\n");
        }
    }
    if let Attributions::Named(values) = &explanation.attributions {
        let most = largest(values.iter().map(|(_, value)| *value));
        let mut order: Vec<usize> = (0..values.len()).collect();
        order.sort_by(|&a, &b| values[b].1.abs().total_cmp(&values[a].1.abs()));
        body.push_str("<table>\n");
        for i in order {
            let (name, value) = &values[i];
            let cell = explanation.details.cells.get(i).filter(|_| shown.is_empty());
            let (cell, share) = (cell.map_or(String::new(), |cell| escape(cell)), value / most);
            let _ = writeln!(
                body,
                "<tr><td>{}</td><td>{cell}</td><td>{}</td><td><div style=\"width:{:.1}px;background:{}\">&nbsp;</div></td></tr>",
                escape(name),
                words::number(*value),
                240.0 * share.abs(),
                colour(share.signum())
            );
        }
        body.push_str("</table>\n");
    }
    let meaning = explanation.method.meaning().to_string();
    for line in std::iter::once(meaning).chain(remarks(explanation)).chain(test(explanation)) {
        let _ = writeln!(body, "<p>{}</p>", escape(&line));
    }
    if let Some(warning) = explanation.warning() {
        let _ = writeln!(body, "<p><strong>Warning: {}</strong></p>", escape(&warning));
    }
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>{title}</title>\n<style>\nbody {{ font: 16px/1.6 \
         sans-serif; max-width: 50em; margin: 2em auto; padding: 0 1em }}\nh1 {{ font-size: 1.2em }}\n.text span {{ padding: \
         0.1em 0.2em; border-radius: 0.2em }}\ntd {{ padding: 0 0.8em 0 0 }}\n</style>\n{body}</html>\n"
    )
}

#[cfg(test)]
mod tests {
    use deepfit_explain::{Details, Method};

    use super::*;

    #[test]
    fn a_text_without_words_is_said_to_be_empty() {
        let explanation = Explanation {
            input: "2".to_string(),
            prediction: Some(PredictionValue::Class("no".to_string())),
            class: Some(("no".to_string(), 0.5)),
            method: Method::Occlusion,
            unit: "logit",
            attributions: Attributions::Named(Vec::new()),
            faithfulness: None,
            completeness_error: None,
            details: Details::default(),
        };
        assert!(text(&explanation, Style::PLAIN).contains("the text is empty"));
    }
}
