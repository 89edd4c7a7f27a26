//! Pictures as planes: sizes, formats and the samples themselves.
//!
//! An [`Image`] is one to five 8-bit planes because the formats that matter decode to planes and encode from planes.
//! Invariants: an `Image` is upright, in sRGB (encoded), and its alpha is straight; every plane has exactly the size
//! that [`PixelFormat::plane_size`] gives; rows are packed, stride = width. Wider samples exist only inside engines.

pub mod geometry;
pub mod interleave;
pub mod path;
pub mod testcard;

use std::fmt;

pub use geometry::{Ratio, Rect, Size};
pub use path::{Outline, Path, Piece};
use serde::{Deserialize, Serialize};

/// Where the chroma planes of a Y Cb Cr picture are sampled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Chroma {
    /// 4:4:4, chroma as large as luma.
    Full,
    /// 4:2:0, chroma ⌈w/2⌉ × ⌈h/2⌉, each sample centred in its 2×2 luma samples (as JPEG and WebP site it).
    Half,
}

impl Chroma {
    /// As people write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Full => "4:4:4",
            Self::Half => "4:2:0",
        }
    }
}

/// What the colour planes mean, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Model {
    /// One plane, encoded grey.
    Grey,
    /// R, G, B, encoded sRGB.
    Rgb,
    /// Y, Cb, Cr, full range, the matrix of JFIF (BT.601).
    Ycbcr(Chroma),
    /// Y (16 to 235), U and V (16 to 240) of half size, the same matrix: video range, for encoders alone.
    Yuv,
    /// C, M, Y, K, 0 = no ink.
    Cmyk,
}

/// How Y Cb Cr is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum YcbcrForm {
    /// 4:4:4, full range.
    Full,
    /// 4:2:0, full range: JPEG, AVIF.
    Half,
    /// 4:2:0, video range: WebP.
    Video,
}

impl YcbcrForm {
    /// The planes' meaning.
    pub fn model(self) -> Model {
        match self {
            Self::Full => Model::Ycbcr(Chroma::Full),
            Self::Half => Model::Ycbcr(Chroma::Half),
            Self::Video => Model::Yuv,
        }
    }

    /// One word for logs and JSON.
    pub fn word(self) -> &'static str {
        match self {
            Self::Full => "4:4:4",
            Self::Half => "4:2:0",
            Self::Video => "4:2:0, video range",
        }
    }
}

/// Luma of a colour, JFIF's weights: as the pass `grey`.
pub fn luma([r, g, b]: [u8; 3]) -> u8 {
    let sum = 19_595 * u32::from(r) + 38_470 * u32::from(g) + 7_471 * u32::from(b) + (1 << 15);
    u8::try_from(sum >> 16).unwrap_or(u8::MAX)
}

/// Y Cb Cr of a colour, full range: as the pass `rgb_to_ycbcr` makes full-size chroma.
pub fn ycbcr([r, g, b]: [u8; 3]) -> [u8; 3] {
    let [red, green, blue] = [r, g, b].map(i32::from);
    let level = |sum: i32| u8::try_from((sum + (128 << 16) + (1 << 15) - 1) >> 16).unwrap_or(u8::MAX);
    let cb = level(-11_059 * red - 21_709 * green + 32_768 * blue);
    let cr = level(32_768 * red - 27_439 * green - 5_329 * blue);
    [luma([r, g, b]), cb, cr]
}

/// How large a picture is printed, the same both ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Density {
    /// Hundredths of pixels an inch, 100 to 6,553,500.
    centi_dpi: u32,
}

impl Density {
    /// Most pixels an inch.
    pub const DPI_MAX: u16 = u16::MAX;
    const INCH_M: f64 = 0.0254;

    /// So many pixels an inch, rounded to a hundredth; `None` unless 1 to [`Self::DPI_MAX`].
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked range")]
    pub fn from_dpi(dpi: f64) -> Option<Self> {
        let is_sound = (1.0..=f64::from(Self::DPI_MAX)).contains(&dpi);
        is_sound.then(|| Self { centi_dpi: (100.0 * dpi).round() as u32 })
    }

    /// So many pixels a metre; `None` as [`Self::from_dpi`].
    pub fn from_per_metre(pixels: f64) -> Option<Self> {
        Self::from_dpi(pixels * Self::INCH_M)
    }

    /// Pixels an inch.
    pub fn dpi(self) -> f64 {
        f64::from(self.centi_dpi) / 100.0
    }

    /// Pixels an inch as a fraction.
    pub fn dpi_ratio(self) -> [u32; 2] {
        if self.centi_dpi.is_multiple_of(100) { [self.centi_dpi / 100, 1] } else { [self.centi_dpi, 100] }
    }

    /// Whole pixels an inch, rounded.
    pub fn whole_dpi(self) -> u16 {
        u16::try_from((self.centi_dpi + 50) / 100).unwrap_or(Self::DPI_MAX)
    }

