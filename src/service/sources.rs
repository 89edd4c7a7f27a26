//! From a company and an asset to an open source and its header; and the demo catalogue, encoded when first asked for.

use std::sync::OnceLock;

use bytes::Bytes;
use xxhash_rust::xxh3::xxh3_128;

use super::recent::Recent;
use crate::catalog::SourceRoot;
use crate::codec::{self, Allow};
use crate::error::Result;
use crate::limits;
use crate::pixel::{Chroma, testcard};
use crate::plan::{EncodeSpec, Header, JpegQuality};
use crate::store::{Root, Source, Version};

/// What tells a state of a source from all others: a hash of its id, and its version.
pub(super) type SourceKey = (u128, Version);

/// A source that was found: open, and its header known.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) source: Source,
    pub(super) header: Header,
    /// `None` for a source that came with the request.
    pub(super) key: Option<SourceKey>,
}

/// Finds sources. All of it blocks.
#[derive(Debug)]
pub(super) struct Sources {
    allow: Allow,
    headers: Recent<SourceKey, Header>,
}

impl Sources {
    pub(super) fn new(allow: Allow) -> Self {
        Self { allow, headers: Recent::new(limits::HEADERS_REMEMBERED_MAX) }
    }

    /// The stored source `asset` under `root`, which is called `id`.
    ///
    /// # Errors
    /// As [`Root::open`] and [`codec::probe`].
    pub(super) fn stored(&self, root: &SourceRoot, id: &str, asset: &[String]) -> Result<Found> {
        let root = match root {
            SourceRoot::Dir(path) => Root::Dir(path.clone()),
            SourceRoot::Demo => Root::Computed(demo),
        };
        let mut source = root.open(id, asset)?;
        let key = (xxh3_128(id.as_bytes()), source.version);
        let header = match self.headers.get(&key) {
            Some(header) => header,
            None => {
                let header = codec::probe(&mut source.reader(), &self.allow)?;
                self.headers.insert(key, header);
                header
            }
        };
        Ok(Found { source, header, key: Some(key) })
    }

    /// A source that came with the request.
    ///
    /// # Errors
    /// As [`codec::probe`].
    pub(super) fn given(&self, bytes: Bytes) -> Result<Found> {
        let mut source = Source::from_bytes(bytes);
        let header = codec::probe(&mut source.reader(), &self.allow)?;
        Ok(Found { source, header, key: None })
    }
}

/// One of the computed demo pictures as a file: JPEG, or PNG if it has alpha.
fn demo(name: &str) -> Option<Bytes> {
    static FILES: OnceLock<Vec<OnceLock<Option<Bytes>>>> = OnceLock::new();
    let names = testcard::demo_names();
    let files = FILES.get_or_init(|| names.iter().map(|_| OnceLock::new()).collect());
    let i = names.iter().position(|&known| known == name)?;
    files[i]
        .get_or_init(|| {
            let image = testcard::demo_image(name)?;
            let encoded = if image.format().alpha {
                codec::encode(&image, &EncodeSpec::Png)
            } else {
                // As good as a photographer's own file, so that what is seen of a rendition is the rendition's doing.
                let spec = EncodeSpec::Jpeg { quality: JpegQuality(95), chroma: Chroma::Full, progressive: false };
                codec::encode(&image, &spec)
            };
            encoded.map_err(|error| tracing::error!(name, %error, "no demo picture")).ok().map(Bytes::from)
        })
        .clone()
}
