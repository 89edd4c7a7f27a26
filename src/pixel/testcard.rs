//! Computed demo and test pictures.
