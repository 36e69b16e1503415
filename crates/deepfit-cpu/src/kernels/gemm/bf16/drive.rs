//! The loops around the micro-kernel and their distribution over threads.

use super::blocking::{self, Blocking};
use super::pack::{self, GROUP, Panel};
use super::tile::{Prepared, Tile, tile};
use super::{DEPTH, SIDE, TILE, Unit, panel_columns};
use crate::kernels::Compute;
use crate::kernels::gemm::{Gemm, PackA, PackB};
use crate::pool::SharedMut;

/// How many `f32` the panels of a right operand of `k` x `n` take.
pub(in super::super) fn packed_size(k: usize, n: usize) -> usize {
    blocking::packed(blocking::width(n), k)
}

/// Packs all of a right operand of `k` x `n`, with all threads.
pub(in super::super) fn pack(cx: &Compute, unit: Unit, b: &dyn PackB, k: usize, n: usize, panels: &mut [f32]) {
    let kc = blocking::depth(k);
    let panels = SharedMut::new(&mut panels[..packed_size(k, n)]);
    let groups = n.div_ceil(GROUP);
    cx.pool.run(k.div_ceil(kc) * groups, &|task, _| {
        pack_group(unit, b, &panels, kc, 0..k, 0..n, task / groups, task % groups);
    });
}

/// Packs one group of panels of one depth block of rows `depth` and columns `columns` of B. Block `b` begins at
/// `b * kc / 2 * width`, `width` being the columns rounded up to whole vectors, and in it the panel of column `j` at `j` times
/// half the block's depth.
fn pack_group(
    unit: Unit,
    b: &dyn PackB,
    packed: &SharedMut<f32>,
    kc: usize,
    depth: std::ops::Range<usize>,
    columns: std::ops::Range<usize>,
    block: usize,
    group: usize,
) {
    let (k0, first) = (depth.start + block * kc, columns.start + group * GROUP);
    let deep = kc.min(depth.end - k0);
    let cols = GROUP.min(columns.end - first);
    let rows = deep.next_multiple_of(DEPTH) / 2;
    let start = block * kc / 2 * blocking::width(columns.len()) + group * GROUP * rows;
    // SAFETY: each group of panels is packed by one task and lies apart from the others.
    let mut rest = unsafe { packed.slice(start, blocking::width(cols) * rows) };
    let mut panels: [Panel; GROUP / SIDE] = std::array::from_fn(|i| {
        let width = cols.checked_sub(i * SIDE).filter(|&left| left > 0).map_or(0, panel_columns);
        let (pairs, after) = std::mem::take(&mut rest).split_at_mut(width * rows);
        rest = after;
        Panel { width, pairs }
    });
    pack::right(unit, b, k0, deep, first, cols, &mut panels[..cols.div_ceil(SIDE)]);
}

/// One product with everything its tasks need.
struct Product<'a> {
    cx: &'a Compute<'a>,
    unit: Unit,
    g: &'a Gemm<'a>,
    blocking: Blocking,
    a: &'a dyn PackA,
    b: &'a dyn PackB,
}

/// The part of C and of the depth that one call of [`Product::multiply`] computes.
struct Part {
    row0: usize,
    rows: usize,
    k0: usize,
    depth: usize,
    /// Columns of the block of B that is packed, and of those the part's.
    all: usize,
    columns: std::ops::Range<usize>,
}

pub(in super::super) fn run(
    g: &Gemm,
    cx: &Compute,
    unit: Unit,
    a: &dyn PackA,
    b: &dyn PackB,
    c: &mut [f32],
    ldc: usize,
    scratch: &mut [f32],
) {
    let blocking = Blocking::new(g.m, g.n, g.k, cx.caches);
    let skip = scratch.as_ptr().align_offset(64).min(15).min(scratch.len());
    let scratch = &mut scratch[skip..];
    let packed = if blocking.split > 1 { None } else { g.packed };
    let blocking = if packed.is_some() { blocking.of_packed(g.m, g.n, g.k) } else { blocking };
    let product = Product { cx, unit, g, blocking, a, b };
    if blocking.split > 1 {
        product.split_depth(c, ldc, scratch);
    } else {
        product.split_output(packed, c, ldc, scratch);
    }
}

