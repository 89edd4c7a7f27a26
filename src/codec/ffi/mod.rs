//! Bindings to encoders that are written in C.
//!
//! The codecs' only `unsafe`. Invariants: C sees our own planes and numbers, never foreign bytes; what crosses the edge is
//! a reference that outlives the call, or a handle that one `Drop` gives back.
#![allow(unsafe_code, reason = "a C library is called by nothing else")]

pub(super) mod aom;
#[cfg(feature = "jpegxr")]
pub(super) mod jxr;
pub(super) mod libwebp;
pub(super) mod openjpeg;
