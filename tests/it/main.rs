//! The one integration binary: `cargo test --test it`.

mod browser;
mod cache;
mod cli;
mod codecs;
mod commands;
mod config;
mod conformance;
mod daemon;
mod differential;
mod front;
mod golden;
mod gpu;
mod hostile;
mod http;
mod nginx;
mod overload;
mod placement;
mod property;
mod readme;
mod shaders;
mod smart;
mod store;
mod support;
mod systemd;
mod taps;
mod tidy;
