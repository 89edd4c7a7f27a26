//! The alpha of a source from another picture: decoded, made grey, and as large as the source.

use std::sync::Arc;

use bytes::Bytes;

use super::needs::passes_bytes_max;
use crate::codec;
use crate::engine::{self, Cancel, Engine, Job};
use crate::error::{Error, Result};
use crate::pixel::{Image, PixelFormat, Plane};
use crate::plan::{Header, Plan};

/// A picture whose alpha, or else its grey, becomes the alpha of the source.
pub struct MaskWork {
    /// Reads its bytes; called on a lane, once.
    pub read: Box<dyn FnOnce() -> Result<Bytes> + Send>,
    /// How many bytes those are.
    pub source_bytes: u64,
    /// What its header says.
    pub header: Header,
    /// What makes it a grey picture as large as the source.
    pub plan: Arc<Plan>,
}

impl MaskWork {
    /// Upper bound of what it takes, the plane that comes of it included.
    pub(super) fn bytes_max(&self) -> u64 {
        let (passes, _) = passes_bytes_max(&self.header, &self.plan);
        [self.source_bytes, codec::decode_bytes_max(&self.header, self.source_bytes), passes, self.plan.size.pixels()]
            .into_iter()
            .fold(0, u64::saturating_add)
    }

    /// The alpha plane of the source.
    ///
    /// # Errors
    /// As [`codec::decode`] and the engine.
    pub(super) fn plane(self, cpu: &dyn Engine, cancel: &Cancel) -> Result<Plane<u8>> {
        let Self { read, header, plan, .. } = self;
        let bytes = read()?;
        let source = Arc::new(codec::decode(&bytes, &header, plan.decode)?);
        let job = Job { source, plans: vec![plan], cancel: cancel.clone() };
        let missing = || Err(Error::Panic { message: String::from("an engine completed without a mask") });
        let mask = engine::run(cpu, job).images.pop().unwrap_or_else(missing)?;
        mask.into_planes().pop().map_or_else(|| Err(Error::broken(header.format.name(), "no planes")), Ok)
    }
}

/// A picture with another alpha.
pub(super) fn masked(image: Image, alpha: Plane<u8>) -> Image {
    let (size, format) = (image.size(), image.format());
    let mut planes = image.into_planes();
    planes.truncate(format.colour_planes());
    planes.push(alpha);
    Image::from_planes(size, PixelFormat { alpha: true, ..format }, planes)
}
