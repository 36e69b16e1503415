//! Plots as PNG: what [`crate::svg`] draws, in pixels. Only what it makes of elements is known here, not all of SVG, for which
//! the crates are larger than all of this program's reading of data.

use image::{ExtendedColorType, ImageEncoder, codecs::png::PngEncoder};
use roxmltree::{Document, Node};
use tiny_skia::{
    Color, FillRule, LineCap, LineJoin, Paint, Path, PathBuilder, Pixmap, Rect, Stroke, StrokeDash, Transform,
};

use crate::error::{ReportError, Result};
use crate::letters::Letters;
use crate::plot::Plot;
use crate::svg::{file, light};

/// Pixels of one unit of a plot.
const SCALE: f32 = 2.5;

/// A plot as the bytes of a PNG file, for a light page.
///
/// # Errors
/// If the system has no font to write with.
pub fn png(plot: &Plot) -> Result<Vec<u8>> {
    let letters = Letters::find().ok_or_else(|| {
        let problem = "this system has no font to write names and numbers with, so that no PNG can be drawn; write a file that \
                       ends in .svg instead, or install a font (Debian: fonts-dejavu-core)";
        ReportError::Asked(problem.to_string())
    })?;
    let failed =
        |what: &str| ReportError::Asked(format!("the plot cannot be drawn as PNG: {what}; write an .svg instead"));
    let text = file(plot, true);
    let document = Document::parse(&text).map_err(|e| failed(&e.to_string()))?;
    let view: Vec<f32> = document.root_element().attribute("viewBox").map(numbers).unwrap_or_default();
    let [left, top, width, height] = view[..] else { return Err(failed("it has no size")) };
    let size = |length: f32| (length * SCALE).ceil() as u32;
    let mut pixels = Pixmap::new(size(width), size(height)).ok_or_else(|| failed("it has no size"))?;
    pixels.fill(Color::WHITE);
    let place = Transform::from_translate(-left, -top).post_scale(SCALE, SCALE);
    for node in document.descendants().filter(Node::is_element) {
        draw(&mut pixels, &node, moved(&node).post_concat(place), &letters);
    }
    let mut bytes = Vec::new();
    // White paper is below everything: no pixel is transparent.
    let opaque: Vec<u8> = pixels.pixels().iter().flat_map(|p| [p.red(), p.green(), p.blue()]).collect();
    PngEncoder::new(&mut bytes)
        .write_image(&opaque, pixels.width(), pixels.height(), ExtendedColorType::Rgb8)
        .map_err(|e| failed(&e.to_string()))?;
    Ok(bytes)
}

/// By how much the group that an element is in is moved: `translate(X Y)`.
fn moved(node: &Node<'_, '_>) -> Transform {
    let group = node.ancestors().find(|one| one.tag_name().name() == "g");
    let inside = group.and_then(|group| group.attribute("transform")?.strip_prefix("translate(")?.strip_suffix(')'));
    match inside.map(numbers).as_deref() {
        Some(&[x, y]) => Transform::from_translate(x, y),
        _ => Transform::identity(),
    }
}

/// All numbers in a text.
fn numbers(text: &str) -> Vec<f32> {
    text.split([' ', ',']).filter_map(|number| number.parse().ok()).collect()
}

fn attribute(node: &Node<'_, '_>, name: &str) -> Option<f32> {
    node.attribute(name)?.parse().ok()
}

/// A colour that an element's classes give to its fill or its stroke.
fn colour(node: &Node<'_, '_>, of_stroke: bool) -> Option<Color> {
    let classes = node.attribute("class").unwrap_or_default().split(' ');
    let found = classes.filter_map(|class| light(class, of_stroke)).next()?;
    let byte = |at: usize| u8::from_str_radix(&found[at..at + 2], 16).unwrap_or(0);
    Some(Color::from_rgba8(byte(1), byte(3), byte(5), 255))
}

fn paint(mut colour: Color, opacity: Option<f32>) -> Paint<'static> {
    colour.apply_opacity(opacity.unwrap_or(1.0).clamp(0.0, 1.0));
    let mut paint = Paint { anti_alias: true, ..Paint::default() };
    paint.set_color(colour);
    paint
}

fn draw(pixels: &mut Pixmap, node: &Node<'_, '_>, place: Transform, letters: &Letters) {
    let value = |name: &str| attribute(node, name).unwrap_or(0.0);
    match node.tag_name().name() {
        "rect" => {
            let rect = Rect::from_xywh(value("x"), value("y"), value("width"), value("height"));
            if let Some(rect) = rect {
                filled_and_stroked(pixels, node, &PathBuilder::from_rect(rect), place);
            }
        }
        "line" => {
            let mut line = PathBuilder::new();
            line.move_to(value("x1"), value("y1"));
            line.line_to(value("x2"), value("y2"));
            if let Some(line) = line.finish() {
                filled_and_stroked(pixels, node, &line, place);
            }
        }
        "path" => {
            if let Some(path) = node.attribute("d").and_then(path) {
                filled_and_stroked(pixels, node, &path, place);
            }
        }
        "text" => written(pixels, node, place, letters),
        _ => {}
    }
}

