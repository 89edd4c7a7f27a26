//! The alpha of a source from another picture: decoded, made grey, and as large as the source.

use std::sync::Arc;

use bytes::Bytes;

use super::needs::passes_bytes_max;
use crate::codec;
use crate::engine::{self, Cancel, Engine, Job};
use crate::error::{Error, Result};
use crate::kernel::{Axis, Kernel};
use crate::pixel::{Image, Model, PixelFormat, Plane, Size, WorkingSpace};
use crate::plan::{DecodeAs, Embed, EncodeLadder, EncodeSpec, Header, Pass, Plan, Resample};

/// A picture whose alpha, or else its grey, becomes the alpha of the source.
pub struct MaskWork {
    /// Reads its bytes; called on a lane, once.
    pub read: Box<dyn FnOnce() -> Result<Bytes> + Send>,
    /// How many bytes those are.
    pub source_bytes: u64,
    /// What its header says.
    pub header: Header,
}

impl MaskWork {
    /// Upper bound of what it takes for a source of `size`, the plane that comes of it included.
    pub(super) fn bytes_max(&self, size: Size) -> u64 {
        let (passes, _) = passes_bytes_max(&self.header, &self.plan(size));
        [self.source_bytes, codec::decode_bytes_max(&self.header, self.source_bytes), passes, size.pixels()]
            .into_iter()
            .fold(0, u64::saturating_add)
    }

    /// What makes it a grey picture of `size`.
    fn plan(&self, size: Size) -> Plan {
        let Header { native, size: from, .. } = self.header;
        let mut passes = match native {
            PixelFormat { alpha: true, .. } => vec![Pass::Matte],
            PixelFormat { model: Model::Grey, .. } => Vec::new(),
            PixelFormat { .. } => vec![Pass::Grey],
        };
        if from != size {
            let space = WorkingSpace::Encoded;
            let turn = |from, to| Resample { kernel: Kernel::Bilin, axis: Axis::whole(from, to), chroma_axis: None };
            passes.extend([
                Pass::Load { space, add_alpha: false },
                Pass::ResizeH(turn(from.w, size.w)),
                Pass::ResizeV(turn(from.h, size.h)),
                Pass::Pack { space },
            ]);
        }
        let encode = EncodeLadder::only(EncodeSpec::Png);
        Plan { source: from, decode: DecodeAs::Native, size, passes, encode, embed: Embed::default() }
    }

    /// The alpha plane of a source of `size`.
    ///
    /// # Errors
    /// As [`codec::decode`] and the engine.
    pub(super) fn plane(self, size: Size, cpu: &dyn Engine, cancel: &Cancel) -> Result<Plane<u8>> {
        let plan = Arc::new(self.plan(size));
        let bytes = (self.read)()?;
        let source = Arc::new(codec::decode(&bytes, &self.header, plan.decode)?);
        let job = Job { source, plans: vec![plan], cancel: cancel.clone() };
        let missing = || Err(Error::Panic { message: String::from("an engine completed without a mask") });
        let mask = engine::run(cpu, job).images.pop().unwrap_or_else(missing)?;
        mask.into_planes().pop().map_or_else(|| Err(Error::broken(self.header.format.name(), "no planes")), Ok)
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
