//! AMX, an accelerator in some processors: registers of tiles, 16 rows of 64 bytes, and an instruction that multiplies a
//! tile of 16 x 32 bfloat16 numbers by one of 32 x 16 and adds to one of 16 x 16 f32. Rust has no stable functions for its
//! instructions, which is why they stand here as they are.

use std::arch::asm;
use std::sync::OnceLock;

use super::tile::Tile;
use super::{NARROW, PAIRS, SIDE};

/// Number of the system call `arch_prctl`, and what is asked of it: to use a part of the processor's state that grows what
/// the system saves of a thread.
const ARCH_PRCTL: usize = 158;
const REQUEST: usize = 0x1023;
const TILE_DATA: usize = 18;

/// Whether the processor has the instructions and the system lets this process use them, for which it is asked once.
pub(super) fn is_available() -> bool {
    static FOUND: OnceLock<bool> = OnceLock::new();
    *FOUND.get_or_init(|| has_instructions() && is_allowed())
}

fn has_instructions() -> bool {
    // Leaf 7 tells of AMX-BF16 and AMX-TILE in bits 22 and 24 of EDX.
    const BOTH: u32 = 1 << 22 | 1 << 24;
    #[allow(unused_unsafe, reason = "older compilers have it as unsafe")]
    // SAFETY: every processor with AVX-512 has the instruction and leaf 0.
    let (most, leaf) = unsafe {
        use std::arch::x86_64::{__cpuid, __cpuid_count};
        (__cpuid(0).eax, __cpuid_count(7, 0))
    };
    most >= 7 && leaf.edx & BOTH == BOTH
}

fn is_allowed() -> bool {
    let mut result = ARCH_PRCTL;
    // SAFETY: the call reads no memory; a system that does not know it says so.
    unsafe {
        asm!("syscall", inout("rax") result, in("rdi") REQUEST, in("rsi") TILE_DATA, out("rcx") _, out("r11") _,
            options(nostack));
    }
    result == 0
}

/// All eight tiles with 16 rows of 64 bytes.
#[repr(C, align(64))]
struct Shapes([u8; 64]);

static SHAPES: Shapes = {
    let mut bytes = [0; 64];
    bytes[0] = 1;
    let mut tile = 0;
    while tile < 8 {
        bytes[16 + 2 * tile] = 64;
        bytes[48 + tile] = 16;
        tile += 1;
    }
    Shapes(bytes)
};

/// Makes this thread's tiles ready.
///
/// # Safety
/// AMX must be [available](is_available).
pub(super) unsafe fn configure() {
    // SAFETY: reads the 64 bytes.
    unsafe { asm!("ldtilecfg [{}]", in(reg) SHAPES.0.as_ptr(), options(nostack, readonly)) };
}

/// Gives the tiles back, so that the system has less to save of this thread.
///
/// # Safety
/// AMX must be [available](is_available).
pub(super) unsafe fn release() {
    // SAFETY: touches nothing but tiles.
    unsafe { asm!("tilerelease", options(nostack, nomem)) };
}

/// A loop over the depth with the sums in tiles: `$begin` loads or clears them, `$step` is what is done 32 numbers deep, and
/// `$end` stores them.
macro_rules! sums {
    ($t:expr, $c:expr, $ldc:expr, [$($begin:literal),*], [$($step:literal),*], [$($end:literal),*]) => {
        asm!(
            // The one operand that not every loop has a use for.
            "/* {low} */",
            $($begin,)*
            "2:",
            $($step,)*
            "add {a}, {a_step}",
            "add {b}, {b_step}",
            "dec {steps}",
            "jnz 2b",
            $($end,)*
            a = inout(reg) $t.a => _,
            b = inout(reg) $t.b => _,
            steps = inout(reg) $t.steps => _,
            a_row = in(reg) 4 * PAIRS,
            b_row = in(reg) 4 * $t.width,
            a_step = const 4 * SIDE * PAIRS,
            b_step = in(reg) 4 * PAIRS * $t.width,
            c = in(reg) $c,
            low = in(reg) $c.wrapping_add(NARROW * $ldc),
            c_row = in(reg) 4 * $ldc,
            out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
            out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
            options(nostack),
        )
    };
}

