//! How a product in bfloat16 is cut: by its shape and the last-level cache alone.

use super::pack::DEEPEST;
use super::{DEPTH, NARROW, SIDE, TILE};
use crate::kernels::Caches;

/// Tasks that a product is cut into if it is large enough.
const TASKS: usize = 16;
/// Rows of a task: enough that a panel of B is read several times, and no more than leave the second-level cache to B.
const LOW: usize = 64;
const HIGH: usize = 128;
/// Columns of a task, or packing its rows takes longer than multiplying them.
const NARROWEST: usize = 256;

/// Products with fewer multiplications run on the calling thread: handing over costs more.
const SERIAL_WORK: usize = 1 << 20;

/// With fewer tasks than this the depth is split, if it is at least [`SPLIT_DEPTH`] and the output at most [`SPLIT_OUTPUT`].
const FEW: usize = 8;
const SPLIT_DEPTH: usize = 4 * DEEPEST;
const SPLIT_OUTPUT: usize = 1 << 16;
/// The least depth of a chunk.
const CHUNK: usize = 2 * DEEPEST;

/// Columns of B that are packed together where B is too large to be packed whole.
const MANY_COLUMNS: usize = 4096;

/// The sizes of blocks and tasks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Blocking {
    /// Depth of a block, a multiple of 32.
    pub kc: usize,
    /// Depth of B that is packed at once, a multiple of `kc` or all of it.
    pub kb: usize,
    /// Columns of B that are packed at once, a multiple of 32 or all of them.
    pub nc: usize,
    /// Rows of a task.
    pub mc: usize,
    /// Columns of a task, a multiple of 32 or all of them.
    pub nt: usize,
    /// Chunks that the depth is split into because the output alone gives too few tasks; 1: not split.
    pub split: usize,
    /// Whether the product is large enough for more than one thread.
    pub parallel: bool,
}

/// Numbers of memory that hold so many packed rows or columns (whole vectors) of depth `k`.
pub(super) fn packed(lines: usize, k: usize) -> usize {
    lines * (k.next_multiple_of(DEPTH) / 2)
}

/// Columns with those that fill the last panel.
pub(super) fn width(columns: usize) -> usize {
    columns.next_multiple_of(NARROW)
}

/// The most numbers of memory that packed B takes, unless it is packed whole whatever its size.
fn budget(caches: Caches) -> usize {
    ((caches.l3 / 4).clamp(1 << 20, 16 << 20) / 4).max(packed(MANY_COLUMNS, DEEPEST))
}

/// The depth of blocks: as even as they can be.
pub(super) fn depth(k: usize) -> usize {
    k.div_ceil(k.div_ceil(DEEPEST).max(1)).next_multiple_of(DEPTH)
}

impl Blocking {
    pub fn new(m: usize, n: usize, k: usize, caches: Caches) -> Blocking {
        let kc = depth(k);
        let (nc, kb) = if packed(width(n), k) <= budget(caches) {
            (n, k)
        } else {
            let nc = n.min(MANY_COLUMNS);
            (nc, (budget(caches) / packed(width(nc), kc)).max(1) * kc)
        };
        let (mc, nt) = task(m, nc);
        let tasks = m.div_ceil(mc) * n.div_ceil(nt);
        let parallel = m.saturating_mul(n).saturating_mul(k) >= SERIAL_WORK;
        if parallel && tasks < FEW && k >= SPLIT_DEPTH && m * n <= SPLIT_OUTPUT {
            let split = (k / CHUNK).min(TASKS);
            let mc = HIGH.min(m.next_multiple_of(SIDE));
            return Blocking { kc, kb: kc, nc: n, mc, nt: n, split, parallel };
        }
        Blocking { kc, kb, nc, mc, nt, split: 1, parallel }
    }

    /// The same product with all of B at hand: only its outputs are cut.
    pub fn of_packed(self, m: usize, n: usize, k: usize) -> Blocking {
        let (mc, nt) = task(m, n);
        Blocking { kb: k, nc: n, mc, nt, ..self }
    }

    /// Depth of a chunk of a depth that is split.
    pub fn chunk(&self, k: usize) -> usize {
        k.div_ceil(self.split).next_multiple_of(DEPTH)
    }

    /// Numbers that a packed block of A takes.
    pub fn packed_a(&self) -> usize {
        self.mc.div_ceil(SIDE) * TILE * (self.kc / DEPTH)
    }

    /// Numbers that a packed block of B takes.
    pub fn packed_b(&self) -> usize {
        packed(width(self.nc), self.kb)
    }
}

/// Numbers of scratch that suffice for a product and for each one that is smaller in any of its sizes: every term grows
/// with each of them.
pub(in super::super) fn scratch(m: usize, n: usize, k: usize, caches: Caches, threads: usize) -> usize {
    let deepest = k.min(DEEPEST);
    let of_a = packed(m.next_multiple_of(SIDE).min(HIGH), deepest);
    let whole = packed(width(n), k).min(budget(caches)) + threads * of_a;
    let split = if k >= SPLIT_DEPTH {
        let sums = (m * n).min(SPLIT_OUTPUT) * (k / CHUNK).min(TASKS);
        // Fewer tasks than few, each as narrow as a task may be.
        let of_b = packed(width(n).min(FEW * NARROWEST), deepest);
        (sums + NARROW) + threads * (of_a + of_b)
    } else {
        0
    };
    // Sixteen more let the first block begin on a cache line.
    whole.max(split) + 16
}

/// Rows and columns of a task of a product of `m` x `n`.
fn task(m: usize, n: usize) -> (usize, usize) {
    let mc = m.div_ceil(TASKS).next_multiple_of(SIDE).clamp(LOW, HIGH).min(m.next_multiple_of(SIDE));
    let row_tasks = m.div_ceil(mc);
    if row_tasks >= TASKS {
        return (mc, n);
    }
    let nt = n.div_ceil(TASKS.div_ceil(row_tasks)).next_multiple_of(SIDE).max(NARROWEST);
    (mc, nt.min(n))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scratch_grows_with_every_size_and_holds_what_the_blocks_need() {
        let caches = Caches::default();
        let sizes = [1, 16, 31, 33, 64, 100, 130, 500, 1030, 2047, 2048, 2100, 5000, 70_000];
        for m in sizes {
            for n in sizes {
                for k in sizes {
                    let room = scratch(m, n, k, caches, 3) - 16;
                    for smaller in [
                        scratch(m - 1, n, k, caches, 3),
                        scratch(m, n - 1, k, caches, 3),
                        scratch(m, n, k - 1, caches, 3),
                    ] {
                        assert!(smaller <= room + 16, "{m} x {n} x {k}");
                    }
                    let blocking = Blocking::new(m, n, k, caches);
                    let need = match blocking.split {
                        1 => blocking.packed_b() + 3 * blocking.packed_a(),
                        split => (m * n * split).next_multiple_of(16) + 3 * (blocking.packed_a() + blocking.packed_b()),
                    };
                    assert!(need <= room, "{m} x {n} x {k}: {need} of {room}, {blocking:?}");
                }
            }
        }
    }
}
