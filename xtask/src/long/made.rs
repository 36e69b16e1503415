//! Data that is made for a measurement: tables, photographs, texts, of any size.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;

use anyhow::{Context, Result};

/// Random numbers that are the same each time (the SplitMix64 of G. Steele, D. Lea and C. Flood, 2014).
#[derive(Debug)]
pub struct Random(pub u64);

impl Random {
    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From 0 to below 1.
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// From 0 to below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        (self.bits() % end as u64) as usize
    }
}

/// Writes a table of so many rows and columns of numbers, and one of categories, with a class that depends on some of them.
///
/// # Errors
/// If the file cannot be written.
pub fn table(path: &Path, rows: usize, columns: usize) -> Result<()> {
    let file = File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
    let mut out = BufWriter::with_capacity(1 << 20, file);
    let mut random = Random(rows as u64 ^ (columns as u64) << 32);
    let names: Vec<String> = (0..columns).map(|i| format!("x{i}")).collect();
    writeln!(out, "{},colour,class", names.join(","))?;
    for _ in 0..rows {
        let mut sum = 0.0;
        for i in 0..columns {
            let x = random.unit() * 2.0 - 1.0;
            if i < 5 {
                sum += x * (i as f64 - 2.0);
            }
            write!(out, "{x:.3},")?;
        }
        let colour = ["red", "green", "blue"][random.below(3)];
        sum += if colour == "red" { 0.5 } else { 0.0 };
        writeln!(out, "{colour},{}", if sum + random.unit() - 0.5 > 0.0 { "yes" } else { "no" })?;
    }
    out.flush()?;
    Ok(())
}

/// Writes a folder of two classes of photographs of such a size, as BMP: stripes and spots, with noise.
///
/// # Errors
/// If a file cannot be written.
pub fn photographs(folder: &Path, each: usize, side: usize) -> Result<()> {
    let mut random = Random(side as u64);
    for (class, name) in ["stripes", "spots"].into_iter().enumerate() {
        let folder = folder.join(name);
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        for number in 0..each {
            let period = 3.0 + 5.0 * random.unit();
            let tint = [random.unit(), random.unit(), random.unit()];
            let mut pixels = Vec::with_capacity(side * side * 3);
            for y in 0..side {
                for x in 0..side {
                    let (x, y) = (x as f64 / period, y as f64 / period);
                    let wave = if class == 0 { (x + y).sin() } else { x.sin() * y.sin() };
                    let noise = 0.3 * random.unit();
                    let of = |tint: f64| ((0.5 + 0.3 * wave) * (0.4 + 0.6 * tint) + noise).clamp(0.0, 1.0) * 255.0;
                    pixels.extend(tint.map(|tint| of(tint) as u8));
                }
            }
            fs::write(folder.join(format!("{number}.bmp")), bitmap(&pixels, side))?;
        }
    }
    Ok(())
}

/// A square picture of three bytes a pixel as a BMP file, whose rows are filled up to whole words.
fn bitmap(pixels: &[u8], side: usize) -> Vec<u8> {
    let row = (3 * side).div_ceil(4) * 4;
    let size = 54 + row * side;
    let mut file = Vec::with_capacity(size);
    file.extend(b"BM");
    for word in [size as u32, 0, 54, 40, side as u32, side as u32] {
        file.extend(word.to_le_bytes());
    }
    file.extend([1u16, 24].into_iter().flat_map(u16::to_le_bytes));
    for word in [0, (row * side) as u32, 2835, 2835, 0, 0] {
        file.extend(u32::to_le_bytes(word));
    }
    for line in pixels.chunks_exact(3 * side) {
        file.extend(line);
        file.resize(file.len() + row - 3 * side, 0);
    }
    file
}
