//! Letters of a font of the system as paths.

use std::path::{Path as FilePath, PathBuf};

use tiny_skia::{Path, PathBuilder, Transform};
use ttf_parser::{Face, OutlineBuilder};

/// Files of fonts that are usually there and look alike, the best known first.
const FILES: [&str; 12] = [
    "DejaVuSans.ttf",
    "LiberationSans-Regular.ttf",
    "Arial.ttf",
    "arial.ttf",
    "Helvetica.ttc",
    "NotoSans-Regular.ttf",
    "segoeui.ttf",
    "Roboto-Regular.ttf",
    "FreeSans.ttf",
    "Ubuntu-R.ttf",
    "OpenSans-Regular.ttf",
    "Cantarell-Regular.otf",
];
/// Folders below folders of fonts that are looked into.
const DEPTH: usize = 4;

/// A font.
pub(crate) struct Letters {
    bytes: Vec<u8>,
}

impl Letters {
    /// The best known font of this system; nothing if it has none that can write letters.
    pub(crate) fn find() -> Option<Letters> {
        let mut files = Vec::new();
        folders().iter().for_each(|folder| list(folder, DEPTH, &mut files));
        let rank = |file: &PathBuf| FILES.iter().position(|known| file.file_name().is_some_and(|name| name == *known));
        files.sort_by_key(|file| (rank(file).unwrap_or(FILES.len()), file.clone()));
        files.iter().find_map(|file| {
            let bytes = std::fs::read(file).ok()?;
            Face::parse(&bytes, 0).ok()?.glyph_index('a')?;
            Some(Letters { bytes })
        })
    }

    /// A line of text that begins at 0 and stands on 0, and its width; nothing to draw of a blank one. A letter that the
    /// font does not have is a box.
    pub(crate) fn write(&self, text: &str, size: f32) -> (Option<Path>, f32) {
        let Ok(face) = Face::parse(&self.bytes, 0) else { return (None, 0.0) };
        let scale = size / f32::from(face.units_per_em()).max(1.0);
        let mut line = PathBuilder::new();
        let mut x = 0.0;
        for letter in text.chars() {
            let glyph = face.glyph_index(letter).unwrap_or_default();
            let mut outline = Outline(PathBuilder::new());
            if face.outline_glyph(glyph, &mut outline).is_some()
                && let Some(path) = outline.0.finish()
                && let Some(path) = path.transform(Transform::from_scale(scale, -scale).post_translate(x, 0.0))
            {
                line.push_path(&path);
            }
            x += scale * f32::from(face.glyph_hor_advance(glyph).unwrap_or(0));
        }
        (line.finish(), x)
    }
}

/// Where systems keep their fonts.
fn folders() -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> =
        ["/usr/share/fonts", "/usr/local/share/fonts", "/System/Library/Fonts", "/Library/Fonts", "C:\\Windows\\Fonts"]
            .map(PathBuf::from)
            .to_vec();
    if let Some(home) = std::env::var_os("HOME").map(PathBuf::from) {
        folders.extend([home.join(".fonts"), home.join(".local/share/fonts"), home.join("Library/Fonts")]);
    }
    folders
}

fn list(folder: &FilePath, depth: usize, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let ending = path.extension().map(|ending| ending.to_string_lossy().to_ascii_lowercase());
        if matches!(ending.as_deref(), Some("ttf" | "otf" | "ttc")) {
            found.push(path);
        } else if depth > 0 && path.is_dir() {
            list(&path, depth - 1, found);
        }
    }
}

struct Outline(PathBuilder);

impl OutlineBuilder for Outline {
    fn move_to(&mut self, x: f32, y: f32) {
        self.0.move_to(x, y);
    }
    fn line_to(&mut self, x: f32, y: f32) {
        self.0.line_to(x, y);
    }
    fn quad_to(&mut self, x1: f32, y1: f32, x: f32, y: f32) {
        self.0.quad_to(x1, y1, x, y);
    }
    fn curve_to(&mut self, x1: f32, y1: f32, x2: f32, y2: f32, x: f32, y: f32) {
        self.0.cubic_to(x1, y1, x2, y2, x, y);
    }
    fn close(&mut self) {
        self.0.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_stand_one_after_another() {
        // A system may have no font.
        let Some(letters) = Letters::find() else { return };
        let (one, width) = letters.write("m", 20.0);
        let (three, wider) = letters.write("mmm", 20.0);
        assert!((wider - 3.0 * width).abs() < 1e-3 && (8.0..30.0).contains(&width), "{width} {wider}");
        let (one, three) = (one.unwrap().bounds(), three.unwrap().bounds());
        assert!(three.width() > 2.5 * one.width() && one.bottom() < 1.0 && one.top() < -5.0, "{one:?} {three:?}");
        assert!(letters.write(" ", 20.0).0.is_none());
    }
}
