//! How a product is cut: a function of shape, instruction set and caches. The number of threads has a say only in how the
//! outputs are shared out among tasks, which no result depends on.

use crate::kernels::Caches;
use crate::simd::Isa;

/// The most columns of A (rows of B) that are packed together.
pub(crate) const KC_MAX: usize = 512;

/// Tasks that a product is cut into if it is large enough: sixteen share evenly among up to eight threads.
const TASKS: usize = 16;

/// Tasks for each thread where there are few rows: cut further, the rows of A would be packed more often than it pays.
const TASKS_PER_THREAD: usize = 4;

/// Tiles of the micro-kernel above each other in a task, where there are rows enough.
const HIGH: usize = 8;
/// The fewest, where the output is small.
const LOW: usize = 4;
/// The most: as many rows of A stay in the second-level cache.
const MOST: usize = 16;

/// Products with fewer multiplications run on the calling thread: handing over costs more.
const SERIAL_WORK: usize = 1 << 18;

/// The sizes of blocks, panels and tasks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Blocking {
    /// Rows of the micro-kernel's tile.
    pub mr: usize,
    /// Columns of the micro-kernel's tile.
    pub nr: usize,
    /// Numbers in a vector.
    pub lanes: usize,
    /// Depth of a block.
    pub kc: usize,
    /// Depth of B that is packed at once, a multiple of `kc`.
    pub kb: usize,
    /// Columns of B that are packed at once.
    pub nc: usize,
    /// Rows of a task.
    pub mc: usize,
    /// Columns of a task.
    pub nt: usize,
    /// Chunks that the depth is split into because the output alone gives too few tasks; 1: not split.
    pub split: usize,
    /// Whether the product is large enough for more than one thread.
    pub parallel: bool,
}

impl Blocking {
    pub fn new(m: usize, n: usize, k: usize, isa: Isa, caches: Caches, threads: usize) -> Blocking {
        // An empty product is cut like the smallest one.
        let (m, n) = (m.max(1), n.max(1));
        let (mr, vectors) = match isa {
            Isa::Portable => (4, 1),
            Isa::Avx2 => (6, 2),
            Isa::Avx512 => (12, 2),
        };
        let lanes = isa.lanes();
        let nr = vectors * lanes;
        let parallel = m.saturating_mul(n).saturating_mul(k) >= SERIAL_WORK;
        let most = deepest(nr, caches);
        let even = |k: usize, most: usize| k.max(1).div_ceil(k.max(1).div_ceil(most)).next_multiple_of(8);
        let kc = even(k, most);

        let tiles = m.div_ceil(4 * mr) * n.div_ceil(4 * nr);
        let split = if parallel && tiles < TASKS / 2 && k >= 4 * most { (k / (2 * most)).min(TASKS) } else { 1 };
        if split > 1 {
            let chunk = k.div_ceil(split).next_multiple_of(8);
            let kc = even(chunk, most);
            return Blocking {
                mr,
                nr,
                lanes,
                kc,
                kb: kc,
                nc: n,
                mc: (HIGH * mr).min(m.next_multiple_of(mr)),
                nt: n,
                split,
                parallel,
            };
        }

        // B is packed whole if it fits a quarter of the last-level cache.
        let budget = (caches.l3 / 4).clamp(1 << 20, 16 << 20) / 4;
        let (nc, kb) = if k.saturating_mul(n.next_multiple_of(nr)) <= budget {
            (n, k.next_multiple_of(kc).max(kc))
        } else {
            let nc = n.min((4096 / nr) * nr);
            (nc, (budget / nc.next_multiple_of(nr) / kc).max(1) * kc)
        };
        let (mc, nt) = task(m, nc, mr, nr, lanes, threads);
        Blocking { mr, nr, lanes, kc, kb, nc, mc, nt, split, parallel }
    }

    /// The rows of the tile that computes `left` rows or the first of them.
    pub fn tile_rows(&self, left: usize) -> usize {
        let ladder: &[usize] = match self.mr {
            12 => &[1, 2, 4, 8, 12],
            6 => &[1, 2, 4, 6],
            _ => &[1, 2, 4],
        };
        *ladder.iter().find(|&&rows| rows >= left).unwrap_or(&self.mr)
    }

    /// The columns of the panel that holds `left` columns or the first of them.
    pub fn panel_columns(&self, left: usize) -> usize {
        if left <= self.lanes { self.lanes } else { self.nr }
    }

