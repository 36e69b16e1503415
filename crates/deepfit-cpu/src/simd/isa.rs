//! Which instruction sets this processor has, and which one to use.

use std::fmt;
use std::str::FromStr;
use std::sync::OnceLock;

use crate::error::Error;

/// An instruction set that the kernels are compiled for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Isa {
    /// Plain Rust for any processor.
    Portable,
    /// 256-bit vectors with fused multiply-add (x86-64).
    Avx2,
    /// 512-bit vectors, AVX-512F (x86-64).
    Avx512,
}

impl Isa {
    /// The instruction set to use: the widest that the processor has, or the one that the environment variable
    /// `DEEPFIT_ISA` (`portable`, `avx2`, `avx512`) names. The answer is found once a process.
    ///
    /// # Errors
    /// [`Error::UnknownIsa`] or [`Error::UnsupportedIsa`] if the variable is set to something else.
    pub fn detect() -> Result<Isa, Error> {
        static CHOSEN: OnceLock<Result<Isa, Error>> = OnceLock::new();
        CHOSEN
            .get_or_init(|| {
                Isa::choose(std::env::var_os("DEEPFIT_ISA").as_deref().map(|v| v.to_string_lossy()).as_deref())
            })
            .clone()
    }

    /// What [`detect`](Isa::detect) answers for a given value of the variable (`None`: not set).
    pub fn choose(variable: Option<&str>) -> Result<Isa, Error> {
        match variable {
            None | Some("") => Ok(*Isa::available().last().expect("portable is always there")),
            Some(name) => {
                let isa: Isa = name.parse()?;
                if isa.is_available() {
                    return Ok(isa);
                }
                let names: Vec<&str> = Isa::available().iter().map(|isa| isa.name()).collect();
                Err(Error::UnsupportedIsa { value: name.to_string(), available: names.join(", ") })
            }
        }
    }

    /// The instruction sets that this processor has, narrowest first; `Portable` is always among them.
    pub fn available() -> &'static [Isa] {
        match (Isa::Avx2.is_available(), Isa::Avx512.is_available()) {
            (true, true) => &[Isa::Portable, Isa::Avx2, Isa::Avx512],
            (true, false) => &[Isa::Portable, Isa::Avx2],
            _ => &[Isa::Portable],
        }
    }

    /// Whether this processor has the instruction set.
    #[inline]
    pub fn is_available(self) -> bool {
        match self {
            Isa::Portable => true,
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => is_x86_feature_detected!("avx512f") && Isa::Avx2.is_available(),
            #[cfg(not(target_arch = "x86_64"))]
            _ => false,
        }
    }

    /// The name that `DEEPFIT_ISA` understands.
    pub fn name(self) -> &'static str {
        match self {
            Isa::Portable => "portable",
            Isa::Avx2 => "avx2",
            Isa::Avx512 => "avx512",
        }
    }

    /// Numbers of type `f32` in a vector.
    pub fn lanes(self) -> usize {
        match self {
            Isa::Portable | Isa::Avx2 => 8,
            Isa::Avx512 => 16,
        }
    }
}

impl fmt::Display for Isa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Isa {
    type Err = Error;

    fn from_str(text: &str) -> Result<Isa, Error> {
        match text {
            "portable" => Ok(Isa::Portable),
            "avx2" => Ok(Isa::Avx2),
            "avx512" => Ok(Isa::Avx512),
            _ => Err(Error::UnknownIsa { value: text.to_string() }),
        }
    }
}
