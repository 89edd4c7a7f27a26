//! What a site owner configured: companies, their presets and records.
//!
//! Invariant: a [`Company`] is complete. What it inherits from the default catalog was put into it when the configuration
//! was read; only records are looked up behind its own.

mod address;
mod content;
mod locale;
mod record;
mod rules;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

pub use address::Network;
pub use content::{Content, ContentRecord};
pub use locale::LocaleMap;
pub use record::{Record, Records, SmartCrop, ThumbAlign, ThumbType};
pub use rules::{Expression, OnMatch, Overrides, Replace, Rule, RuleHeader, Substitution};

/// The values of `res_mode`, for those who read configurations and know nothing else of kernels.
pub use crate::kernel::Kernel;
use crate::pixel::{Chroma, Size, WorkingSpace};

/// Where a company's pictures are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceRoot {
    /// Files below this directory.
    Dir(PathBuf),
    /// The computed demo pictures of `pixel::testcard`.
    Demo,
    /// None: the default catalog may only be inherited from.
    Nothing,
}

/// Which assets the world may see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Published {
    /// All but those whose record says `published = false`.
    All,
    /// Those alone whose record says `published = true`.
    Listed,
}

/// What tells how good a client's network is: a request header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NetworkSignal {
    /// The user wants to save bytes.
    SaveData,
    /// Effective connection type.
    Ect,
    /// Bandwidth; differs almost from request to request.
    Downlink,
    /// Round-trip time; likewise.
    Rtt,
}

impl NetworkSignal {
    /// All of them, in the order of `Vary`.
    pub const ALL: [Self; 4] = [Self::SaveData, Self::Ect, Self::Downlink, Self::Rtt];

    /// As in configuration.
    pub fn word(self) -> &'static str {
        match self {
            Self::SaveData => "save-data",
            Self::Ect => "ect",
            Self::Downlink => "downlink",
            Self::Rtt => "rtt",
        }
    }

    /// The header's name.
    pub fn header(self) -> &'static str {
        match self {
            Self::SaveData => "Save-Data",
            Self::Ect => "ECT",
            Self::Downlink => "Downlink",
            Self::Rtt => "RTT",
        }
    }
}

/// What a default image does to the request for a missing one (protocol.md 1.8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DefaultImageMode {
    /// It takes nothing of it but size, format and quality.
    Replace,
    /// It takes its place, and every command stays.
    Swap,
}