fn filled_and_stroked(pixels: &mut Pixmap, node: &Node<'_, '_>, path: &Path, place: Transform) {
    let filled = colour(node, false).filter(|_| node.attribute("fill") != Some("none"));
    if let Some(colour) = filled {
        let paint = paint(colour, attribute(node, "fill-opacity"));
        pixels.fill_path(path, &paint, FillRule::Winding, place, None);
    }
    if let Some(colour) = colour(node, true) {
        let paint = paint(colour, attribute(node, "stroke-opacity"));
        let dash = node.attribute("stroke-dasharray").and_then(|dash| StrokeDash::new(numbers(dash), 0.0));
        let round = node.attribute("stroke-linecap") == Some("round");
        let stroke = Stroke {
            width: attribute(node, "stroke-width").unwrap_or(1.0),
            line_cap: if round { LineCap::Round } else { LineCap::Butt },
            line_join: if node.attribute("stroke-linejoin") == Some("round") {
                LineJoin::Round
            } else {
                LineJoin::Miter
            },
            dash,
            ..Stroke::default()
        };
        pixels.stroke_path(path, &paint, &stroke, place, None);
    }
}

/// What stands in an element, at its place, perhaps turned.
fn written(pixels: &mut Pixmap, node: &Node<'_, '_>, place: Transform, letters: &Letters) {
    let class = |name: &str| node.attribute("class").is_some_and(|classes| classes.split(' ').any(|c| c == name));
    let size = match () {
        () if class("title") => 14.0,
        () if class("small") => 10.0,
        () if class("tiny") => 8.0,
        () => 12.0,
    };
    let text: String = node.descendants().filter(Node::is_text).filter_map(|node| node.text()).collect();
    let (path, width) = letters.write(text.trim(), size);
    let before = match node.attribute("text-anchor") {
        Some("middle") => width / 2.0,
        Some("end") => width,
        _ => 0.0,
    };
    let at = match node.attribute("transform") {
        // The only way in which texts are turned: `translate(X Y) rotate(-90)`.
        Some(turned) => {
            let inside = turned.trim_start_matches("translate(").split(')').next().unwrap_or_default();
            let [x, y] = numbers(inside)[..] else { return };
            Transform::from_rotate(-90.0).post_translate(x, y)
        }
        None => Transform::from_translate(attribute(node, "x").unwrap_or(0.0), attribute(node, "y").unwrap_or(0.0)),
    };
    let ink = colour(node, false).unwrap_or(Color::BLACK);
    if let Some(path) = path {
        let at = Transform::from_translate(-before, 0.0).post_concat(at).post_concat(place);
        pixels.fill_path(&path, &paint(ink, None), FillRule::Winding, at, None);
    }
}

/// A path of the commands that plots are made of; a half circle is the only arc.
fn path(text: &str) -> Option<Path> {
    let mut builder = PathBuilder::new();
    let (mut x, mut y, mut begin) = (0.0f32, 0.0f32, (0.0f32, 0.0f32));
    let mut rest = text;
    while let Some(command) = rest.chars().next() {
        let after = &rest[command.len_utf8()..];
        let end = after.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(after.len());
        let given = numbers(&after[..end].replace('-', " -"));
        rest = &after[end..];
        let (along, down) = match (command, &given[..]) {
            ('M' | 'L', &[to_x, to_y]) => (to_x - x, to_y - y),
            ('m' | 'l', &[along, down]) => (along, down),
            ('H', &[to]) => (to - x, 0.0),
            ('V', &[to]) => (0.0, to - y),
            ('h', &[along]) => (along, 0.0),
            ('v', &[down]) => (0.0, down),
            ('a', &[radius, _, _, _, _, along, down]) => {
                half_circle(&mut builder, (x, y), radius, along);
                (x, y) = (x + along, y + down);
                continue;
            }
            ('z', []) => {
                builder.close();
                (x, y) = begin;
                continue;
            }
            // Several points after one command: each is a line.
            ('l', several) => {
                for step in several.chunks_exact(2) {
                    (x, y) = (x + step[0], y + step[1]);
                    builder.line_to(x, y);
                }
                continue;
            }
            _ => return None,
        };
        (x, y) = (x + along, y + down);
        if matches!(command, 'M' | 'm') {
            builder.move_to(x, y);
            begin = (x, y);
        } else if along == 0.0 && down == 0.0 {
            // Nothing is drawn of a line of no length; a dot is one with round ends.
            builder.line_to(x + 0.01, y);
        } else {
            builder.line_to(x, y);
        }
    }
    builder.finish()
}

/// Half a circle to the left or to the right, by two curves (the usual approximation, right to one part in 3,000).
fn half_circle(builder: &mut PathBuilder, (x, y): (f32, f32), radius: f32, along: f32) {
    const PULL: f32 = 0.552_285;
    let side = along.signum();
    let (k, low) = (PULL * radius, y + side * radius);
    let (middle, end) = (x + along / 2.0, x + along);
    builder.cubic_to(x, y + side * k, middle - side * k, low, middle, low);
    builder.cubic_to(middle + side * k, low, end, y + side * k, end, y);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_where_their_commands_say() {
        let bounds = |text: &str| {
            let bounds = path(text).unwrap().bounds();
            [bounds.left(), bounds.top(), bounds.right(), bounds.bottom()]
        };
        assert_eq!(bounds("M10 20L30 40"), [10.0, 20.0, 30.0, 40.0]);
        assert_eq!(bounds("M10 20h5v-5h-10z"), [5.0, 15.0, 15.0, 20.0]);
        assert_eq!(bounds("M0 -4l4 4l-4 4l-4 -4z"), [-4.0, -4.0, 4.0, 4.0]);
        assert_eq!(bounds("M10 50V10H90"), [10.0, 10.0, 90.0, 50.0]);
        let circle = bounds("M7 10a3 3 0 1 0 6 0a3 3 0 1 0 -6 0z");
        assert!(circle.iter().zip([7.0, 7.0, 13.0, 13.0]).all(|(a, b)| (a - b).abs() < 1e-3), "{circle:?}");
        assert!(path("M1 2h0").is_some(), "a dot");
        assert!(path("M1 2Q3 4 5 6").is_none(), "no other command is guessed at");
    }
}
