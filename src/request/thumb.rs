//! Thumbnails (`req=tmb`, protocol.md 3.2): a rectangle that always has its whole size, and how a picture gets into it.

use crate::catalog::{Company, Record, ThumbAlign, ThumbType};
use crate::pixel::geometry::{self, Ratio, Rect, Size};

/// How thumbnails of one object are made: what its record says, else its company.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Thumb {
    /// The rectangle, where the request names no side of it, px.
    pub size: Size,
    /// How a picture gets into it. `Texture` only where both resolutions are known: what has no scale is shown as a whole.
    pub cut: ThumbType,
    /// ThumbRes by Resolution; 1 where one of them is not known.
    pub scale: Ratio,
    /// Where it stands there, where the request does not say.
    pub align: [Ratio; 2],
    /// What is around it, where the request does not say.
    pub fill: [u8; 3],
}

impl Thumb {
    pub(super) fn new(company: &Company, record: Option<&Record>) -> Self {
        let cut = record.and_then(|record| record.thumb_type).unwrap_or(company.thumb_type);
        let thumb_res = record.and_then(|record| record.thumb_res).or(company.thumb_res);
        let scale = thumb_res.and_then(dpi).zip(resolution(company, record)).map(|(thumb, whole)| thumb.over(whole));
        Self {
            size: company.default_thumb_pix,
            cut: if scale.is_none() && cut == ThumbType::Texture { ThumbType::Fit } else { cut },
            scale: scale.unwrap_or(Ratio::ONE),
            align: company.thumb_align.map(ThumbAlign::side).map(Ratio::int),
            fill: company.thumb_bkg_color,
        }
    }

    /// How much a picture of `size` is scaled to get into `rect`; enlarged, if need be.
    pub(super) fn factor(&self, size: Size, rect: Size) -> Ratio {
        let ratio = |px: u32, of: u32| Ratio::new(i128::from(px), i128::from(of));
        let (x, y) = (ratio(rect.w, size.w), ratio(rect.h, size.h));
        match self.cut {
            ThumbType::Crop => x.max(y),
            ThumbType::Fit => x.min(y),
            ThumbType::Texture => self.scale,
        }
    }

    /// What of a source shows in a layer of exactly `size` px, cut out as `crop` says before: pixels of the source, and
    /// how much they are scaled. It may reach outside what was cut out.
    pub(super) fn layer(&self, crop: Rect, size: Size) -> (Rect, Ratio) {
        let factor = self.factor(crop.size(), size);
        let along = |at: i64, len: u32, px: u32, align: Ratio| {
            let shown = geometry::scaled(px, Ratio::ONE.over(factor));
            (at - geometry::offset(shown, len, align), shown)
        };
        let (x, w) = along(crop.x, crop.w, size.w, self.align[0]);
        let (y, h) = along(crop.y, crop.h, size.h, self.align[1]);
        (Rect { x, y, w, h }, factor)
    }
}

/// Pixels an inch of an object's picture: Resolution.
pub(super) fn resolution(company: &Company, record: Option<&Record>) -> Option<Ratio> {
    record.and_then(|record| record.resolution).or(company.resolution).and_then(dpi)
}

/// To a thousandth; nothing that is less is one.
#[expect(clippy::cast_possible_truncation, reason = "the configuration takes none above 1e6")]
fn dpi(value: f64) -> Option<Ratio> {
    let thousandths = (value * 1000.0).round() as i64;
    (thousandths > 0).then(|| Ratio::new(i128::from(thousandths), 1000))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::SourceRoot;

    fn thumb(cut: ThumbType, align: ThumbAlign) -> Thumb {
        let mut company = Company::new("Co", SourceRoot::Nothing);
        (company.thumb_type, company.thumb_align) = (cut, [align; 2]);
        (company.thumb_res, company.resolution) = (Some(50.0), Some(200.0));
        Thumb::new(&company, None)
    }

    #[test]
    fn a_record_beats_its_company() {
        let company = Company { thumb_type: ThumbType::Crop, ..Company::new("Co", SourceRoot::Nothing) };
        let record = Record { thumb_type: Some(ThumbType::Texture), thumb_res: Some(72.5), ..Record::default() };
        assert_eq!(Thumb::new(&company, None).cut, ThumbType::Crop);
        // Without a resolution of the picture there is no scale.
        assert_eq!(Thumb::new(&company, Some(&record)).cut, ThumbType::Fit);
        let record = Record { resolution: Some(145.0), ..record };
        let thumb = Thumb::new(&company, Some(&record));
        assert_eq!((thumb.cut, thumb.scale), (ThumbType::Texture, Ratio::new(1, 2)));
    }

    #[test]
    fn a_sized_layer_is_cut_or_padded_to_its_size() {
        let crop = Rect { x: 10, y: 20, w: 3000, h: 2000 };
        let layer = |cut, align| thumb(cut, align).layer(crop, Size::new(100, 100));
        let at = |x, y, w, h| Rect { x, y, w, h };
        assert_eq!(layer(ThumbType::Crop, ThumbAlign::Centre), (at(510, 20, 2000, 2000), Ratio::new(1, 20)));
        assert_eq!(layer(ThumbType::Crop, ThumbAlign::End), (at(1010, 20, 2000, 2000), Ratio::new(1, 20)));
        assert_eq!(layer(ThumbType::Fit, ThumbAlign::Centre), (at(10, -480, 3000, 3000), Ratio::new(1, 30)));
        assert_eq!(layer(ThumbType::Fit, ThumbAlign::Start), (at(10, 20, 3000, 3000), Ratio::new(1, 30)));
        assert_eq!(layer(ThumbType::Texture, ThumbAlign::Start), (at(10, 20, 400, 400), Ratio::new(1, 4)));
    }
}
