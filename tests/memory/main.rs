//! Memory: what codecs hold against their bounds, and what a whole daemon holds against its budget.
//!
//! A binary of its own: it counts every allocation of the process, C included.
#![cfg(all(target_os = "linux", target_env = "gnu"))]

mod bounds;
#[path = "../../benches/camera.rs"]
mod camera;
mod count;
mod daemon;
#[expect(dead_code, reason = "the integration tests use all of it")]
#[path = "../it/codecs/make.rs"]
mod make;
#[path = "../../benches/stored.rs"]
mod stored;
