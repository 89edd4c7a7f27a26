//! Every ceiling of the product in one place, unit last, so that nothing anywhere is unbounded.
//!
//! Invariant: a `_MAX` here is a hard wall. What a site owner may lower or raise is in `config`, which starts from
//! these values.

/// Pixels of a source picture, upright or not, checked on the header before any pixel exists.
pub const SOURCE_PIXELS_MAX: u64 = 100_000_000;
/// One side of a source picture, px.
pub const SOURCE_SIDE_MAX: u32 = 65_535;
/// Bytes of one source file or request body.
pub const SOURCE_BYTES_MAX: u64 = 256 << 20;
/// Bytes of metadata (ICC profile, EXIF) read from a source.
pub const METADATA_BYTES_MAX: usize = 16 << 20;
/// Pixels of a finished view; the original's own limit is 16 megapixels [r-image-size-limits], ours leaves room for
/// companies that raise MaxPix.
pub const VIEW_PIXELS_MAX: u64 = 100_000_000;
/// One side of a finished view, px.
pub const VIEW_SIDE_MAX: u32 = 65_535;
/// One side of what `crop` or `rgn` selects, px: no source and no view is larger, so more can only be empty.
pub const COMPOSITE_SIDE_MAX: u32 = 65_535;
/// Taps of one resize window: a whole 65,535 px source onto one pixel.
pub const TAPS_MAX: usize = 65_536;
/// Radius of the disc of `op_grow` in pixels of the view.
pub const GROW_RADIUS_PX_MAX: u16 = 1000;
/// Items of a media set, those of the sets in it included …
pub const SET_ITEMS_MAX: usize = 1000;
/// … and how deep sets may stand in sets.
pub const SET_DEPTH_MAX: usize = 10;
/// Points of one path, control points among them.
pub const PATH_POINTS_MAX: usize = 16_384;
/// Paths that one command names, and that are read of one source.
pub const PATH_NAMES_MAX: usize = 256;
/// Half-width of an unsharp window in taps: radius 250 px reaches four standard deviations.
pub const UNSHARP_REACH_MAX: usize = 1024;
/// Bytes of a request's path and query.
pub const URL_BYTES_MAX: usize = 16 << 10;
/// Modifiers in one request, presets expanded.
pub const MODIFIERS_MAX: usize = 512;
/// Depth of presets inside presets.
pub const PRESET_DEPTH_MAX: usize = 16;
/// Rules of one company.
pub const RULES_MAX: usize = 256;
/// Bytes of one rule's expression, and of its substitution.
pub const RULE_BYTES_MAX: usize = 4096;
/// Bytes of one expression's program: what decides how long a search may take per byte of the request.
pub const RULE_PROGRAM_BYTES_MAX: usize = 256 << 10;
/// Groups inside groups of one expression.
pub const RULE_NESTING_MAX: u32 = 64;
/// Matches of one rule that are replaced in one request.
pub const RULE_MATCHES_MAX: usize = 256;
/// Networks in one address filter.
pub const ADDRESS_FILTER_MAX: usize = 1024;
/// Bytes of a query after presets are expanded.
pub const QUERY_EXPANDED_BYTES_MAX: usize = 64 << 10;
/// Largest pixel ratio that is believed of a client.
pub const HINT_DPR_MAX: u32 = 100;
/// Bytes of a client hint's value: all of them are a short number or word.
pub const HINT_BYTES_MAX: usize = 64;
/// Unknown commands named in a reply …
pub const IGNORED_NAMES_MAX: usize = 16;
/// … each cut to this many characters.
pub const IGNORED_NAME_CHARS_MAX: usize = 32;
/// Bytes of all request headers together: one that means nothing may be long without costing its client the picture.
pub const HEADERS_BYTES_MAX: usize = 96 << 10;
/// Headers of one request …
pub const HEADERS_MAX: usize = 100;
/// … and those that the parser reads, so that a few too many are refused with a reason.
pub const HEADERS_PARSED_MAX: usize = 256;
/// Bytes of one request's head that the parser may hold: room for a URL and headers that are over their ceilings, so
/// that they are refused with a reason.
pub const HEAD_BUFFER_BYTES_MAX: usize = 128 << 10;
/// How long a request's head may take to arrive, ms.
pub const HEAD_MS_MAX: u64 = 10_000;
/// How long a connection is kept while no request is worked on and nothing can be written, ms.
pub const CONNECTION_IDLE_MS_MAX: u64 = 30_000;
/// Requests at once on one HTTP/2 connection.
pub const HTTP2_STREAMS_MAX: u32 = 128;
/// Bytes of an `X-Request-ID` that is kept.
pub const REQUEST_ID_BYTES_MAX: usize = 128;
/// Bytes of all request bodies that one daemon has in hand.
pub const UPLOADS_BYTES_MAX: u64 = 1 << 30;
/// Renditions in one fan-out.
pub const FANOUT_RENDITIONS_MAX: usize = 64;
/// Bytes of the JSON part of a fan-out.
pub const FANOUT_JSON_BYTES_MAX: usize = 64 << 10;
/// Bytes of a text file that is sent inside a script [c-serving-static-nonimage-contents].
pub const SCRIPT_BYTES_MAX: u64 = 2 << 20;
/// Static files that are being sent by one daemon: each holds a descriptor as long as its client reads.
pub const CONTENT_FILES_MAX: usize = 1024;
/// Bytes of a static file that are read at a time.
pub const CONTENT_CHUNK_BYTES: usize = 128 << 10;
/// Ranges of a static file in one reply; a request for more gets the whole file.
pub const CONTENT_RANGES_MAX: usize = 16;
/// Attribute files that one import reads …
pub const IMPORT_CATALOGS_MAX: usize = 1000;
/// … rows of one data file …
pub const IMPORT_RECORDS_MAX: usize = 100_000;
/// … and elements, attributes and texts of one rule set.
pub const IMPORT_XML_NODES_MAX: u32 = 100_000;
/// Open requests of one daemon; above it new connections wait in the kernel's backlog.
pub const OPEN_REQUESTS_MAX: usize = 4096;
/// Connections to the admin socket.
pub const ADMIN_CONNECTIONS_MAX: usize = 64;
/// How long the front waits for a reply's head, ms: longer than any sensible `deadline_ms`.
pub const UPSTREAM_REPLY_MS_MAX: u64 = 120_000;
/// How long a TLS handshake may take, ms.
pub const TLS_HANDSHAKE_MS_MAX: u64 = 10_000;
/// How long a drain may take before the daemon gives up on what is left, ms.
pub const DRAIN_MS_MAX: u64 = 30_000;
/// A GPU batch closes after this wait, us …
pub const BATCH_WAIT_US_MAX: u64 = 500;
/// … or this many jobs …
pub const BATCH_JOBS_MAX: usize = 16;
/// … or this many bytes of sources.
pub const BATCH_BYTES_MAX: u64 = 256 << 20;
/// Bytes of one configuration file: room for a hundred thousand records.
pub const CONFIG_BYTES_MAX: u64 = 64 << 20;
/// Jobs waiting for the GPU engine; above it a job is Busy at once.
pub const GPU_QUEUE_JOBS_MAX: usize = 256;
/// A job whose source has more bytes is a GPU batch of its own: nobody small waits for it, and it waits for nobody.
pub const GPU_BATCH_SHARED_BYTES_MAX: u64 = 4 << 20;
/// Bytes of all staging, picture and readback buffers of the GPU engine.
pub const GPU_POOL_BYTES_MAX: u64 = 1 << 30;
/// Bytes of tap tables kept on the GPU.
pub const GPU_TABLES_BYTES_MAX: usize = 16 << 20;
/// A GPU engine that had nothing to do for so long gives its buffers back, ms.
pub const GPU_IDLE_MS_MAX: u64 = 60_000;
/// First attempt to build a new device after one was lost, ms …
pub const GPU_RETRY_FIRST_MS: u64 = 1_000;
/// … doubling up to this, ms.
pub const GPU_RETRY_MS_MAX: u64 = 60_000;
/// Arenas of the C library's allocator: more only scatter what is free.
pub const HEAP_ARENAS_MAX: usize = 8;
/// Bytes of a block that is kept when it is given back; glibc takes no more than this. Larger ones go to the system at once.
pub const HEAP_BLOCK_BYTES_MAX: usize = 32 << 20;
/// Bytes of a block from where large pages are asked for: below, a request finds what the one before it gave back.
pub const HEAP_LARGE_PAGES_BYTES_MIN: usize = 8 << 20;
/// Free bytes at the ends of all arenas from where they go to the system.
pub const HEAP_KEPT_BYTES_MAX: usize = 256 << 20;
/// How often all free pages go to the system while there are jobs, and how long after the last one at most, ms.
pub const HEAP_TRIM_MS: u64 = 15_000;
/// CPU lane threads at most.
pub const THREADS_MAX: u64 = 1024;
/// Jobs waiting or running at most, whatever the configuration says.
pub const QUEUE_JOBS_MAX: u64 = 65_536;
/// Longest deadline that can be configured, ms.
pub const DEADLINE_MS_MAX: u64 = 600_000;
/// Smallest memory budget that can be configured, bytes: one small photograph fits.
pub const MEMORY_BYTES_MIN: u64 = 16 << 20;
/// Largest memory budget that can be configured, bytes.
pub const MEMORY_BYTES_MAX: u64 = 1 << 46;
/// Open client connections of one front at most, whatever the configuration says.
pub const CONNECTIONS_MAX: u64 = 65_536;
/// Longest retry of a front while the daemon restarts that can be configured, ms.
pub const RETRY_MS_MAX: u64 = 60_000;
/// Longest time to live that can be configured, hours: a hundred years.
pub const EXPIRATION_HOURS_MAX: f64 = 876_600.0;
/// Headers of its own that one company may pass through.
pub const COMPANY_HEADERS_MAX: usize = 64;
/// Headers of sources remembered.
pub const HEADERS_REMEMBERED_MAX: usize = 4096;
/// A lane that works nothing shows itself at least this often, ms …
pub const LANE_STAMP_MS_MAX: u64 = 1_000;
/// … and counts as stuck when it is this late, or this long past its job's deadline, ms.
pub const LANE_GRACE_MS_MAX: u64 = 15_000;
/// Smallest memory of a cache that has a disk part, bytes: what is on its way to disk waits there.
pub const CACHE_MEMORY_WITH_DISK_BYTES_MIN: u64 = 16 << 20;
/// Smallest and …
pub const CACHE_DISK_BYTES_MIN: u64 = 16 << 20;
/// … largest disk part of a cache that can be configured, bytes.
pub const CACHE_DISK_BYTES_MAX: u64 = 1 << 50;
/// Bytes of one entry on disk: a larger file is none of ours.
pub const CACHE_ENTRY_BYTES_MAX: u64 = 256 << 20;
/// What a file of the cache takes at least, and in multiples of, bytes: the block of common file systems.
pub const CACHE_BLOCK_BYTES: u64 = 4096;
/// Entries that wait to be written to the cache's disk part, or to be removed from it.
pub const CACHE_TASKS_WAITING_MAX: usize = 65_536;
/// A disk part that could not be opened or written is tried again after so long, ms.
pub const CACHE_RETRY_MS: u64 = 2_000;
/// How long an invalidation waits for a directory that is being opened, ms.
pub const CACHE_OPEN_WAIT_MS_MAX: u64 = 5_000;
/// How long the end of the process waits for what is on its way to disk, ms.
pub const CACHE_FLUSH_MS_MAX: u64 = 2_000;
/// Assets whose invalidation is remembered; with one more, its whole company is invalidated.
pub const ASSET_GENERATIONS_MAX: usize = 65_536;
/// Assets in one call of `/v1/invalidate` …
pub const INVALIDATE_ASSETS_MAX: usize = 10_000;
/// … and bytes of its body.
pub const INVALIDATE_JSON_BYTES_MAX: usize = 2 << 20;
/// How long a source that cannot be rendered is remembered as such, ms.
pub const NEGATIVE_MS_MAX: u64 = 10_000;
/// How long a reply may be kept that a better one will replace, s: a rendition that left a candidate out for lack of time,
/// or one of a source that may be half written.
pub const BRIEF_TTL_S_MAX: u64 = 60;
/// Renditions that wait to be made anew with all candidates: more will be asked for again.
pub const UPGRADES_WAITING_MAX: usize = 256;
/// How long making one anew may take, ms.
pub const UPGRADE_MS_MAX: u64 = 60_000;
/// How often the next one looks whether a lane is free, ms.
pub const UPGRADE_PAUSE_MS: u64 = 100;
/// Failures that are remembered.
pub const NEGATIVES_REMEMBERED_MAX: usize = 4096;
/// Hashes of sources remembered.
pub const HASHES_REMEMBERED_MAX: usize = 65_536;
/// Sources that are hashed at a time.
pub const SOURCES_HASHED_MAX: usize = 8;
/// A file that was changed within this time, ms, may change again without its time showing it: clocks of file systems
/// are that coarse.
pub const SETTLED_MS_MIN: u64 = 2_000;
/// Longest `stale-while-revalidate` that can be configured, s: a year.
pub const STALE_S_MAX: u64 = 31_536_000;