    /// Whole pixels a metre, rounded.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most 2,580,118")]
    pub fn per_metre(self) -> u32 {
        (self.dpi() / Self::INCH_M).round() as u32
    }
}

/// Model and presence of alpha; alpha, when there is one, is the last plane, straight, always full size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PixelFormat {
    /// Meaning of the colour planes.
    pub model: Model,
    /// Whether an alpha plane follows them.
    pub alpha: bool,
}

impl PixelFormat {
    /// Opaque R, G, B.
    pub const RGB: Self = Self { model: Model::Rgb, alpha: false };
    /// R, G, B and straight alpha.
    pub const RGBA: Self = Self { model: Model::Rgb, alpha: true };
    /// One opaque grey plane.
    pub const GREY: Self = Self { model: Model::Grey, alpha: false };

    /// Colour planes, without alpha.
    pub fn colour_planes(self) -> usize {
        match self.model {
            Model::Grey => 1,
            Model::Rgb | Model::Ycbcr(_) | Model::Yuv => 3,
            Model::Cmyk => 4,
        }
    }

    /// All planes, alpha included: 1 to 5.
    pub fn planes(self) -> usize {
        self.colour_planes() + usize::from(self.alpha)
    }

    /// Index of the alpha plane, if there is one.
    pub fn alpha_plane(self) -> Option<usize> {
        self.alpha.then(|| self.colour_planes())
    }

    /// Whether plane `i` is a chroma plane sampled at half size.
    pub fn is_half(self, i: usize) -> bool {
        matches!(self.model, Model::Ycbcr(Chroma::Half) | Model::Yuv) && (i == 1 || i == 2)
    }

    /// Size of plane `i` in a picture of `size` pixels.
    pub fn plane_size(self, i: usize, size: Size) -> Size {
        if self.is_half(i) { size.half() } else { size }
    }

    /// This format with chroma as its planes now are: half size unless they are as large as luma.
    pub fn with_chroma_size(self, full: Size, chroma: Size) -> Self {
        match self.model {
            Model::Ycbcr(_) if chroma == full => Self { model: Model::Ycbcr(Chroma::Full), ..self },
            Model::Grey | Model::Rgb | Model::Ycbcr(_) | Model::Yuv | Model::Cmyk => self,
        }
    }

    /// Samples (= bytes at 8 bits) of a whole picture of `size`.
    pub fn samples(self, size: Size) -> u64 {
        (0..self.planes()).map(|i| self.plane_size(i, size).pixels()).sum()
    }
}

/// Values in which filtering is done. Filtering is always premultiplied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum WorkingSpace {
    /// Gamma-coded values as they are stored, as the original does.
    Encoded,
    /// Linear light, by the sRGB transfer curve.
    Linear,
}

impl WorkingSpace {
    /// As in configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Encoded => "encoded",
            Self::Linear => "linear",
        }
    }
}

/// One channel: `size.h` packed rows of `size.w` samples.
#[derive(Clone, PartialEq, Eq)]
pub struct Plane<T> {
    size: Size,
    data: Vec<T>,
}

impl<T: Copy + Default> Plane<T> {
    /// A plane of zeros.
    pub fn new(size: Size) -> Self {
        Self { size, data: vec![T::default(); size.samples()] }
    }

    /// A plane from its packed rows.
    ///
    /// # Panics
    /// If `data.len()` is not `w · h`: a bug in the caller.
    pub fn from_vec(size: Size, data: Vec<T>) -> Self {
        assert_eq!(data.len(), size.samples(), "plane of {size}");
        Self { size, data }
    }

    /// Width and height in samples.
    pub fn size(&self) -> Size {
        self.size
    }

    /// Row `y`, 0 at the top.
    pub fn row(&self, y: usize) -> &[T] {
        let w = self.size.w as usize;
        &self.data[y * w..][..w]
    }

    /// Row `y` to write to.
    pub fn row_mut(&mut self, y: usize) -> &mut [T] {
        let w = self.size.w as usize;
        &mut self.data[y * w..][..w]
    }

    /// All samples, row-major.
    pub fn data(&self) -> &[T] {
        &self.data
    }

    /// All samples to write to, row-major.
    pub fn data_mut(&mut self) -> &mut [T] {
        &mut self.data
    }

    /// The samples alone.
    pub fn into_vec(self) -> Vec<T> {
        self.data
    }
}

impl<T> fmt::Debug for Plane<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Plane({})", self.size)
    }
}

/// A picture at the codecs' edge: 8-bit planes, upright, sRGB, straight alpha.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    size: Size,
    format: PixelFormat,
    planes: Vec<Plane<u8>>,
}

impl Image {
    /// A picture of zeros (black, or transparent black).
    pub fn new(size: Size, format: PixelFormat) -> Self {
        let planes = (0..format.planes()).map(|i| Plane::new(format.plane_size(i, size))).collect();
        Self { size, format, planes }
    }

