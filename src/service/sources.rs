//! From a company and an asset to an open source and its header; and the demo catalogue, encoded when first asked for.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use xxhash_rust::xxh3::xxh3_128;

use super::recent::Recent;
use crate::catalog::SourceRoot;
use crate::codec::{self, Allow};
use crate::error::{Blame, Error, Result};
use crate::limits;
use crate::pixel::{Chroma, testcard};
use crate::plan::{EncodeSpec, Header, JpegQuality, SourcePath};
use crate::store::{Root, Source, Version};
use crate::telemetry::{CacheEvent, Telemetry};

/// What tells a state of a source from all others: a hash of its id, and its version.
pub(super) type SourceKey = (u128, Version);

/// A source that was found: open, and its header known.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) source: Source,
    pub(super) header: Header,
    /// `None` for a source that came with the request.
    pub(super) key: Option<SourceKey>,
    /// Hash of its own content, if that is known and cannot have changed unnoticed.
    pub(super) hash: Option<u128>,
    /// The picture that its alpha comes from.
    pub(super) mask: Option<Box<Self>>,
}

impl Found {
    /// The paths that its file holds; read now.
    pub(super) fn paths(&mut self) -> Arc<[SourcePath]> {
        codec::paths(&mut self.source.reader(), &self.header).into()
    }

    /// The source, to be worked on elsewhere; an empty one is left.
    pub(super) fn take(&mut self) -> Self {
        let source = std::mem::replace(&mut self.source, Source::from_bytes(Bytes::new()));
        Self { source, header: self.header, key: self.key, hash: self.hash, mask: self.mask.take() }
    }

    /// What plans are made for.
    pub(super) fn seen(&self) -> Header {
        if self.mask.is_some() { self.header.masked() } else { self.header }
    }

    /// Hash of all content, if that is known.
    pub(super) fn content(&self) -> Option<u128> {
        match &self.mask {
            None => self.hash,
            Some(mask) => Some(both(self.hash?, mask.hash?)),
        }
    }

    /// What tells its state, and that of its mask, from all others.
    pub(super) fn keys(&self) -> [Option<SourceKey>; 2] {
        [self.key, self.mask.as_ref().and_then(|mask| mask.key)]
    }

    /// Whether nothing of it can have been written just now, so that it is whole. One that came with the request is.
    pub(super) fn is_settled(&self) -> bool {
        (self.key.is_none() || self.source.version.is_settled())
            && self.mask.as_ref().is_none_or(|mask| mask.is_settled())
    }

    /// The version that was changed last, its own or its mask's.
    pub(super) fn newest(&self) -> &Version {
        let own = &self.source.version;
        self.mask.as_ref().map(|mask| &mask.source.version).filter(|v| v.modified_ns > own.modified_ns).unwrap_or(own)
    }
}

/// Finds sources. All of it blocks.
#[derive(Debug)]
pub(super) struct Sources {
    allow: Allow,
    headers: Recent<SourceKey, Header>,
    hashes: Recent<SourceKey, u128>,
    /// When it was refused, and why.
    refused: Recent<SourceKey, (Instant, Arc<Error>)>,
    /// When nothing was found, and the folder that it was not in.
    missing: Recent<u128, (Instant, Version)>,
    telemetry: Arc<Telemetry>,
}

impl Sources {
    pub(super) fn new(allow: Allow, telemetry: Arc<Telemetry>) -> Self {
        Self {
            allow,
            headers: Recent::new(limits::HEADERS_REMEMBERED_MAX),
            hashes: Recent::new(limits::HASHES_REMEMBERED_MAX),
            refused: Recent::new(limits::NEGATIVES_REMEMBERED_MAX),
            missing: Recent::new(limits::NEGATIVES_REMEMBERED_MAX),
            telemetry,
        }
    }

    /// The first of `files` that is there, under `root`, which is that of `root_id`; errors call it `id`.
    ///
    /// # Errors
    /// As [`Root::open`] and [`codec::probe`]. `NotFound` too if there are no files to try.
    pub(super) fn stored(&self, root: &SourceRoot, root_id: &str, id: &str, files: &[Vec<String>]) -> Result<Found> {
        let root = opened(root);
        let mut missing = Error::NotFound { id: id.to_owned() };
        for file in files {
            match self.open(&root, root_id, id, file) {
                Ok(source) => return self.looked_at(source, root_id, file),
                Err(error @ Error::NotFound { .. }) => missing = error,
                Err(error) => return Err(error),
            }
        }
        Err(missing)
    }

