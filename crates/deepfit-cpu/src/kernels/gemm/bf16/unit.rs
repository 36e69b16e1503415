//! What multiplies numbers in bfloat16.

use crate::error::Error;
use crate::simd::Isa;

/// The part of a processor that multiplies numbers in bfloat16. Having one proves that the processor has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unit(Kind);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Plain,
    #[cfg(target_arch = "x86_64")]
    Vectors,
    #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
    Tiles,
}

impl Unit {
    /// Plain Rust, which rounds alike and is slow: for tests.
    pub const PLAIN: Unit = Unit(Kind::Plain);

    /// All of this processor, the fastest last: plain Rust (`plain`), vectors (`avx512-bf16`), and an accelerator that
    /// multiplies tiles (`amx-bf16`), which the operating system must allow a process to use.
    pub fn available() -> &'static [Unit] {
        #[cfg(target_arch = "x86_64")]
        if lacking().is_none() {
            #[cfg(target_os = "linux")]
            if super::amx::is_available() {
                return &[Unit::PLAIN, Unit(Kind::Vectors), Unit(Kind::Tiles)];
            }
            return &[Unit::PLAIN, Unit(Kind::Vectors)];
        }
        &[Unit::PLAIN]
    }

    /// The fastest of this processor.
    ///
    /// # Errors
    /// [`Error::NoBf16`] if none but plain Rust would be, or kernels are not to use its widest vectors.
    pub fn detect(isa: Isa) -> Result<Unit, Error> {
        if let Some(lacks) = lacking() {
            return Err(Error::NoBf16 { reason: format!("this processor lacks {lacks}") });
        }
        if isa != Isa::Avx512 {
            return Err(Error::NoBf16 { reason: format!("DEEPFIT_ISA={isa} leaves these out") });
        }
        Ok(*Unit::available().last().unwrap_or(&Unit::PLAIN))
    }

    /// What it is called.
    pub fn name(self) -> &'static str {
        match self.0 {
            Kind::Plain => "plain",
            #[cfg(target_arch = "x86_64")]
            Kind::Vectors => "avx512-bf16",
            #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
            Kind::Tiles => "amx-bf16",
        }
    }

    /// Whether it is an accelerator of tiles, many times as fast as vectors.
    pub fn multiplies_tiles(self) -> bool {
        match self.0 {
            #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
            Kind::Tiles => true,
            _ => false,
        }
    }

    pub(super) fn kind(self) -> Kind {
        self.0
    }
}

/// The first instructions that are needed and missing.
#[cfg(target_arch = "x86_64")]
fn lacking() -> Option<&'static str> {
    let needed = [
        ("AVX-512F", Isa::Avx512.is_available()),
        ("AVX-512BW", is_x86_feature_detected!("avx512bw")),
        ("AVX512-BF16", is_x86_feature_detected!("avx512bf16")),
    ];
    needed.iter().find(|(_, there)| !there).map(|(name, _)| *name)
}

#[cfg(not(target_arch = "x86_64"))]
fn lacking() -> Option<&'static str> {
    Some("AVX512-BF16, which only x86-64 has")
}
