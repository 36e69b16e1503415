//! A plot in the page: how it is read, the drawing, what can be seen, and the same in numbers.

use maud::{Markup, html};

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

/// A table with a name, that can be moved within its space where it is wide.
fn table(data: &Data, name: &str) -> Markup {
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
