//! Images as numbers that need no network: how frequent colours are, how bright each part is, and which way edges run there.

/// Bins of each channel's values.
const LEVELS: usize = 8;
/// Ways in which an edge may run (Dalal and Triggs, 2005: histograms of oriented gradients).
const DIRECTIONS: usize = 9;
/// Parts along a side of which the mean is taken.
const MEANS: usize = 8;

/// Of images of one size.
#[derive(Debug, Clone)]
pub(super) struct Histograms {
    height: usize,
    width: usize,
    channels: usize,
    /// Parts along a side of which edges are counted.
    cells: usize,
}

impl Histograms {
    pub(super) fn new(height: usize, width: usize, channels: usize) -> Histograms {
        Histograms { height, width, channels, cells: (height.min(width) / 8).clamp(4, 7) }
    }

    /// Names of the numbers.
    pub(super) fn names(&self) -> Vec<String> {
        let mut names = Vec::new();
        for channel in 0..self.channels {
            names.extend((0..LEVELS).map(|level| format!("colour {channel}, level {level}")));
        }
        for place in 0..MEANS * MEANS {
            let (y, x) = (place / MEANS, place % MEANS);
            names.extend((0..self.channels).map(|channel| format!("colour {channel} at row {y}, column {x}")));
        }
        for cell in 0..self.cells * self.cells {
            let (y, x) = (cell / self.cells, cell % self.cells);
            names.extend((0..DIRECTIONS).map(|way| format!("edges of {} degrees at row {y}, column {x}", way * 20)));
        }
        names
    }

    /// Pixels of an image, `[height, width, channels]`.
    pub(super) fn pixels(&self) -> usize {
        self.height * self.width * self.channels
    }

    /// Appends the numbers of an image.
    pub(super) fn push(&self, pixels: &[u8], out: &mut Vec<f32>) {
        let (height, width, channels) = (self.height, self.width, self.channels);
        let begin = out.len();
        out.resize(begin + channels * LEVELS, 0.0);
        let each = 1.0 / (height * width) as f32;
        for pixel in pixels.chunks_exact(channels) {
            for (channel, &value) in pixel.iter().enumerate() {
                out[begin + channel * LEVELS + usize::from(value) * LEVELS / 256] += each;
            }
        }
        for place in 0..MEANS * MEANS {
            let (rows, columns) = (part(place / MEANS, MEANS, height), part(place % MEANS, MEANS, width));
            let count = (rows.len() * columns.len()) as f32;
            for channel in 0..channels {
                let of_row =
                    |y: usize| columns.clone().map(move |x| f32::from(pixels[(y * width + x) * channels + channel]));
                let sum: f32 = rows.clone().flat_map(of_row).sum();
                out.push(sum / count / 255.0);
            }
        }
        self.push_edges(pixels, out);
    }

    fn push_edges(&self, pixels: &[u8], out: &mut Vec<f32>) {
        let (height, width, channels, cells) = (self.height, self.width, self.channels, self.cells);
        let grey: Vec<f32> = pixels
            .chunks_exact(channels)
            .map(|pixel| pixel.iter().map(|&value| f32::from(value)).sum::<f32>() / (255 * channels) as f32)
            .collect();
        let at = |y: usize, x: usize| grey[y * width + x];
        let mut counts = vec![0.0_f32; cells * cells * DIRECTIONS];
        for y in 0..height {
            for x in 0..width {
                let down = at((y + 1).min(height - 1), x) - at(y.saturating_sub(1), x);
                let right = at(y, (x + 1).min(width - 1)) - at(y, x.saturating_sub(1));
                let strength = down.hypot(right);
                if strength == 0.0 {
                    continue;
                }
                // An edge and its opposite are the same; it counts for the two directions that it lies between.
                let place =
                    down.atan2(right).rem_euclid(std::f32::consts::PI) / std::f32::consts::PI * DIRECTIONS as f32;
                let (low, share) = ((place as usize).min(DIRECTIONS - 1), place.fract());
                let cell = (y * cells / height * cells + x * cells / width) * DIRECTIONS;
                counts[cell + low] += strength * (1.0 - share);
                counts[cell + (low + 1) % DIRECTIONS] += strength * share;
            }
        }
        // Each part by the strength of its edges, so that light and shade do not count, and the whole keeps flat parts flat.
        let mean = counts.iter().sum::<f32>() / (cells * cells) as f32;
        for cell in counts.chunks_exact(DIRECTIONS) {
            let length = cell.iter().map(|c| c * c).sum::<f32>().sqrt() + 0.1 * mean + 1e-6;
            out.extend(cell.iter().map(|c| c / length));
        }
    }
}

/// Pixels of a part along a side; at least one.
fn part(number: usize, parts: usize, side: usize) -> std::ops::Range<usize> {
    let begin = (number * side / parts).min(side - 1);
    begin..((number + 1) * side / parts).clamp(begin + 1, side)
}

#[cfg(test)]
mod tests {
    use super::{DIRECTIONS, Histograms, LEVELS, MEANS};

    #[test]
    fn edges_are_counted_where_and_how_they_run() {
        let histograms = Histograms::new(8, 8, 1);
        // A vertical border in the middle: brightness grows to the right.
        let pixels: Vec<u8> = (0..64).map(|i| if i % 8 < 4 { 0 } else { 255 }).collect();
        let mut out = Vec::new();
        histograms.push(&pixels, &mut out);
        assert_eq!(out.len(), histograms.names().len());
        assert_eq!(out[0] + out[LEVELS - 1], 1.0);
        assert_eq!(out[LEVELS..LEVELS + 8], [0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0]);
        let edges = &out[LEVELS + MEANS * MEANS..];
        let of = |cell: usize| &edges[cell * DIRECTIONS..][..DIRECTIONS];
        // Four cells a side: the border is between the second and the third.
        assert!(of(1)[0] > 0.9 && of(2)[0] > 0.9 && of(0).iter().chain(of(3)).all(|&c| c == 0.0), "{edges:?}");
        assert!(of(1)[1..].iter().all(|&c| c < 1e-6));
    }

    #[test]
    fn images_smaller_than_their_parts_have_numbers_too() {
        for (height, width, channels) in [(4, 4, 3), (5, 9, 1), (224, 100, 3)] {
            let histograms = Histograms::new(height, width, channels);
            let mut out = Vec::new();
            histograms.push(&vec![7; histograms.pixels()], &mut out);
            assert!(out.len() == histograms.names().len() && out.iter().all(|x| x.is_finite()));
        }
    }
}