impl Product<'_> {
    /// Runs `tasks` on the pool, or here if the product is small.
    fn distribute(&self, tasks: usize, f: &(dyn Fn(usize, usize) + Sync)) {
        if self.blocking.parallel {
            self.cx.pool.run(tasks, f);
        } else {
            (0..tasks).for_each(|task| f(task, 0));
        }
    }

    fn split_output(&self, packed: Option<&[f32]>, c: &mut [f32], ldc: usize, scratch: &mut [f32]) {
        let (g, bl) = (self.g, &self.blocking);
        let (packed_b, packed_a) = scratch.split_at_mut(if packed.is_some() { 0 } else { bl.packed_b() });
        let (packed_b, packed_a, c) = (SharedMut::new(packed_b), SharedMut::new(packed_a), SharedMut::new(c));
        for col0 in (0..g.n).step_by(bl.nc) {
            let cols = bl.nc.min(g.n - col0);
            for k0 in (0..g.k).step_by(bl.kb) {
                let depth = bl.kb.min(g.k - k0);
                if packed.is_none() {
                    let groups = cols.div_ceil(GROUP);
                    self.distribute(depth.div_ceil(bl.kc) * groups, &|task, _| {
                        let (block, group) = (task / groups, task % groups);
                        pack_group(
                            self.unit,
                            self.b,
                            &packed_b,
                            bl.kc,
                            k0..k0 + depth,
                            col0..col0 + cols,
                            block,
                            group,
                        );
                    });
                }
                // SAFETY: B is only read while the tiles are computed.
                let b = packed.unwrap_or_else(|| unsafe { packed_b.slice(0, packed_size(depth, cols)) });
                let column_tasks = cols.div_ceil(bl.nt);
                self.distribute(g.m.div_ceil(bl.mc) * column_tasks, &|task, worker| {
                    let (row0, first) = (task / column_tasks * bl.mc, task % column_tasks * bl.nt);
                    let columns = first..cols.min(first + bl.nt);
                    let part = Part { row0, rows: bl.mc.min(g.m - row0), k0, depth, all: cols, columns };
                    // SAFETY: each worker index is used by one thread at a time.
                    let own = unsafe { packed_a.slice(worker * bl.packed_a(), bl.packed_a()) };
                    // SAFETY: this task alone writes this tile, inside of C by the check of its length.
                    unsafe {
                        let tile = c.as_mut_ptr().add(row0 * ldc + col0 + first);
                        self.multiply(&part, tile, ldc, g.accumulate || k0 > 0, b, own);
                        if k0 + depth == g.k
                            && let Some(epilogue) = g.epilogue
                        {
                            epilogue.apply(row0, col0 + first, part.rows, part.columns.len(), tile, ldc);
                        }
                    }
                });
            }
        }
    }

    /// Few outputs and a great depth: chunks of the depth go to different tasks, and their sums are added in order.
    fn split_depth(&self, c: &mut [f32], ldc: usize, scratch: &mut [f32]) {
        let (g, bl) = (self.g, &self.blocking);
        let size = g.m * g.n;
        let (partial, own) = scratch.split_at_mut((size * bl.split).next_multiple_of(16));
        let (partial, own) = (SharedMut::new(partial), SharedMut::new(own));
        let chunk = bl.chunk(g.k);
        let of_worker = bl.packed_a() + bl.packed_b();
        self.distribute(bl.split, &|task, worker| {
            // SAFETY: each task has its own partial sums, and each worker index is used by one thread at a time.
            let (sums, own) = unsafe { (partial.slice(task * size, size), own.slice(worker * of_worker, of_worker)) };
            let (own_b, own_a) = own.split_at_mut(bl.packed_b());
            let (start, end) = ((task * chunk).min(g.k), ((task + 1) * chunk).min(g.k));
            if start == end {
                sums.fill(0.0);
            }
            for k0 in (start..end).step_by(bl.kc) {
                let depth = bl.kc.min(end - k0);
                let packed = SharedMut::new(&mut *own_b);
                for group in 0..g.n.div_ceil(GROUP) {
                    pack_group(self.unit, self.b, &packed, bl.kc, k0..k0 + depth, 0..g.n, 0, group);
                }
                for row0 in (0..g.m).step_by(bl.mc) {
                    let part = Part { row0, rows: bl.mc.min(g.m - row0), k0, depth, all: g.n, columns: 0..g.n };
                    // SAFETY: the sums and the packed blocks are this task's own.
                    unsafe {
                        let tile = sums.as_mut_ptr().add(row0 * g.n);
                        self.multiply(&part, tile, g.n, k0 > start, own_b, own_a);
                    }
                }
            }
        });
        // SAFETY: the tasks are done.
        let sums = unsafe { partial.slice(0, size * bl.split) };
        g.add_chunks(sums, c, ldc);
    }

    /// Computes one part of C from packed B, packing A on the way.
    ///
    /// # Safety
    /// `c` points at the part's first element, which with the rest of the part belongs to the caller.
    unsafe fn multiply(&self, part: &Part, c: *mut f32, ldc: usize, accumulate: bool, b: &[f32], own: &mut [f32]) {
        let (bl, width) = (&self.blocking, blocking::width(part.all));
        let _prepared = Prepared::new(self.unit);
        for done in (0..part.depth).step_by(bl.kc) {
            let kc = bl.kc.min(part.depth - done);
            let steps = kc.div_ceil(DEPTH);
            for (panel, row) in own.chunks_exact_mut(steps * TILE).zip((0..part.rows).step_by(SIDE)) {
                let rows = SIDE.min(part.rows - row);
                pack::left(self.unit, self.a, part.row0 + row, rows, part.k0 + done, kc, panel);
            }
            for col in part.columns.clone().step_by(SIDE) {
                let panel = panel_columns(part.all - col);
                let of_b = &b[done / 2 * width + col * steps * DEPTH / 2..][..panel * steps * DEPTH / 2];
                for row in (0..part.rows).step_by(SIDE) {
                    let of_a = &own[row / SIDE * steps * TILE..][..steps * TILE];
                    let t = Tile {
                        a: of_a.as_ptr(),
                        b: of_b.as_ptr(),
                        steps,
                        width: panel,
                        c: c.wrapping_add(row * ldc + col - part.columns.start),
                        ldc,
                        rows: SIDE.min(part.rows - row),
                        cols: panel.min(part.columns.end - col),
                        accumulate: accumulate || done > 0,
                    };
                    // SAFETY: the panels are as long as the tile says, and it is part of the caller's part of C.
                    unsafe { tile(self.unit, t) };
                }
            }
        }
    }
}
