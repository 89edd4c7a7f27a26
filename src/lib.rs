//! calotype: one master per picture, every rendition made on request.
//!
//! This page is the architecture chapter. Read it before the first file; then start at [`service`].
//!
//! # Bird's eye
//!
//! A URL of the Image Serving protocol names a picture and what to make of it. The URL becomes typed [`request`]
//! commands, the commands and the source's header become an immutable [`plan::Plan`], the plan is carried out by
//! [`codec`] and [`engine`], and the bytes go back over HTTP. Everything before the plan is arithmetic on numbers and
//! never touches a pixel; everything after it is pixels and never reads a URL.
//!
//! ```text
//! client ─HTTP─▶ (1) front     TCP, TLS; forwards head and body to the socket
//!                (2) daemon    routes; ceilings on what is open, nothing else yet
//!                (3) request   query -> Commands; presets                          client errors end here
//!                (4) store     version of the source; header from a small cache, else probed
//!                (5) decide, request::plan   Commands + Header -> Decision -> Plan  pure, microseconds
//!                (6) cache     asset, source's content, plan: a hit, or one flight for all who ask at once
//!                (7) sched     a place in the queue or Busy at once: decode -> engine -> encode
//!                (8) reply     bytes and headers
//! ```
//!
//! # Code map
//!
//! | room | what it owns | who may know it |
//! |---|---|---|
//! | [`error`], [`limits`] | every error with its blame; every ceiling | everybody |
//! | [`heap`] | what the C library's allocator keeps | `sched`, `main` |
//! | [`telemetry`] | metrics and the log line of a rendition | everybody but the two above |
//! | [`pixel`] | planes, sizes, the only rounding rules, computed pictures | everybody |
//! | [`kernel`] | filter functions, tap tables, Gaussian taps, transfer curves | planners and engines |
//! | [`plan`] | the plain data that heads write and hands read | heads and hands |
//! | [`engine`] | `scalar` (the oracle), `simd`, `gpu`, and which of them runs a job | hands |
//! | [`codec`] | a file a format: probe, decode, encode; colour management | hands |
//! | [`catalog`] | companies and presets | heads |
//! | [`request`] | grammar, command registry, layout, planner | heads |
//! | [`decide`] | what the protocol leaves to the server, each choice with its reason | heads |
//! | [`store`] | source id -> bytes, under one root | `service` |
//! | [`cache`] | derivatives in memory and on disk, flights, invalidation | `service` |
//! | [`sched`] | bounded lanes, deadlines, cancellation, memory budget | `service` |
//! | [`config`] | file + environment + flags -> one checked value | `service` and outward |
//! | [`service`] | the only composition of all the above | `daemon`, `cli` |
//! | [`wire`] | HTTP manners that daemon and front share | `daemon`, `front` |
//! | [`daemon`] | two Unix sockets, routes, systemd, drain | `cli` |
//! | [`front`] | TCP and TLS before the data socket | `cli` |
//! | [`load`] | load on a server, and its figures | `cli` and benches |
//! | [`cli`] | subcommands | `main` |
//!
//! # Invariants
//!
//! Most of these are absences, which no code shows.
//!
//! - **Hands and head never meet.** `engine` and `codec` know no URL, company or browser; `request` and `decide` touch no
//!   pixel. They share only [`plan`]. `tests/it/tidy.rs` holds the whole may-import table and fails with a hint.
//! - **`front` does not know `service`.** It knows a socket. It holds no source, no cache, no GPU.
//! - **A `Plan` is complete.** Nothing downstream of it reads the URL, the configuration or the clock.
//! - **`scalar` is the oracle.** It is never made faster. `simd` and `gpu` are only ever "equal to scalar within 1 level",
//!   and bit for bit where a pass decides something (a threshold). Taps are computed once, in f64, and handed to all.
//! - **A pass has four faces of one name:** `shaders/X.wgsl`, `engine::scalar::X`, an entry of `plan::Pass::ALL`, a
//!   differential case `X`.
//! - **Nothing clamps or rounds between `load` and `pack`.** Filters overshoot, and the second half of a resize needs that.
//! - **Sizes are checked on the header**, before a pixel exists; every queue, buffer and wait has a ceiling in [`limits`].
//! - **Decoders are memory-safe Rust** and see hostile bytes; C encoders see only our own pixels.
//! - **Third-party crates stay in their rooms** (wgpu in `engine::gpu`, codecs and colour management in `codec`, HTTP in
//!   `daemon`, `front` and `wire`, …) and no type of theirs is public outside.
//! - **A hit never meets the work queue,** and what a key was invalidated for is not found under it again, not even after
//!   a restart. Nothing leaves the cache whose hash does not match.
//! - **A lost GPU is not an error.** Its jobs are replayed on the CPU; the client never notices.
//! - **tokio threads only move bytes.** Decoding, passes and encoding run on the lanes; one thread owns the GPU.

pub mod cache;
pub mod catalog;
pub mod cli;
pub mod codec;
pub mod config;
pub mod daemon;
pub mod decide;
pub mod engine;
pub mod error;
pub mod front;
pub mod heap;
pub mod kernel;
pub mod limits;
pub mod load;
pub mod pixel;
pub mod plan;
pub mod request;
pub mod sched;
pub mod service;
pub mod store;
pub mod telemetry;
pub mod wire;
