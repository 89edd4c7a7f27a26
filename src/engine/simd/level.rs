//! What this CPU can do, as values that prove it.
//!
//! Invariant: an [`Avx2`] or [`Avx512`] exists only on a CPU that has those instructions, so code that holds one may
//! use them.

use std::fmt;

use super::lanes::{Lanes, Portable};

/// AVX2 with FMA, as proven at run time.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Avx2(());

/// AVX-512 F, BW, VL and VNNI (Ice Lake, Zen 4 and later), as proven at run time.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Avx512(());

#[cfg(target_arch = "x86_64")]
impl Avx2 {
    /// The proof, if this CPU has them.
    pub fn detect() -> Option<Self> {
        (is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")).then_some(Self(()))
    }
}

#[cfg(target_arch = "x86_64")]
impl Avx512 {
    /// The proof, if this CPU has them.
    pub fn detect() -> Option<Self> {
        (is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx512vnni")
            && is_x86_feature_detected!("fma"))
        .then_some(Self(()))
    }
}

/// Which instructions the engine uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// What the target always has: SSE2 on x86-64, NEON on aarch64.
    Portable,
    /// 32 bytes at a time.
    #[cfg(target_arch = "x86_64")]
    Avx2(Avx2),
    /// 64 bytes at a time.
    #[cfg(target_arch = "x86_64")]
    Avx512(Avx512),
}

impl Level {
    /// Names of all levels of this architecture, slowest first.
    #[cfg(target_arch = "x86_64")]
    pub const NAMES: &'static [&'static str] = &["portable", "avx2", "avx512"];
    /// Names of all levels of this architecture, slowest first.
    #[cfg(not(target_arch = "x86_64"))]
    pub const NAMES: &'static [&'static str] = &["portable"];

    /// The fastest level of this CPU.
    pub fn detect() -> Self {
        Self::NAMES.iter().rev().find_map(|name| Self::named(name)).unwrap_or(Self::Portable)
    }

    /// The level of that name, if this CPU has it.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "portable" => Some(Self::Portable),
            #[cfg(target_arch = "x86_64")]
            "avx2" => Avx2::detect().map(Self::Avx2),
            #[cfg(target_arch = "x86_64")]
            "avx512" => Avx512::detect().map(Self::Avx512),
            _ => None,
        }
    }

    /// Its name in [`Self::NAMES`].
    pub fn name(self) -> &'static str {
        match self {
            Self::Portable => "portable",
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(_) => "avx2",
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(_) => "avx512",
        }
    }

    /// Whether one instruction multiplies pairs of i16 and adds them up. Where none does, fixed point takes twice the
    /// time of f32.
    pub(super) fn multiplies_pairs(self) -> bool {
        self != Self::Portable
    }

    /// Does `work`, compiled for this level.
    pub(super) fn run<W: Work>(self, work: W) -> W::Output {
        match self {
            Self::Portable => work.run(Portable),
            // SAFETY: the proof exists only if this CPU has every feature that the function enables.
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(proof) => unsafe { run_avx2(proof, work) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(proof) => unsafe { run_avx512(proof, work) },
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Something to be compiled once for each level. `run` must be `#[inline(always)]`, and so must what it calls in its
/// inner loops: only what is inlined into the functions below is compiled with their instructions.
pub(super) trait Work {
    type Output;

    fn run<L: Lanes>(self, lanes: L) -> Self::Output;
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn run_avx2<W: Work>(proof: Avx2, work: W) -> W::Output {
    work.run(proof)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,avx2,fma")]
fn run_avx512<W: Work>(proof: Avx512, work: W) -> W::Output {
    work.run(proof)
}
