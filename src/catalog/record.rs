//! Records: what a site owner says of single assets.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::pixel::Size;

/// One record (protocol.md 5). A request for it is `path & modifier & the URL's commands & post_modifier`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Record {
    /// File under the company's source, elements separated by `/`; `None`: named as the record; empty: a template, which
    /// has no picture of its own.
    pub path: Option<String>,
    /// File of a separate mask.
    pub mask_path: Option<String>,
    /// Commands before those of the URL, which beat them.
    pub modifier: String,
    /// Commands after those of the URL, which they beat.
    pub post_modifier: String,
    /// Default `anchor`, px from the top left corner.
    pub anchor: Option<[i32; 2]>,
    /// Pixels an inch of the source, for `res` and `thumb_type = "texture"`; above 0.
    pub resolution: Option<f64>,
    /// Pixels an inch that are written into replies; above 0.
    pub print_resolution: Option<f64>,
    /// Time to live, hours, in the place of the company's; −1 never expires.
    pub expiration_hours: Option<f64>,
    /// When it was changed last, s since 1970; `None`: as its file says.
    pub timestamp_s: Option<u64>,
    /// How thumbnails are cut.
    pub thumb_type: Option<ThumbType>,
    /// Pixels an inch of `texture` thumbnails; above 0.
    pub thumb_res: Option<f64>,
    /// Members, if it is a set.
    pub image_set: Option<String>,
    /// Any text of the site's; `??` ends a line.
    pub user_data: Option<String>,
    /// Zoom targets, likewise.
    pub targets: Option<String>,
    /// HTML `AREA` elements.
    pub map: Option<String>,
    /// What kind of asset it is, in the site's words.
    pub asset_type: Option<String>,
    /// Whether the world may see it; `None`: as the company's `published` says of assets without a word.
    pub published: Option<bool>,
    /// Named crops, asked for as `Record:Name`.
    pub crops: BTreeMap<String, SmartCrop>,
}

/// A named crop of an asset (protocol.md 6), given by the site's owner.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SmartCrop {
    /// x, y, width and height in parts of the source, millionths: inside it, sides above 0.
    pub rect: [u32; 4],
    /// Size of a reply that names none, px; never enlarged to.
    pub size: Size,
}

impl SmartCrop {
    /// What stands for the whole source in [`Self::rect`].
    pub const WHOLE: u32 = 1_000_000;
}

/// How thumbnails are cut (protocol.md 3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ThumbType {
    /// Covers the thumbnail, cut to it.
    Crop,
    /// Inside the thumbnail, padded to it.
    Fit,
    /// Scaled by resolution, then cut or padded.
    Texture,
}

impl ThumbType {
    /// All of them with their words.
    pub const WORDS: [(&'static str, Self); 3] = [("crop", Self::Crop), ("fit", Self::Fit), ("texture", Self::Texture)];

    /// The protocol's number.
    pub fn number(self) -> u8 {
        match self {
            Self::Crop => 1,
            Self::Fit => 2,
            Self::Texture => 3,
        }
    }
}

/// Where a thumbnail stands in its rectangle, along one axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ThumbAlign {
    /// At the left, at the top.
    Start,
    /// In the middle.
    Centre,
    /// At the right, at the bottom.
    End,
}

impl ThumbAlign {
    /// Words of the horizontal ones.
    pub const HORIZONTAL: [(&'static str, Self); 3] =
        [("left", Self::Start), ("centre", Self::Centre), ("right", Self::End)];
    /// Words of the vertical ones.
    pub const VERTICAL: [(&'static str, Self); 3] =
        [("top", Self::Start), ("centre", Self::Centre), ("bottom", Self::End)];

    /// As in `align`: −1 to 1.
    pub fn side(self) -> i64 {
        match self {
            Self::Start => -1,
            Self::Centre => 0,
            Self::End => 1,
        }
    }
}

/// The records of a company: its own, and behind them those of the default catalog.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Records {
    /// By id, case-sensitive.
    pub own: BTreeMap<String, Record>,
    /// What is looked into when there is none of its own.
    pub inherited: Option<Arc<Self>>,
}

impl Records {
    /// The record `id` and its id as it is kept.
    pub fn find(&self, id: &str) -> Option<(&str, &Record)> {
        let own = self.own.get_key_value(id).map(|(id, record)| (id.as_str(), record));
        own.or_else(|| self.inherited.as_ref()?.find(id))
    }

    /// Whether there are none at all.
    pub fn is_empty(&self) -> bool {
        self.own.is_empty() && self.inherited.as_ref().is_none_or(|inherited| inherited.is_empty())
    }
}
