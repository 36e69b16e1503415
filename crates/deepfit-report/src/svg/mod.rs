//! Plots as SVG: text stays text, colours come from classes, and a title and a description say what it is.
//!
//! The crates that draw charts write colours and fonts into every element, or scripts, and know neither descriptions nor
//! dark pages; so the elements are made here, by the same crate that makes the page, which escapes whatever stands in them.

mod bars;
mod lanes;
mod matrix;
mod style;
mod xy;

use maud::{Markup, PreEscaped, html};

use crate::clean::clean;
use crate::plot::{Chart, Plot};

#[cfg(feature = "png")]
pub(crate) use style::light;
pub use style::{plain_rules, rules};

/// Width of plots, in their own units: a phone's; of lanes it is more.
const WIDTH: f64 = 420.0;
/// Characters have about this width.
const LETTER: f64 = 7.0;
/// Lines have this height.
const LINE: f64 = 17.0;

/// What is drawn, and how large it is.
struct Drawn {
    width: f64,
    height: f64,
    body: Markup,
}

/// A plot as an element of a page that has the [`rules`]; `id` tells it from all others of the page.
pub fn embedded(plot: &Plot, id: &str) -> Markup {
    element(plot, id, 0.0, draw(plot), None, None)
}

/// A plot as a file by itself; light alone where it is for a program that knows no dark pages.
pub fn file(plot: &Plot, light: bool) -> String {
    let drawn = draw(plot);
    let title = clean(&plot.title);
    let heading = html! { text class="title" x=(number(drawn.width / 2.0)) y="-8" text-anchor="middle" { (title) } };
    let rules = if light { plain_rules() } else { rules() };
    let whole = element(plot, plot.name, 28.0, drawn, Some(&rules), Some(heading));
    format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{}\n", whole.into_string())
}

fn element(
    plot: &Plot,
    id: &str,
    above: f64,
    Drawn { width, height, body }: Drawn,
    rules: Option<&str>,
    heading: Option<Markup>,
) -> Markup {
    let (title, finding) = (clean(&plot.title), clean(&plot.finding));
    let view = format!("0 {} {} {}", number(-above), number(width), number(height + above));
    // A program that draws a file wants to know its size; a page has its own.
    let size = rules.map(|_| (number(width), number(height + above)));
    html! {
        svg xmlns="http://www.w3.org/2000/svg" class="plot" viewBox=(view) width=[size.as_ref().map(|s| &s.0)]
            height=[size.as_ref().map(|s| &s.1)] role="img" aria-labelledby={ (id) "-title " (id) "-desc" } {
            title id={ (id) "-title" } { (title) }
            desc id={ (id) "-desc" } { (finding) }
            @if let Some(rules) = rules {
                // Made here, of nothing that was read.
                style { (PreEscaped(rules)) }
                rect class="paper" x="0" y=(number(-above)) width=(number(width)) height=(number(height + above)) {}
            }
            @if let Some(heading) = heading { (heading) }
            (body)
        }
    }
}

fn draw(plot: &Plot) -> Drawn {
    match &plot.chart {
        Chart::Xy(xy) => xy::draw(xy),
        Chart::Bars(bars) => bars::draw(bars),
        Chart::Matrix(matrix) => matrix::draw(matrix),
        Chart::Lanes(lanes) => lanes::draw(lanes),
        Chart::Several(several) => side_by_side(several.iter().map(xy::draw).collect()),
    }
}

/// Drawings in rows of two.
fn side_by_side(drawn: Vec<Drawn>) -> Drawn {
    let columns = drawn.len().clamp(1, 2);
    let height = drawn.iter().map(|one| one.height).fold(0.0, f64::max) + LINE;
    let rows = drawn.len().div_ceil(columns);
    let place = |at: usize| (WIDTH * (at % columns) as f64, height * (at / columns) as f64);
    let body = html! {
        @for (at, one) in drawn.iter().enumerate() {
            g transform=(format!("translate({} {})", number(place(at).0), number(place(at).1))) { (one.body) }
        }
    };
    Drawn { width: WIDTH * columns as f64, height: height * rows as f64, body }
}

/// A coordinate, to a tenth.
fn number(value: f64) -> String {
    let text = format!("{value:.1}");
    match text.strip_suffix(".0") {
        Some("-0") => "0".to_string(),
        Some(whole) => whole.to_string(),
        None => text,
    }
}

/// A name, cut in the middle to fit so many units.
fn fitted(name: &str, width: f64) -> String {
    deepfit_train::text::words::shortened(&clean(name), (width / LETTER).max(4.0) as usize)
}
