//! The CPU product path.
