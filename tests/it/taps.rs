//! taps.
