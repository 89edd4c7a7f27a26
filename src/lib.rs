//! calotype: one master per picture, every rendition made on request.

pub mod catalog;
pub mod cli;
pub mod codec;
pub mod config;
pub mod daemon;
pub mod decide;
pub mod engine;
pub mod error;
pub mod front;
pub mod kernel;
pub mod limits;
pub mod pixel;
pub mod plan;
pub mod request;
pub mod sched;
pub mod service;
pub mod store;
pub mod telemetry;
pub mod wire;
