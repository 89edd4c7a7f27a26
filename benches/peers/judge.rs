//! What renditions look like: SSIMULACRA2 against the oracle's float downscale of the source, alpha over white.

use std::path::Path;

use calotype::codec;
use calotype::pixel::{Image, PixelFormat, Plane, Size};
use calotype::plan::DecodeAs;

use crate::jobs::Job;
use crate::ours::Ours;
use crate::pictures::{as_rgb, header, mean, on_all_cores, reduced, score, shown};

/// One list a file, one item a rendition.
pub(crate) type PerRendition<T> = Vec<Vec<T>>;

pub(crate) fn decoded(bytes: &[u8]) -> Image {
    codec::decode(bytes, &header(bytes), DecodeAs::Rgb).expect("a picture")
}

/// Width and height of a file. calotype reads no AVIF, so those are asked of who decodes them.
fn size(bytes: &[u8]) -> Size {
    if bytes.get(4..12) == Some(b"ftypavif") { shown(bytes).size() } else { header(bytes).size }
}

/// What calotype makes of every file.
pub(crate) fn renditions(ours: &Ours, job: &Job) -> PerRendition<Vec<u8>> {
    on_all_cores(&job.files, |file| {
        ours.render(file, &job.queries).into_iter().map(|rendition| rendition.bytes.to_vec()).collect()
    })
}

pub(crate) fn sizes(renditions: &PerRendition<Vec<u8>>) -> PerRendition<Size> {
    on_all_cores(renditions, |files| files.iter().map(|bytes| size(bytes)).collect())
}

/// What renditions of these sizes are compared with.
pub(crate) fn references(folder: &Path, job: &Job, sizes: &PerRendition<Size>) -> PerRendition<Image> {
    let work: Vec<_> = job.files.iter().zip(sizes).collect();
    on_all_cores(&work, |(file, sizes)| {
        let source = decoded(&std::fs::read(folder.join(file)).expect("a source"));
        sizes.iter().map(|size| over_white(reduced(&source, *size))).collect()
    })
}

fn over_white(image: Image) -> Image {
    let Some(alpha) = image.alpha().cloned() else { return as_rgb(image) };
    let colours = image.format().colour_planes();
    let over = |plane: &Plane<u8>| {
        let blend = |(c, a): (&u8, &u8)| {
            let (c, a) = (u32::from(*c), u32::from(*a));
            u8::try_from((c * a + 255 * (255 - a) + 127) / 255).expect("a level")
        };
        Plane::from_vec(plane.size(), plane.data().iter().zip(alpha.data()).map(blend).collect())
    };
    let planes = image.planes()[..colours].iter().map(over).collect();
    as_rgb(Image::from_planes(image.size(), PixelFormat { alpha: false, ..image.format() }, planes))
}

/// The mean score of all renditions.
pub(crate) fn mean_score(references: &PerRendition<Image>, renditions: &PerRendition<Vec<u8>>) -> f64 {
    let work: Vec<_> = references.iter().flatten().zip(renditions.iter().flatten()).collect();
    let scores = on_all_cores(&work, |(reference, bytes)| {
        let is_avif = bytes.get(4..12) == Some(b"ftypavif");
        score(reference, &if is_avif { shown(bytes) } else { over_white(decoded(bytes)) })
    });
    mean(scores.into_iter())
}

/// calotype's quality at which it looks like the other side.
pub(crate) struct Equal {
    /// The least quality that scores no lower; 100 where none does.
    pub(crate) quality: u8,
    pub(crate) score: f64,
    /// Bytes of one rendition at the very score of the other side, between that quality and the one below.
    pub(crate) bytes_there: f64,
}

/// Looks for the quality of `job` at which the mean score is `wanted`.
pub(crate) fn equal(ours: &Ours, job: &Job, references: &PerRendition<Image>, wanted: f64) -> Equal {
    let at = |quality: u8| {
        let renditions = renditions(ours, &job.at(quality));
        let bytes = mean(renditions.iter().flatten().map(|bytes| bytes.len() as f64));
        (mean_score(references, &renditions), bytes)
    };
    let (mut low, mut high) = (0, 100);
    let (mut below, mut above) = ((f64::NEG_INFINITY, 0.0), at(high));
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        let here = at(middle);
        if here.0 < wanted {
            (low, below) = (middle, here);
        } else {
            (high, above) = (middle, here);
        }
    }
    let share = if below.0.is_finite() { (wanted - below.0) / (above.0 - below.0) } else { 1.0 };
    Equal { quality: high, score: above.0, bytes_there: below.1 + share * (above.1 - below.1) }
}
