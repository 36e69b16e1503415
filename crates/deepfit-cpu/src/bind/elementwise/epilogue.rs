//! Programs that run on the tiles of a product or a normalisation while these are in cache.

use deepfit_graph::ops::Program;

use super::tiles::{MOST_INPUTS, Registers, TILE, TileProgram};
use crate::executor::Call;
use crate::kernels::gemm::Epilogue;
use crate::simd::Isa;

/// A program whose input 0 is the product.
pub(in crate::bind) struct EpilogueProgram {
    program: TileProgram,
}

/// How an input of the epilogue is read.
#[derive(Debug, Clone, Copy)]
enum Source {
    /// One number for all.
    Scalar(f32),
    /// One number a column.
    Row(*const f32),
    /// One number an element.
    Matrix(*const f32),
}

/// An epilogue with the inputs of one call.
pub(in crate::bind) struct BoundEpilogue<'a> {
    program: &'a TileProgram,
    isa: Isa,
    sources: [Source; MOST_INPUTS],
    columns: usize,
    first_row: usize,
}

// SAFETY: the sources are inputs of the call, which nobody writes while it runs.
unsafe impl Sync for BoundEpilogue<'_> {}

impl EpilogueProgram {
    pub(in crate::bind) fn new(program: &Program) -> Self {
        EpilogueProgram { program: TileProgram::new(program) }
    }

    /// The epilogue for a call whose result has the given number of columns. Inputs of the call behind its `own` are those
    /// of the epilogue from the second on.
    pub(in crate::bind) fn bound<'a>(&'a self, call: &Call<'a>, own: usize, columns: usize) -> BoundEpilogue<'a> {
        let mut sources = [Source::Scalar(0.0); MOST_INPUTS];
        for i in own..call.input_count() {
            let values = call.input(i);
            let shape = call.shapes().input(i);
            let output = call.shapes().output(0);
            sources[i - own + 1] = if shape.is_empty() {
                Source::Scalar(values[0])
            } else if shape == output {
                Source::Matrix(values.as_ptr())
            } else {
                assert_eq!(shape, [columns], "the passes leave other inputs out of epilogues");
                Source::Row(values.as_ptr())
            };
        }
        BoundEpilogue { program: &self.program, isa: call.compute().isa, sources, columns, first_row: 0 }
    }
}

impl BoundEpilogue<'_> {
    /// The epilogue of a product that is part of a larger result and begins at this row of it.
    pub(in crate::bind) fn at_row(self, first_row: usize) -> Self {
        BoundEpilogue { first_row, ..self }
    }
}

impl Epilogue for BoundEpilogue<'_> {
    unsafe fn apply(&self, row: usize, col: usize, rows: usize, cols: usize, c: *mut f32, ldc: usize) {
        // Whole rows without gaps are one long row, if nothing is said of single columns.
        let no_row = !self.sources.iter().any(|s| matches!(s, Source::Row(_)));
        let whole = no_row && col == 0 && cols == self.columns && ldc == cols;
        let (rows, cols) = if whole { (1, rows * cols) } else { (rows, cols) };
        let mut registers = Registers::new();
        let inputs = self.program.inputs().max(1);
        let mut sources = [std::ptr::null(); MOST_INPUTS];
        for i in 1..inputs {
            if let Source::Scalar(value) = self.sources[i] {
                let tile = registers.input(i);
                tile[..cols.min(TILE)].fill(value);
                sources[i] = tile.as_ptr();
            }
        }
        for r in 0..rows {
            let mut at = 0;
            while at < cols {
                let n = TILE.min(cols - at);
                // SAFETY: the tile has `rows` rows of `cols` numbers, `ldc` apart.
                let target = unsafe { c.add(r * ldc + at) };
                sources[0] = target.cast_const();
                for i in 1..inputs {
                    match self.sources[i] {
                        Source::Scalar(_) => {}
                        // SAFETY: there is a number for each column.
                        Source::Row(start) => sources[i] = unsafe { start.add(col + at) },
                        Source::Matrix(start) => {
                            let element = (self.first_row + row + r) * self.columns + col + at;
                            // SAFETY: the input has the shape of the whole result.
                            sources[i] = unsafe { start.add(element) };
                        }
                    }
                }
                // SAFETY: all sources hold `n` numbers from here; the tile is ours, and input 0 is the target itself.
                unsafe { self.program.run(self.isa, &sources[..inputs], target, n, &mut registers) };
                at += n;
            }
        }
    }
}
