//! The page of a layer's filters: one file that needs no network.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use deepfit_explain::{Channel, Drawing, LayerFilters};
use deepfit_train::text::words;
use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::clean::clean;
use crate::page::rules;

/// How the tables of pictures look, beside what all pages have in common.
const RULES: &str = ".filters td,.filters th{text-align:left}.filters img{image-rendering:pixelated;background:#888;width:6rem;\
    height:auto;display:block}.filters figure{display:inline-block;margin:0 .5rem .5rem 0;width:6rem;vertical-align:top}\
    .filters figcaption{font-size:.8rem}";

/// The page of what the channels of a layer respond to.
pub fn filters_page(model: &str, filters: &LayerFilters) -> String {
    let title = format!("Filters of {}", filters.layer);
    let patches = if filters.exact_patches {
        "The patches are all pixels that the activation is made of, by the kernels and strides of the layers up to there."
    } else {
        "A layer on the way moves places in a way of its own: the patches are a quarter of the picture's sides around the same share \
         of it, not all pixels that count."
    };
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (clean(&title)) }
                style { (PreEscaped(rules())) (PreEscaped(RULES)) }
            }
            body {
                main {
                    h1 { (clean(&title)) }
                    p class="lead" { "What " (filters.channels.len()) " of " (filters.of_channels) " channels in "
                        code { (clean(model)) } " respond to, those that differ most between " (filters.pictures) " pictures first." }
                    p { (patches) " Activation is the result of " code { (clean(&filters.activation_of)) } "." }
                    @if !filters.sees_pixels {
                        p { "This layer looks at the channels of the layer before it, not at pixels: its filters have no picture." }
                    }
                    p { "The picture that was made begins as grey and is changed, step by step, so that the activation rises \
                        (activation maximisation). Where it does not exceed that of every picture, it has failed." }
                    div class="wide" {
                        table class="filters" {
                            thead { tr {
                                th { "channel" }
                                @if filters.sees_pixels { th { "filter" } }
                                th { "made to excite it" }
                                th { "pictures that excite it most" }
                            } }
                            tbody { @for channel in &filters.channels { (row(channel, filters.sees_pixels)) } }
                        }
                    }
                }
            }
        }
    };
    page.into_string()
}

fn row(channel: &Channel, sees_pixels: bool) -> Markup {
    let (made, number) = (&channel.maximised, channel.channel);
    html! {
        tr {
            th scope="row" {
                (number)
                @if let Some(looks) = &channel.looks { br; span class="why" { (looks.to_string()) } }
            }
            @if sees_pixels {
                td { @if let Some(filter) = &channel.filter { (picture(filter, &format!("The filter of channel {number}"))) } }
            }
            td {
                figure {
                    (picture(&made.drawn, &format!("Made to excite channel {number}")))
                    figcaption {
                        (words::number(f64::from(made.activation)))
                        @if !made.reached { br; strong { "failed: " } "no more than a picture gives" }
                    }
                }
            }
            td {
                @for one in &channel.pictures {
                    figure {
                        (picture(&one.drawn, &format!("What excites channel {number} in {}", clean(&one.input))))
                        figcaption { (words::number(f64::from(one.activation))) br; (clean(&one.input)) }
                    }
                }
            }
        }
    }
}

fn picture(drawing: &Drawing, alt: &str) -> Markup {
    let bytes = drawing.png().unwrap_or_default();
    html! {
        img width=(drawing.width) height=(drawing.height) alt=(alt) src={ "data:image/png;base64," (STANDARD.encode(bytes)) };
    }
}
