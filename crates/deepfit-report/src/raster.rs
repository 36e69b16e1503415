//! Plots as PNG, drawn from their SVG.

use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::{Options, Tree};

use crate::error::{ReportError, Result};
use crate::plot::Plot;
use crate::svg::file;

/// Pixels of one unit of a plot.
const SCALE: f32 = 2.5;

/// A plot as the bytes of a PNG file, for a light page.
///
/// # Errors
/// If the system has no font to write with.
pub fn png(plot: &Plot) -> Result<Vec<u8>> {
    let mut options = Options { font_family: "DejaVu Sans".to_string(), ..Options::default() };
    options.fontdb_mut().load_system_fonts();
    if options.fontdb.is_empty() {
        let problem = "this system has no fonts to write names and numbers with, so that no PNG can be drawn; write a file \
                       that ends in .svg instead, or install a font (Debian: fonts-dejavu-core)";
        return Err(ReportError::Asked(problem.to_string()));
    }
    let failed = |what: String| ReportError::Asked(format!("the plot cannot be drawn: {what}"));
    let tree = Tree::from_str(&file(plot, true), &options).map_err(|e| failed(e.to_string()))?;
    let size = tree.size();
    let (width, height) = ((size.width() * SCALE).ceil() as u32, (size.height() * SCALE).ceil() as u32);
    let mut pixels = Pixmap::new(width, height).ok_or_else(|| failed("it has no size".to_string()))?;
    resvg::render(&tree, Transform::from_scale(SCALE, SCALE), &mut pixels.as_mut());
    pixels.encode_png().map_err(|e| failed(e.to_string()))
}
