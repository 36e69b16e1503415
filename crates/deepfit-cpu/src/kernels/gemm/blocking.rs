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

/// Rows of a task, for each number of a vector, where there are rows enough: a whole number of tiles of any height.
const HIGH: usize = 6;
/// The fewest, where the output is small.
const LOW: usize = 3;
/// The most: as many rows of A stay in the second-level cache.
const MOST: usize = 12;

/// Products with fewer multiplications run on the calling thread: handing over costs more.
const SERIAL_WORK: usize = 1 << 18;

/// Of a few rows by a right operand of so many numbers or more, which take longer to fetch than to multiply, each thread
/// fetches a part.
const SHARED_OPERAND: usize = 1 << 15;

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
            Isa::Avx512 => (8, 3),
        };
        let lanes = isa.lanes();
        let nr = vectors * lanes;
        let operand = n.saturating_mul(k);
        let parallel = operand >= SHARED_OPERAND || m.saturating_mul(operand) >= SERIAL_WORK;
        let most = deepest(nr, caches);
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
                mc: (HIGH * lanes).min(m.next_multiple_of(mr)),
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

    /// How a right operand is cut that is packed as a whole, whatever the rows of the left one.
    pub fn of_operand(n: usize, k: usize, isa: Isa, caches: Caches) -> Blocking {
        let blocking = Blocking::new(1, n, 1, isa, caches, 1);
        let kc = even(k, deepest(blocking.nr, caches));
        Blocking { kc, kb: k.next_multiple_of(kc).max(kc), nc: n.max(1), ..blocking }
    }

    /// The same product with all of B at hand: only its outputs are cut.
    pub fn of_packed(self, m: usize, n: usize, k: usize, threads: usize) -> Blocking {
        let (mc, nt) = task(m, n, self.mr, self.nr, self.lanes, threads);
        Blocking { kb: k.next_multiple_of(self.kc).max(self.kc), nc: n, mc, nt, ..self }
    }

    /// The rows of the tile that computes `left` rows or the first of them.
    pub fn tile_rows(&self, left: usize) -> usize {
        *self.heights().iter().find(|&&rows| rows >= left).unwrap_or(&self.mr)
    }

    /// The rows of the highest tile that has no more than `left`, which is not 0.
    pub fn whole_rows(&self, left: usize) -> usize {
        *self.heights().iter().rev().find(|&&rows| rows <= left).unwrap_or(&1)
    }

    /// Heights of tiles, lowest first.
    fn heights(&self) -> &'static [usize] {
        match self.mr {
            8 => &[1, 2, 4, 8],
            6 => &[1, 2, 4, 6],
            _ => &[1, 2, 4],
        }
    }

    /// The columns of the panel that holds `left` columns or the first of them: as many vectors as a tile has at most, or
    /// two of the last four, rather than leave one alone.
    pub fn panel_columns(&self, left: usize) -> usize {
        let (vectors, most) = (left.div_ceil(self.lanes), self.nr / self.lanes);
        self.lanes * if vectors == 4 && most == 3 { 2 } else { vectors.min(most) }
    }

    /// Columns of a few panels that a single row takes together, if `left` columns have so many: the panels behind them begin
    /// where they would otherwise.
    pub fn long_columns(&self, left: usize) -> Option<usize> {
        let (wide, most) = (left / self.lanes, self.nr / self.lanes);
        let long = if most == 3 { 9 } else { 8 };
        let rest = left.div_ceil(self.lanes).checked_sub(long)?;
        (wide >= long && (most < 3 || rest != 1)).then_some(long * self.lanes)
    }

    /// Panels of a block of `cols` columns.
    pub fn panels(&self, cols: usize) -> usize {
        let most = self.nr / self.lanes;
        cols.div_ceil(self.lanes).div_ceil(most)
    }

    /// The column with which a panel of a block of `cols` columns begins.
    pub fn panel_start(&self, cols: usize, panel: usize) -> usize {
        let (vectors, most) = (cols.div_ceil(self.lanes), self.nr / self.lanes);
        // Of the four vectors in the last two panels, the last panel takes two.
        let moved = most == 3 && vectors % 3 == 1 && vectors > 1 && panel + 1 == self.panels(cols);
        panel * self.nr - if moved { self.lanes } else { 0 }
    }

    /// Columns of a block with those that fill its last vector.
    pub fn width(&self, cols: usize) -> usize {
        cols.next_multiple_of(self.lanes)
    }

    /// Tasks next to each other in a block of `cols` columns: no task begins with the last vector, which may be of the panel
    /// before.
    pub fn column_tasks(&self, cols: usize) -> usize {
        let tasks = cols.div_ceil(self.nt);
        let last = cols - (tasks - 1).min(cols / self.nt) * self.nt;
        if tasks > 1 && last <= self.lanes { tasks - 1 } else { tasks }
    }

    /// Numbers that a packed block of A takes; rounded so that each worker's begins on a cache line.
    pub fn packed_a(&self) -> usize {
        (self.mc.next_multiple_of(self.mr) * self.kc).next_multiple_of(16)
    }

    /// Numbers that a packed block of B takes.
    pub fn packed_b(&self) -> usize {
        (self.kb * self.width(self.nc)).next_multiple_of(16)
    }

    /// The same blocking with so much less of B packed at once that all fits into `available` numbers. The order of
    /// additions, and with it the result, stays as it is.
    pub fn within(self, available: usize, threads: usize) -> Blocking {
        let for_b = available.saturating_sub(threads * self.packed_a()) / 16 * 16;
        if self.split > 1 || self.packed_b() <= for_b {
            return self;
        }
        let width = self.width(self.nc);
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
        let of_a = self.mc.max(HIGH * self.lanes).min(m.next_multiple_of(self.mr)).next_multiple_of(self.mr) * depth;
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
            outputs + HIGH * self.lanes * depth + depth * width.min(4 * self.nr * (TASKS / 2 - 1)) + 64
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
    let row_tasks = m.div_ceil(HIGH * lanes);
    if row_tasks >= TASKS {
        return (m.div_ceil(TASKS).next_multiple_of(mr).min(MOST * lanes), whole);
    }
    let few = (TASKS_PER_THREAD * threads).clamp(TASKS / 2, TASKS);
    let tasks = if row_tasks < few { few } else { TASKS };
    // A single row reads B in long pieces, but each thread has some of it.
    let narrowest = if m == 1 { n.div_ceil(threads).next_multiple_of(nr).min(9 * nr) } else { 4 * nr };
    let nt = n.div_ceil(tasks.div_ceil(row_tasks)).next_multiple_of(nr).max(narrowest).min(whole);
    let row_tasks = row_tasks.max(tasks.div_ceil(n.div_ceil(nt)));
    let mc = m.div_ceil(row_tasks).next_multiple_of(mr).max(LOW * lanes).min(m.next_multiple_of(mr));
    (mc, nt)
}

/// The depth of a block of a product of depth `k`: blocks as even as they can be, none deeper than `most`.
fn even(k: usize, most: usize) -> usize {
    k.max(1).div_ceil(k.max(1).div_ceil(most)).next_multiple_of(8)
}

/// The depth that no block exceeds. A's panel stays in the first-level cache while B's panels, up to twice its size,
/// stream from the second: deeper blocks read and write C less often, which measures faster than panels of B that fit the
/// first level.
fn deepest(nr: usize, caches: Caches) -> usize {
    (caches.l1 / (2 * nr)).clamp(128, KC_MAX) / 8 * 8
}