    /// Numbers that a packed block of A takes; rounded so that each worker's begins on a cache line.
    pub fn packed_a(&self) -> usize {
        (self.mc.next_multiple_of(self.mr) * self.kc).next_multiple_of(16)
    }

    /// Numbers that a packed block of B takes.
    pub fn packed_b(&self) -> usize {
        (self.kb * self.nc.next_multiple_of(self.nr)).next_multiple_of(16)
    }

    /// The same blocking with so much less of B packed at once that all fits into `available` numbers. The order of
    /// additions, and with it the result, stays as it is.
    pub fn within(self, available: usize, threads: usize) -> Blocking {
        let for_b = available.saturating_sub(threads * self.packed_a()) / 16 * 16;
        if self.split > 1 || self.packed_b() <= for_b {
            return self;
        }
        let width = self.nc.next_multiple_of(self.nr);
        if self.kc * width <= for_b {
            return Blocking { kb: for_b / width / self.kc * self.kc, ..self };
        }
        let nc = (for_b / self.kc / self.nr).max(1) * self.nr;
        Blocking { kb: self.kc, nc, nt: self.nt.min(nc), ..self }
    }

    /// Numbers of scratch that suffice for this product and for each one that is smaller in any of its sizes: a plan
    /// made for the largest batch and the longest sequence serves all others, which may be cut in another way.
    pub fn scratch(&self, m: usize, n: usize, k: usize, caches: Caches, threads: usize) -> usize {
        let most = deepest(self.nr, caches);
        // A smaller product may have deeper blocks: its depth is cut into fewer.
        let depth = most.min(k.next_multiple_of(8)).max(self.kc);
        // Its tasks may be higher, but never than these.
        let of_a = self.mc.max(HIGH * self.mr).min(m.next_multiple_of(self.mr)).next_multiple_of(self.mr) * depth;
        let width = n.next_multiple_of(self.nr);
        let own = if self.split > 1 {
            (m * n * self.split).next_multiple_of(16) + threads * ((of_a + depth * width).next_multiple_of(16) + 32)
        } else {
            self.packed_b() + threads * (of_a + 16)
        };
        // What is not split may be with fewer rows or columns; one task at a time then is enough.
        let tile = 16 * self.mr * self.nr;
        let split = if k >= 4 * most {
            let outputs = (m * n).min((TASKS / 2 - 1) * tile) * (k / (2 * most)).min(TASKS);
            outputs + HIGH * self.mr * depth + depth * width.min(4 * self.nr * (TASKS / 2 - 1)) + 64
        } else {
            0
        };
        // Sixteen more let the first block begin on a cache line.
        own.max(split) + 16
    }
}

/// Rows and columns of a task of a product of `m` x `n`.
///
/// A panel of B comes from a far cache once for all tiles of a task that are above each other, and where a task is narrow
/// its rows of A are packed for few columns: tasks are cut narrower first, then lower, and neither beyond a limit.
fn task(m: usize, n: usize, mr: usize, nr: usize, lanes: usize, threads: usize) -> (usize, usize) {
    let whole = n.next_multiple_of(nr);
    let row_tasks = m.div_ceil(HIGH * mr);
    if row_tasks >= TASKS {
        return (m.div_ceil(TASKS).next_multiple_of(mr).min(MOST * mr), whole);
    }
    let few = (TASKS_PER_THREAD * threads).clamp(TASKS / 2, TASKS);
    let tasks = if row_tasks < few { few } else { TASKS };
    // A single row reads B in pieces of eight vectors.
    let narrowest = if m == 1 { 8 * lanes } else { 4 * nr };
    let nt = n.div_ceil(tasks.div_ceil(row_tasks)).next_multiple_of(nr).max(narrowest).min(whole);
    let row_tasks = row_tasks.max(tasks.div_ceil(n.div_ceil(nt)));
    let mc = m.div_ceil(row_tasks).next_multiple_of(mr).max(LOW * mr).min(m.next_multiple_of(mr));
    (mc, nt)
}

/// The depth that no block exceeds. A's panel stays in the first-level cache while B's panels, up to twice its size,
/// stream from the second: deeper blocks read and write C less often, which measures faster than panels of B that fit the
/// first level.
fn deepest(nr: usize, caches: Caches) -> usize {
    (caches.l1 / (2 * nr)).clamp(128, KC_MAX) / 8 * 8
}