    /// A picture from its planes.
    ///
    /// # Panics
    /// If the number or a size of the planes is not what `format` says: a bug in the caller.
    pub fn from_planes(size: Size, format: PixelFormat, planes: Vec<Plane<u8>>) -> Self {
        assert_eq!(planes.len(), format.planes());
        for (i, plane) in planes.iter().enumerate() {
            assert_eq!(plane.size(), format.plane_size(i, size), "plane {i} of {format:?}");
        }
        Self { size, format, planes }
    }

    /// Planes from interleaved 8-bit samples, `channels` = `format.planes()` bytes a pixel, full-size chroma.
    ///
    /// # Panics
    /// If `data.len()` is not `w · h · planes`, or the format has half-size chroma: a bug in the caller.
    pub fn from_interleaved(size: Size, format: PixelFormat, data: &[u8]) -> Self {
        assert!(!format.is_half(1), "half-size chroma is never interleaved");
        let n = format.planes();
        assert_eq!(data.len(), size.samples() * n);
        let planes: Vec<Vec<u8>> = match n {
            1 => vec![data.to_vec()],
            2 => interleave::dealt::<2>(data).into(),
            3 => interleave::dealt::<3>(data).into(),
            4 => interleave::dealt::<4>(data).into(),
            _ => interleave::dealt::<5>(data).into(),
        };
        let planes = planes.into_iter().map(|plane| Plane::from_vec(size, plane)).collect();
        Self::from_planes(size, format, planes)
    }

    /// The same of samples that nobody else needs: those of a large picture are given back while its planes are made.
    ///
    /// # Panics
    /// As [`Self::from_interleaved`].
    pub fn of_interleaved(size: Size, format: PixelFormat, data: Vec<u8>) -> Self {
        assert_eq!(data.len(), size.samples() * format.planes());
        let planes: Vec<Vec<u8>> = match format.planes() {
            1 => vec![data],
            3 if !format.is_half(1) => interleave::dealt_out::<3>(data).into(),
            4 if !format.is_half(1) => interleave::dealt_out::<4>(data).into(),
            _ => return Self::from_interleaved(size, format, &data),
        };
        let planes = planes.into_iter().map(|plane| Plane::from_vec(size, plane)).collect();
        Self::from_planes(size, format, planes)
    }

    /// The samples interleaved, `planes` bytes a pixel, appended to nothing: `w · h · planes` bytes.
    ///
    /// # Panics
    /// If the format has half-size chroma: a bug in the caller.
    pub fn to_interleaved(&self) -> Vec<u8> {
        assert!(!self.format.is_half(1), "half-size chroma is never interleaved");
        let n = self.format.planes();
        let mut data = vec![0; self.size.samples() * n];
        match self.planes.as_slice() {
            [grey] => data.copy_from_slice(&grey.data),
            [r, g, b] => interleave::gather([&r.data, &g.data, &b.data], &mut data),
            planes => {
                for (c, plane) in planes.iter().enumerate() {
                    for (px, v) in data.chunks_exact_mut(n).zip(&plane.data) {
                        px[c] = *v;
                    }
                }
            }
        }
        data
    }

    /// Width and height in pixels.
    pub fn size(&self) -> Size {
        self.size
    }

    /// Model and alpha.
    pub fn format(&self) -> PixelFormat {
        self.format
    }

    /// All planes in order.
    pub fn planes(&self) -> &[Plane<u8>] {
        &self.planes
    }

    /// All planes in order, to write to.
    pub fn planes_mut(&mut self) -> &mut [Plane<u8>] {
        &mut self.planes
    }

    /// The planes alone.
    pub fn into_planes(self) -> Vec<Plane<u8>> {
        self.planes
    }

    /// The alpha plane, if there is one.
    pub fn alpha(&self) -> Option<&Plane<u8>> {
        self.format.alpha_plane().map(|i| &self.planes[i])
    }

    /// Whether every pixel is fully opaque (true without an alpha plane).
    pub fn is_opaque(&self) -> bool {
        self.alpha().is_none_or(|a| a.data().iter().all(|&v| v == 255))
    }
}

/// A source as engines read it: rows on demand, so that a decoder can hand out strips one day. A whole [`Image`] is one.
pub trait RowSource: Send + Sync {
    /// Width and height in pixels.
    fn size(&self) -> Size;
    /// Model and alpha.
    fn format(&self) -> PixelFormat;
    /// Rows `y .. y + rows` of plane `i`, packed, in the plane's own coordinates.
    fn rows(&self, i: usize, y: u32, rows: u32) -> &[u8];
}

impl RowSource for Image {
    fn size(&self) -> Size {
        self.size
    }

    fn format(&self) -> PixelFormat {
        self.format
    }

    fn rows(&self, i: usize, y: u32, rows: u32) -> &[u8] {
        let plane = &self.planes[i];
        let w = plane.size.w as usize;
        &plane.data[y as usize * w..][..rows as usize * w]
    }
}