/// The sums of so many tiles, which begin where C is or as zeros.
macro_rules! multiply {
    ($t:expr, $c:expr, $ldc:expr, [$($clear:literal),*], [$($load:literal),*], $step:tt, $end:tt) => {
        if $t.accumulate {
            sums!($t, $c, $ldc, [$($load),*], $step, $end)
        } else {
            sums!($t, $c, $ldc, [$($clear),*], $step, $end)
        }
    };
}

/// Multiplies panels into `c`, whose rows are `ldc` numbers apart, in whole tiles: rows and columns are filled up to 16.
///
/// # Safety
/// The panels must be readable as [`Tile`] says, with at least one step, `c` writable, and this thread's tiles
/// [ready](configure).
pub(super) unsafe fn multiply(t: &Tile, c: *mut f32, ldc: usize) {
    // SAFETY: the loads and stores are those of the panels and of whole tiles of C, which the caller promises; the code
    // changes the flags and what it names.
    unsafe {
        match (t.rows > NARROW, t.width > NARROW) {
            (true, true) => multiply!(
                t,
                c,
                ldc,
                ["tilezero tmm0", "tilezero tmm1", "tilezero tmm2", "tilezero tmm3"],
                [
                    "tileloadd tmm0, [{c} + {c_row}]",
                    "tileloadd tmm1, [{c} + {c_row} + 64]",
                    "tileloadd tmm2, [{low} + {c_row}]",
                    "tileloadd tmm3, [{low} + {c_row} + 64]"
                ],
                [
                    "tileloadd tmm4, [{a} + {a_row}]",
                    "tileloadd tmm6, [{b} + {b_row}]",
                    "tdpbf16ps tmm0, tmm4, tmm6",
                    "tileloadd tmm7, [{b} + {b_row} + 64]",
                    "tdpbf16ps tmm1, tmm4, tmm7",
                    "tileloadd tmm5, [{a} + {a_row} + 1024]",
                    "tdpbf16ps tmm2, tmm5, tmm6",
                    "tdpbf16ps tmm3, tmm5, tmm7"
                ],
                [
                    "tilestored [{c} + {c_row}], tmm0",
                    "tilestored [{c} + {c_row} + 64], tmm1",
                    "tilestored [{low} + {c_row}], tmm2",
                    "tilestored [{low} + {c_row} + 64], tmm3"
                ]
            ),
            (true, false) => multiply!(
                t,
                c,
                ldc,
                ["tilezero tmm0", "tilezero tmm2"],
                ["tileloadd tmm0, [{c} + {c_row}]", "tileloadd tmm2, [{low} + {c_row}]"],
                [
                    "tileloadd tmm6, [{b} + {b_row}]",
                    "tileloadd tmm4, [{a} + {a_row}]",
                    "tdpbf16ps tmm0, tmm4, tmm6",
                    "tileloadd tmm5, [{a} + {a_row} + 1024]",
                    "tdpbf16ps tmm2, tmm5, tmm6"
                ],
                ["tilestored [{c} + {c_row}], tmm0", "tilestored [{low} + {c_row}], tmm2"]
            ),
            (false, true) => multiply!(
                t,
                c,
                ldc,
                ["tilezero tmm0", "tilezero tmm1"],
                ["tileloadd tmm0, [{c} + {c_row}]", "tileloadd tmm1, [{c} + {c_row} + 64]"],
                [
                    "tileloadd tmm4, [{a} + {a_row}]",
                    "tileloadd tmm6, [{b} + {b_row}]",
                    "tdpbf16ps tmm0, tmm4, tmm6",
                    "tileloadd tmm7, [{b} + {b_row} + 64]",
                    "tdpbf16ps tmm1, tmm4, tmm7"
                ],
                ["tilestored [{c} + {c_row}], tmm0", "tilestored [{c} + {c_row} + 64], tmm1"]
            ),
            (false, false) => multiply!(
                t,
                c,
                ldc,
                ["tilezero tmm0"],
                ["tileloadd tmm0, [{c} + {c_row}]"],
                ["tileloadd tmm4, [{a} + {a_row}]", "tileloadd tmm6, [{b} + {b_row}]", "tdpbf16ps tmm0, tmm4, tmm6"],
                ["tilestored [{c} + {c_row}], tmm0"]
            ),
        }
    }
}