    /// Whether one of `files` is there, whatever it holds. Arguments as those of [`Self::stored`].
    pub(super) fn is_there(&self, root: &SourceRoot, root_id: &str, id: &str, files: &[Vec<String>]) -> bool {
        let root = opened(root);
        let is_missing = |error: Error| matches!(error, Error::NotFound { .. } | Error::Forbidden { .. });
        files.iter().any(|file| !self.open(&root, root_id, id, file).is_err_and(is_missing))
    }

    /// A source with its header, from memory or by a look at it.
    fn looked_at(&self, mut source: Source, root_id: &str, file: &[String]) -> Result<Found> {
        // Several records may stand for one file, so it is known by its own name.
        let key = (xxh3_128(format!("{root_id} {file:?}").as_bytes()), source.version);
        if !source.version.is_settled() {
            // It may be written just now: what is seen of it is no longer true a moment later.
            let header = codec::probe(&mut source.reader(), &self.allow)?;
            return Ok(Found { source, header, key: Some(key), hash: None, mask: None });
        }
        let header = match self.headers.get(&key) {
            Some(header) => header,
            None => {
                let header = self.probe(&mut source, key)?;
                self.headers.insert(key, header);
                header
            }
        };
        Ok(Found { source, header, key: Some(key), hash: self.hashes.get(&key), mask: None })
    }

    /// As [`Root::open`]; what was not there a moment ago is not looked for again in a folder that has not changed.
    fn open(&self, root: &Root, root_id: &str, id: &str, asset: &[String]) -> Result<Source> {
        // By elements: one that holds a slash is refused in another way.
        let key = xxh3_128(format!("{root_id} {asset:?}").as_bytes());
        let patience = Duration::from_millis(limits::NEGATIVE_MS_MAX);
        if let Some((when, folder)) = self.missing.get(&key)
            && when.elapsed() < patience
            && root.folder(asset) == Some(folder)
        {
            self.telemetry.cache(CacheEvent::NegativeHit);
            return Err(Error::NotFound { id: id.to_owned() });
        }
        root.open(id, asset).inspect_err(|error| {
            // In a settled folder nothing has come between the two looks.
            if let (Error::NotFound { .. }, Some(folder)) = (error, root.folder(asset).filter(Version::is_settled)) {
                self.missing.insert(key, (Instant::now(), folder));
            }
        })
    }

    /// The header of a settled source; what was refused a moment ago is refused again.
    fn probe(&self, source: &mut Source, key: SourceKey) -> Result<Header> {
        let patience = Duration::from_millis(limits::NEGATIVE_MS_MAX);
        if let Some((_, error)) = self.refused.get(&key).filter(|(when, _)| when.elapsed() < patience) {
            self.telemetry.cache(CacheEvent::NegativeHit);
            return Err(error.repeated());
        }
        codec::probe(&mut source.reader(), &self.allow).inspect_err(|error| {
            if error.blame() == Blame::Source {
                self.refused.insert(key, (Instant::now(), Arc::new(error.repeated())));
            }
        })
    }

    /// The hash of all content of a source, which is read for it; remembered if the source is settled.
    ///
    /// # Errors
    /// `Io`.
    pub(super) fn hash(&self, found: &mut Found, id: &str) -> Result<u128> {
        let own = self.hash_of_one(found, id)?;
        match &mut found.mask {
            None => Ok(own),
            Some(mask) => Ok(both(own, self.hash_of_one(mask, id)?)),
        }
    }

    fn hash_of_one(&self, found: &mut Found, id: &str) -> Result<u128> {
        // Before it is read: a change while it is read must not count as settled.
        let is_settled = found.source.version.is_settled();
        let hash = found.source.hash(id)?;
        if let (Some(key), true) = (found.key, is_settled) {
            self.hashes.insert(key, hash);
        }
        found.hash = Some(hash);
        Ok(hash)
    }

    /// A source that came with the request.
    ///
    /// # Errors
    /// As [`codec::probe`].
    pub(super) fn given(&self, bytes: Bytes) -> Result<Found> {
        let mut source = Source::from_bytes(bytes);
        let header = codec::probe(&mut source.reader(), &self.allow)?;
        Ok(Found { source, header, key: None, hash: None, mask: None })
    }
}

/// One hash of two.
pub(super) fn both(a: u128, b: u128) -> u128 {
    xxh3_128(&[a.to_le_bytes(), b.to_le_bytes()].concat())
}

/// What a company's sources are below.
fn opened(root: &SourceRoot) -> Root {
    match root {
        SourceRoot::Dir(path) => Root::Dir(path.clone()),
        SourceRoot::Demo => Root::Computed(demo),
        SourceRoot::Nothing => Root::Computed(|_| None),
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
