//! The loops around the micro-kernel and their distribution over threads.

use super::blocking::Blocking;
use super::{Gemm, PackA, PackB, dot, micro};
use crate::kernels::Compute;
use crate::pool::SharedMut;

/// Rows of A up to which packing B costs as much as multiplying by it.
const FEW: usize = 24;

/// One product with everything its tasks need.
struct Product<'a> {
    cx: &'a Compute<'a>,
    g: &'a Gemm<'a>,
    blocking: Blocking,
    a: &'a dyn PackA,
    b: &'a dyn PackB,
    /// A where it lies, if its rows can be read there.
    rows: Option<(&'a [f32], usize)>,
    /// B where it lies, if it is read without packing.
    direct: Option<(&'a [f32], usize)>,
    /// All of B, if it was packed before.
    packed: Option<&'a [f32]>,
}

/// The part of C and of the depth that one call of [`Product::multiply`] computes.
struct Part {
    row0: usize,
    rows: usize,
    col0: usize,
    cols: usize,
    k0: usize,
    depth: usize,
}

pub(super) fn run(
    g: &Gemm,
    cx: &Compute,
    a: &dyn PackA,
    b: &dyn PackB,
    c: &mut [f32],
    ldc: usize,
    scratch: &mut [f32],
) {
    if g.m <= dot::MAX_ROWS
        && let (Some(a), Some(b)) = (a.contiguous_rows(), b.contiguous_columns())
    {
        return dot::run(g, cx, a, b, c, ldc);
    }
    let blocking = Blocking::new(g.m, g.n, g.k, cx.isa, cx.caches, cx.pool.threads());
    let skip = scratch.as_ptr().align_offset(64).min(15).min(scratch.len());
    let scratch = &mut scratch[skip..];
    let blocking = blocking.within(scratch.len(), cx.pool.threads());
    let direct = if g.m <= FEW { b.contiguous_rows() } else { None };
    if let Some((data, stride)) = direct {
        assert!(g.k == 0 || data.len() >= (g.k - 1) * stride + g.n, "B of the product is too short");
    }
    let rows = a.contiguous_rows();
    if let Some((data, stride)) = rows {
        assert!(g.k == 0 || data.len() >= (g.m - 1) * stride + g.k, "A of the product is too short");
    }
    let packed = if blocking.split > 1 || direct.is_some() { None } else { g.packed };
    let blocking = match packed {
        Some(_) => blocking.of_packed(g.m, g.n, g.k, cx.pool.threads()),
        None => blocking,
    };
    assert!(packed.is_none_or(|panels| panels.len() >= blocking.packed_b()), "packed B of the product is too short");
    let product = Product { cx, g, blocking, a, b, rows, direct, packed };
    if blocking.split > 1 {
        product.split_depth(c, ldc, scratch);
    } else {
        product.split_output(c, ldc, scratch);
    }
}

/// Packs all of a right operand of `k` x `n`.
pub(super) fn pack(cx: &Compute, blocking: &Blocking, b: &dyn PackB, k: usize, n: usize, packed: &mut [f32]) {
    let (blocks, panels) = (k.div_ceil(blocking.kc), blocking.panels(n));
    let packed = SharedMut::new(packed);
    cx.pool.run(blocks * panels, &|task, _| {
        pack_panel(blocking, b, &packed, 0, k, 0, n, task / panels, task % panels);
    });
}

/// Packs one panel of one depth block of B. Block `b` begins at `b * kc * width`, `width` being the columns rounded up to
/// whole vectors.
fn pack_panel(
    bl: &Blocking,
    b: &dyn PackB,
    packed: &SharedMut<f32>,
    k0: usize,
    depth: usize,
    col0: usize,
    cols: usize,
    block: usize,
    panel: usize,
) {
    let kc = bl.kc.min(depth - block * bl.kc);
    let first = bl.panel_start(cols, panel);
    let left = cols - first;
    let nr = bl.panel_columns(left);
    let start = block * bl.kc * bl.width(cols) + first * kc;
    // SAFETY: each panel is packed by one task and lies apart from the others.
    let dst = unsafe { packed.slice(start, kc * nr) };
    b.pack(k0 + block * bl.kc, kc, col0 + first, left.min(nr), nr, dst);
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

    fn split_output(&self, c: &mut [f32], ldc: usize, scratch: &mut [f32]) {
        let (g, bl) = (self.g, &self.blocking);
        let (packed_b, packed_a) = scratch.split_at_mut(if self.packed.is_some() { 0 } else { bl.packed_b() });
        let (packed_b, packed_a, c) = (SharedMut::new(packed_b), SharedMut::new(packed_a), SharedMut::new(c));
        let mut col0 = 0;
        while col0 < g.n {
            let cols = bl.nc.min(g.n - col0);
            let mut k0 = 0;
            // A product of depth zero still writes zeros, hence at least one pass.
            loop {
                let depth = bl.kb.min(g.k - k0);
                if self.packed.is_none() {
                    let (blocks, panels) = (depth.div_ceil(bl.kc), bl.panels(cols));
                    self.distribute(blocks * panels, &|task, _| {
                        let (block, panel) = (task / panels, task % panels);
                        self.pack_b(&packed_b, k0, depth, col0, cols, block, panel);
                    });
                }
                let row_tasks = g.m.div_ceil(bl.mc);
                let column_tasks = bl.column_tasks(cols);
                self.distribute(row_tasks * column_tasks, &|task, worker| {
                    let (row0, column) = (task / column_tasks * bl.mc, task % column_tasks);
                    let jump = column * bl.nt;
                    let part = Part {
                        row0,
                        rows: bl.mc.min(g.m - row0),
                        col0: col0 + jump,
                        cols: if column + 1 == column_tasks { cols - jump } else { bl.nt },
                        k0,
                        depth,
                    };
                    // SAFETY: each worker index is used by one thread at a time.
                    let own = unsafe { packed_a.slice(worker * bl.packed_a(), bl.packed_a()) };
                    // SAFETY: this task alone writes this tile; B is only read while the tiles are computed.
                    unsafe {
                        let tile = c.as_mut_ptr().add(part.row0 * ldc + part.col0);
                        let b = self.packed.map_or(packed_b.as_mut_ptr().cast_const(), <[f32]>::as_ptr);
                        self.multiply(&part, tile, ldc, g.accumulate || k0 > 0, b, bl.width(cols), jump, own);
                        if k0 + depth == g.k
                            && let Some(epilogue) = g.epilogue
                        {
                            epilogue.apply(part.row0, part.col0, part.rows, part.cols, tile, ldc);
                        }
                    }
                });
                k0 += depth;
                if k0 >= g.k {
                    break;
                }
            }
            col0 += cols;
        }
    }

    /// Few outputs and a great depth: chunks of the depth go to different tasks, and their sums are added in order.
    fn split_depth(&self, c: &mut [f32], ldc: usize, scratch: &mut [f32]) {
        let (g, bl) = (self.g, &self.blocking);
        let size = g.m * g.n;
        let (partial, own) = scratch.split_at_mut((size * bl.split).next_multiple_of(16));
        let (partial, own) = (SharedMut::new(partial), SharedMut::new(own));
        let chunk = g.k.div_ceil(bl.split).next_multiple_of(8);
        let of_worker = bl.packed_a() + bl.packed_b();
        // A plan made for a product that is not split may have room for one task at a time only.
        let one_by_one = own.len() / of_worker < self.cx.pool.threads();
        let distribute = |f: &(dyn Fn(usize, usize) + Sync)| match one_by_one {
            true => (0..bl.split).for_each(|task| f(task, 0)),
            false => self.distribute(bl.split, f),
        };
        distribute(&|task, worker| {
            // SAFETY: each task has its own partial sums, and each worker index is used by one thread at a time.
            let (sums, own) = unsafe { (partial.slice(task * size, size), own.slice(worker * of_worker, of_worker)) };
            let (own_b, own_a) = own.split_at_mut(bl.packed_b());
            let (start, end) = ((task * chunk).min(g.k), ((task + 1) * chunk).min(g.k));
            if start == end {
                sums.fill(0.0);
            }
            for k0 in (start..end).step_by(bl.kc) {
                let depth = bl.kc.min(end - k0);
                {
                    let packed_b = SharedMut::new(own_b);
                    for panel in 0..bl.panels(g.n) {
                        self.pack_b(&packed_b, k0, depth, 0, g.n, 0, panel);
                    }
                }
                for row0 in (0..g.m).step_by(bl.mc) {
                    let part = Part { row0, rows: bl.mc.min(g.m - row0), col0: 0, cols: g.n, k0, depth };
                    // SAFETY: the sums and the packed blocks are this task's own.
                    unsafe {
                        let tile = sums.as_mut_ptr().add(row0 * g.n);
                        self.multiply(&part, tile, g.n, k0 > start, own_b.as_ptr(), bl.width(g.n), 0, own_a);
                    }
                }
            }
        });
        // SAFETY: the tasks are done.
        let sums = unsafe { partial.slice(0, size * bl.split) };
        g.add_chunks(sums, c, ldc);
    }

    /// Packs one panel of one depth block of B, unless it is read where it lies.
    fn pack_b(
        &self,
        packed: &SharedMut<f32>,
        k0: usize,
        depth: usize,
        col0: usize,
        cols: usize,
        block: usize,
        panel: usize,
    ) {
        let bl = &self.blocking;
        let left = cols - bl.panel_start(cols, panel);
        if self.direct.is_some() && left >= bl.panel_columns(left) {
            return;
        }
        pack_panel(bl, self.b, packed, k0, depth, col0, cols, block, panel);
    }

    /// Computes one part of C from packed B, packing A on the way.
    ///
    /// # Safety
    /// `c` points at the part's first element, which with the rest of the part belongs to the caller; `b` at the packed
    /// blocks of B, `width` columns wide, of which the part begins at column `jump`.
    unsafe fn multiply(
        &self,
        part: &Part,
        c: *mut f32,
        ldc: usize,
        accumulate: bool,
        b: *const f32,
        width: usize,
        jump: usize,
        packed_a: &mut [f32],
    ) {
        let bl = &self.blocking;
        // Where packed B is not in the second-level cache, a panel is fetched while the one before is in use, a share of
        // it with each tile above another.
        let far = self.direct.is_none() && 4 * part.depth * width > self.cx.caches.l2 / 2;
        let next_lines = if far { (bl.nr * micro::STEPS / 16).div_ceil(part.rows.div_ceil(bl.mr)) } else { 0 };
        let mut block = 0;
        loop {
            let done = block * bl.kc;
            let kc = bl.kc.min(part.depth - done);
            let mut row = 0;
            while self.rows.is_none() && row < part.rows {
                let rows = bl.mr.min(part.rows - row);
                let mr = bl.tile_rows(rows);
                self.a.pack(part.row0 + row, rows, part.k0 + done, kc, mr, &mut packed_a[row * kc..(row + mr) * kc]);
                row += rows;
            }
            let mut col = 0;
            while col < part.cols {
                let left = part.cols - col;
                // One row of A keeps few sums, so B is read in longer pieces; only B itself has such rows.
                let long = if self.direct.is_some() && self.g.m == 1 { bl.long_columns(left) } else { None };
                let nr = long.unwrap_or(bl.panel_columns(left));
                let cols = nr.min(left);
                // A whole panel of an unpacked B lies inside of it, for its length was checked.
                let (panel, b_stride) = match self.direct {
                    Some((data, stride)) if cols == nr => {
                        (data.as_ptr().wrapping_add((part.k0 + done) * stride + part.col0 + col), stride)
                    }
                    _ => (b.wrapping_add(done * width + (jump + col) * kc), nr),
                };
                let next = match left > nr {
                    true => panel.wrapping_add(nr * kc),
                    false => b.wrapping_add((done + kc) * width + jump * kc),
                };
                let mut row = 0;
                while row < part.rows {
                    let left = part.rows - row;
                    let (rows, mr, a, a_rows) = match self.rows {
                        // Rows that do not exist cannot be read.
                        Some((data, stride)) => {
                            let rows = bl.whole_rows(left);
                            let first = (part.row0 + row) * stride + part.k0 + done;
                            (rows, rows, data.as_ptr().wrapping_add(first), Some(stride))
                        }
                        None => {
                            let rows = bl.mr.min(left);
                            (rows, bl.tile_rows(rows), packed_a[row * kc..].as_ptr(), None)
                        }
                    };
                    let tile = micro::Tile {
                        next: next.wrapping_add(row / bl.mr * (kc / micro::STEPS) * next_lines * 16),
                        next_lines,
                        a,
                        a_rows,
                        b: panel,
                        b_stride,
                        kc,
                        c: c.wrapping_add(row * ldc + col),
                        ldc,
                        rows,
                        cols,
                        accumulate: accumulate || block > 0,
                    };
                    // SAFETY: both panels were packed above or by the caller, or are rows and columns that exist, as was
                    // checked; the tile is part of the caller's part of C.
                    unsafe { micro::tile(self.cx.isa, mr, nr / bl.lanes, tile) };
                    row += rows;
                }
                col += nr;
            }
            block += 1;
            if block * bl.kc >= part.depth {
                break;
            }
        }
    }
}