/// One company ("catalog" in the original), all attributes checked. Defaults are those of a new account.
#[derive(Clone, Debug, PartialEq)]
pub struct Company {
    /// RootId, case-sensitive.
    pub root_id: String,
    /// Where its pictures are.
    pub source: SourceRoot,
    /// Only records are found, no files by their names.
    pub full_match: bool,
    /// Extension of files that are named without one, tried before the known ones; without its dot.
    pub default_ext: Option<String>,
    /// Which assets the world may see.
    pub published: Published,
    /// Its records.
    pub records: Arc<Records>,
    /// Its static files.
    pub content: Arc<Content>,
    /// Records in other languages.
    pub locale_map: LocaleMap,
    /// `locale` where a request names none; empty: no translation.
    pub default_locale: String,
    /// Queries must end in a lock.
    pub request_lock: bool,
    /// Queries must be obfuscated.
    pub request_obfuscation: bool,
    /// Clients that may ask; empty: all.
    pub address_filter: Vec<Network>,
    /// What is done to its requests first. Those of the default catalog are for requests that name no company.
    pub rules: Arc<[Rule]>,
    /// Object that is shown for missing ones; empty: none.
    pub default_image: String,
    /// What it does to the request.
    pub default_image_mode: DefaultImageMode,
    /// Time to live of replies with the default image, hours.
    pub default_expiration_hours: f64,
    /// Time to live of replies that are no pictures and tell of no record's text, hours.
    pub non_img_expiration_hours: f64,
    /// Object that is shown, with status 200, where a request for a picture fails; empty: none.
    pub error_image: String,
    /// How much an error says: 0 and 1 its kind, 2 and 3 what is wrong and what to do.
    pub error_detail: u8,
    /// Pixels an inch of sources whose records name none, for `res`; above 0.
    pub resolution: Option<f64>,
    /// Pixels an inch that are written into replies where the record names none; above 0.
    pub print_resolution: Option<f64>,
    /// Largest reply; a side of 0 is no limit on that side.
    pub max_pix: Size,
    /// Size limit when wid, hei and scl are all absent; a side of 0 is free.
    pub default_pix: Size,
    /// Size of thumbnails whose requests name none, px, above 0.
    pub default_thumb_pix: Size,
    /// How thumbnails are cut whose records do not say.
    pub thumb_type: ThumbType,
    /// Pixels an inch of `texture` thumbnails whose records name none; above 0.
    pub thumb_res: Option<f64>,
    /// Where thumbnails stand in their rectangle, horizontally and vertically.
    pub thumb_align: [ThumbAlign; 2],
    /// Default `bgc` of thumbnails.
    pub thumb_bkg_color: [u8; 3],
    /// Default `qlt`, 1 to 100 …
    pub jpeg_quality: u8,
    /// … and its chroma flag.
    pub jpeg_chroma: Chroma,
    /// Default `resMode`.
    pub res_mode: Kernel,
    /// Default `bgc`.
    pub bkg_color: [u8; 3],
    /// Values in which resizing is done.
    pub working_space: WorkingSpace,
    /// Views may outgrow the source without `fit=…,1`.
    pub upscale_without_fit: bool,
    /// Smart Imaging: another format may be served where it is smaller.
    pub bfc: bool,
    /// Smart Imaging: sizes follow the pixel ratio that clients say they have.
    pub dpr: bool,
    /// Smart Imaging: quality follows the network that clients say they have …
    pub network: bool,
    /// … by these signals.
    pub network_signals: Vec<NetworkSignal>,
    /// AVIF may be served.
    pub avif: bool,
    /// Old browsers are known by their User-Agent.
    pub legacy_ua: bool,
    /// Replies without wid, hei and scl are no wider than the client shows them …
    pub ch_width: bool,
    /// … rounded up to a multiple of this, px, at least 1.
    pub width_step: u32,
    /// Time to live of image replies, hours; −1 never expires, 0 at once.
    pub expiration_hours: f64,
    /// For how long caches on the way may serve a reply that is too old while they ask for a new one, s; 0: they may not.
    pub stale_while_revalidate_s: u64,
    /// Replies say when their source was changed last, and `If-Modified-Since` counts.
    pub use_last_modified: bool,
    /// Unknown commands are errors.
    pub strict: bool,
    /// Passed through on every reply.
    pub headers: Vec<(String, String)>,
    /// Presets: name in lower case, and the commands it stands for.
    pub presets: BTreeMap<String, String>,
}

impl Company {
    /// A company with the defaults of a new account.
    pub fn new(root_id: impl Into<String>, source: SourceRoot) -> Self {
        Self {
            root_id: root_id.into(),
            source,
            full_match: false,
            default_ext: None,
            published: Published::All,
            records: Arc::default(),
            content: Arc::default(),
            locale_map: LocaleMap::default(),
            default_locale: String::new(),
            request_lock: false,
            request_obfuscation: false,
            address_filter: Vec::new(),
            rules: Arc::default(),
            default_image: String::new(),
            default_image_mode: DefaultImageMode::Replace,
            default_expiration_hours: 1.0,
            non_img_expiration_hours: 0.1,
            error_image: String::new(),
            error_detail: 2,
            resolution: None,
            print_resolution: None,
            max_pix: Size::new(3000, 3000),
            default_pix: Size::new(1280, 1280),
            default_thumb_pix: Size::new(100, 100),
            thumb_type: ThumbType::Fit,
            thumb_res: None,
            thumb_align: [ThumbAlign::Centre; 2],
            thumb_bkg_color: [255; 3],
            jpeg_quality: 80,
            jpeg_chroma: Chroma::Half,
            res_mode: Kernel::Sharp2,
            bkg_color: [255; 3],
            working_space: WorkingSpace::Encoded,
            upscale_without_fit: false,
            bfc: false,
            dpr: false,
            network: false,
            network_signals: vec![NetworkSignal::SaveData, NetworkSignal::Ect],
            avif: true,
            legacy_ua: false,
            ch_width: false,
            width_step: 160,
            expiration_hours: 10.0,
            stale_while_revalidate_s: 0,
            use_last_modified: false,
            strict: false,
            headers: Vec::new(),
            presets: BTreeMap::new(),
        }
    }
}

/// All companies.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Catalog {
    /// By RootId.
    pub companies: BTreeMap<String, Company>,
    /// The default catalog, which the others inherit from; its RootId is [`DEFAULT_COMPANY`].
    pub default: Option<Company>,
}

/// The name under which the default catalog is configured; no company is served under it.
pub const DEFAULT_COMPANY: &str = "default";
