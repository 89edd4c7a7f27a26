//! What a site owner configured: companies and their presets.

use std::collections::BTreeMap;
use std::path::PathBuf;

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
}

/// One company ("catalog" in the original), all attributes checked. Defaults are those of a new account.
#[derive(Clone, Debug, PartialEq)]
pub struct Company {
    /// RootId, case-sensitive.
    pub root_id: String,
    /// Where its pictures are.
    pub source: SourceRoot,
    /// Largest reply; a side of 0 is no limit on that side.
    pub max_pix: Size,
    /// Size limit when wid, hei and scl are all absent; a side of 0 is free.
    pub default_pix: Size,
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
    /// Time to live of image replies, hours; −1 never expires, 0 at once.
    pub expiration_hours: f64,
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
            max_pix: Size::new(3000, 3000),
            default_pix: Size::new(1280, 1280),
            jpeg_quality: 80,
            jpeg_chroma: Chroma::Half,
            res_mode: Kernel::Sharp2,
            bkg_color: [255; 3],
            working_space: WorkingSpace::Encoded,
            upscale_without_fit: false,
            expiration_hours: 10.0,
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
}
