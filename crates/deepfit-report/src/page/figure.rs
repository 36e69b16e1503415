//! A plot in the page: how it is read, the drawing, what can be seen, and the same in numbers.

use maud::{Markup, html};

use super::table::{Row, Table};
use crate::clean::clean;
use crate::plot::{Data, Plot};
use crate::svg;

/// A plot; `id` tells it from all others of the page.
pub(super) fn figure(plot: &Plot, id: &str) -> Markup {
    html! {
        figure class="plot-box" {
            h3 { (clean(&plot.title)) }
            p class="reading" { (clean(&plot.reading)) }
            (svg::embedded(plot, id))
            figcaption { (clean(&plot.finding)) }
            @if !plot.table.rows.is_empty() {
                details {
                    summary { "The same in numbers" span class="hidden" { ": " (clean(&plot.title)) } }
                    (table(&plot.table, &plot.title))
                }
            }
        }
    }
}

/// Columns that a phone shows side by side, and most of which it shows the rows as blocks.
const BESIDE: usize = 3;
const BLOCKS: usize = 8;

/// A table with a name. On a phone one of some columns becomes blocks, as tables of numbers with their meaning do; one of many
/// can be moved within its space.
fn table(data: &Data, name: &str) -> Markup {
    if (BESIDE + 1..=BLOCKS).contains(&data.header.len()) {
        let columns: Vec<&str> = data.header[1..].iter().map(String::as_str).collect();
        let mut table = Table::new(name, &data.header[0], &columns);
        for row in &data.rows {
            let cells = row[1..].iter().map(|cell| html! { (clean(cell)) }).collect();
            table.row(Row::new(row[0].as_str(), cells, ""));
        }
        return table.shown();
    }
    html! {
        div class="wide" role="region" tabindex="0" aria-label={ "Table: " (clean(name)) } {
            table {
                caption class="hidden" { (clean(name)) }
                thead { tr { @for cell in &data.header { th scope="col" { (clean(cell)) } } } }
                tbody {
                    @for row in &data.rows {
                        tr {
                            @for (place, cell) in row.iter().enumerate() {
                                @if place == 0 { th scope="row" { (clean(cell)) } } @else { td { (clean(cell)) } }
                            }
                        }
                    }
                }
            }
        }
    }
}
