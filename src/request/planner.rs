//! The one place that orders passes.
//!
//! | stage | passes | when |
//! |---|---|---|
//! | decode | | planes as stored where that saves work, else R G B |
//! | cut | `Place` | a small part of a large source is wanted, or no scaling at all |
//! | enlarge Y Cb Cr | `YcbcrToRgb` | it will be needed: first where there are fewer samples |
//! | mask | `Cover` | the source's alpha does not count as it is |
//! | | `GrowH GrowV` of the alpha, then before the cut | asked for |
//! | scale | `Load ResizeH ResizeV Pack`, the cheaper direction first | an axis is not a plain copy |
//! | convert | `YcbcrToRgb` | something after it needs R G B, or chroma that is shared is to be shared otherwise |
//! | grey | `Grey` | asked for: before the scaling where the decoder hands out luma and nothing after needs colours |
//! | turn | `Turn` | mirrored, or turned by quarters |
//! | cover | `Cover`, `Place` before it where it reaches beyond the picture | colours beneath, opacity |
//! | clip | `Mask`, after either `Cover` | paths to clip to |
//! | rotate | `Rotate`, between those of layer and composite | by more than quarters |
//! | effects | `Point`, or `Point Median Point` | asked for |
//! | | `GrowH GrowV`, then `Load ResizeH ResizeV Pack` by a Gaussian, once or twice, then `Noise` | asked for |
//! | sharpen | `Sharpen`, then `UnsharpH UnsharpV` of `op_usm`, then of `op_usmR` | asked for |
//! | place | `Place` | padding, or transparency that the format or the request does not keep |
//! | grey | `Grey` | asked for, and there are colours still |
//! | alpha alone | `Matte` | `req=mask` |
//! | share chroma | `RgbToYcbcr` | the format stores colour at half size |
//!
//! Only the visible part of the scaled picture is ever computed. Sharpening comes before padding and sees the visible
//! part's edges repeated: no halo against the background.

use std::sync::Arc;

use super::layout::{Layout, Screen, Shown, Span, layout};
use super::{Commands, Kind, LayerCommands, PixelType, Tile, Unsharpen};
use crate::catalog::Company;
use crate::error::{Error, Result};
use crate::kernel::{Axis, Edge, Kernel};
use crate::limits;
use crate::pixel::{Chroma, Density, Model, PixelFormat, Ratio, Rect, Size, WorkingSpace, YcbcrForm, luma};
use crate::plan::{
    self, Conversion, Cover, Decision, DecodeAs, EncodeLadder, EncodeSpec, Fill, Grow, Grown, Header, Mask, MaskUse,
    Morph, Output, Pass, Plan, Profile, Resample, Unsharp,
};

/// The plan of a request over a source.
///
/// # Errors
/// `MaxPix`, `Command`, `Request`: a rule that needs the source's size is broken.
pub fn plan(commands: &Commands, header: &Header, company: &Company, decision: &Decision) -> Result<Plan> {
    let screen = Screen { ratio: decision.dpr, width_max: decision.width_max };
    let mut layout = layout(commands, header.size, company, &screen)?;
    let tile = commands.rect;
    if let Some(tile) = &tile {
        layout.tile(tile).check(company.max_pix)?;
    } else if decision.dpr == Ratio::ONE {
        layout.check(company.max_pix)?;
    } else {
        layout = layout.clamped(company.max_pix);
    }
    let requested = decision.encode.requested;
    let view = tile.map_or(layout.view, |tile| tile.size);
    check_ceilings(view)?;
    check_format(view, &requested)?;
    let fits = |spec: &EncodeSpec| view.w.max(view.h) <= spec.side_max();
    let candidates: Vec<EncodeSpec> = decision.encode.candidates.iter().copied().filter(fits).collect();
    // Candidates are made of the same pixels, each converted as it needs them.
    let conversion = conversion(commands);
    let is_plain = candidates.is_empty() && conversion.is_none();
    let converts_to = requested.form().filter(|form| is_plain && *form != YcbcrForm::Full);
    // A tile must look as if it were cut from the finished view: what looks at neighbours gets the whole of it.
    let cut_out = tile.filter(|_| commands.looks_around());
    layout = match (&tile, &cut_out) {
        (Some(tile), None) => layout.tile(tile),
        (_, Some(tile)) => layout.enlarged(tile),
        (None, None) => layout,
    };
    check_ceilings(layout.upright().map_or(layout.view, |upright| upright.view))?;
    check_ceilings(layout.view)?;
    commands.effects.check(&layout)?;
    check_growth(commands, &layout)?;
    commands.clips.check()?;

    let order = Order { commands, header, company, layout: &layout, encode: &requested, converts_to, conversion };
    let (decode, mut passes) = order.passes();
    seed(&mut passes, header.size);
    passes.extend(cut_out.map(|tile| order.cut_out(&tile)));
    passes.extend((commands.req.kind == Kind::Mask).then_some(Pass::Matte));
    passes.extend(order.conversion(decode, &passes));
    // Of the finished view, or of the tile that is cut from it.
    let paths = match (tile, &cut_out) {
        (Some(tile), Some(_)) => commands.clips.embedded(&layout, [tile.x, tile.y]),
        _ => commands.clips.embedded(&layout, [0; 2]),
    };
    let encode = EncodeLadder { candidates, ..decision.encode };
    let density = commands.print_res.or(company.print_resolution.and_then(Density::from_dpi)).or(header.density);
    let has_palette = matches!(requested, EncodeSpec::Png8 { .. } | EncodeSpec::Gif { .. });
    let output = Output {
        density,
        paths,
        steps: commands.pscan.filter(|_| matches!(requested, EncodeSpec::Jpeg { progressive: true, .. })),
        colours: if has_palette { commands.quantize.colours.clone() } else { Vec::new() },
        conversion,
        embeds_profile: commands.icc_embed && holds_profile(&requested),
        embeds_xmp: commands.xmp_embed && holds_xmp(&requested),
    };
    Ok(Plan { source: header.size, decode, size: view, passes, encode, output })
}

/// What makes another picture the alpha of a source of `size`: its own alpha, or else its grey.
pub fn mask_plan(header: &Header, size: Size) -> Plan {
    let mut passes = match header.native {
        PixelFormat { alpha: true, .. } => vec![Pass::Matte],
        PixelFormat { model: Model::Grey, .. } => Vec::new(),
        PixelFormat { .. } => vec![Pass::Grey],
    };
    if header.size != size {
        let space = WorkingSpace::Encoded;
        let turn = |from, to| Resample { kernel: Kernel::Bilin, axis: Axis::whole(from, to), chroma_axis: None };
        passes.push(Pass::Load { space, add_alpha: false });
        passes.push(Pass::ResizeH(turn(header.size.w, size.w)));
        passes.push(Pass::ResizeV(turn(header.size.h, size.h)));
        passes.push(Pass::Pack { space });
    }
    let encode = EncodeLadder::only(EncodeSpec::Png);
    Plan { source: header.size, decode: DecodeAs::Native, size, passes, encode, output: Output::default() }
}

/// What colours become, where they do not stay sRGB.
fn conversion(commands: &Commands) -> Option<Conversion> {
    match commands.icc {
        Some((Profile::Srgb, _)) => None,
        Some((profile, intent)) => Some(Conversion::To { profile, intent }),
        None => (commands.pixels() == PixelType::Cmyk).then_some(Conversion::Inks),
    }
}

fn holds_profile(spec: &EncodeSpec) -> bool {
    match spec {
        EncodeSpec::Jpeg { .. } | EncodeSpec::Png | EncodeSpec::Png8 { .. } | EncodeSpec::Tiff { .. } => true,
        EncodeSpec::Gif { .. }
        | EncodeSpec::Webp { .. }
        | EncodeSpec::WebpLossless
        | EncodeSpec::Avif { .. }
        | EncodeSpec::AvifLossless
        | EncodeSpec::Jpeg2000 { .. }
        | EncodeSpec::Jpeg2000Lossless
        | EncodeSpec::JpegXr { .. }
        | EncodeSpec::JpegXrLossless => false,
    }
}

fn holds_xmp(spec: &EncodeSpec) -> bool {
    holds_profile(spec) || matches!(spec, EncodeSpec::Webp { .. } | EncodeSpec::WebpLossless)
}

/// Gives noise a seed of its own: the same for the same passes, whatever they are encoded to.
fn seed(passes: &mut [Pass], source: Size) {
    let key = plan::key(&(source, &*passes));
    #[expect(clippy::cast_possible_truncation, reason = "half of a hash")]
    for pass in passes {
        if let Pass::Noise(noise) = pass {
            noise.seed = key as u32;
        }
    }
}

fn check_ceilings(view: Size) -> Result<()> {
    let side = view.w.max(view.h);
    if side > limits::VIEW_SIDE_MAX {
        return Err(Error::MaxPix { size: [view.w, view.h], max: [limits::VIEW_SIDE_MAX; 2] });
    }
    if view.pixels() > limits::VIEW_PIXELS_MAX {
        let want = format!("a reply of at most {} pixels", limits::VIEW_PIXELS_MAX);
        return Err(Error::Request { got: view.to_string(), want: want.into() });
    }
    Ok(())
}

fn check_format(view: Size, encode: &EncodeSpec) -> Result<()> {
    if view.w.max(view.h) > encode.side_max() {
        let want = format!("a format that can hold {view} pixels (at most {} a side here)", encode.side_max());
        return Err(Error::command("fmt", encode.name(), want));
    }
    Ok(())
}

/// # Errors
/// `Command`: a disc that the reduction enlarges past [`limits::GROW_RADIUS_PX_MAX`].
fn check_growth(commands: &Commands, layout: &Layout) -> Result<()> {
    let px = commands.layer.grow_mask_r;
    if layout.source_px(px.unsigned_abs().into()) > u64::from(limits::GROW_RADIUS_PX_MAX) {
        let want = format!("a radius of at most {} px in the source", limits::GROW_RADIUS_PX_MAX);
        return Err(Error::command("op_growMaskR", &px.to_string(), want));
    }
    Ok(())
}

struct Order<'a> {
    commands: &'a Commands,
    header: &'a Header,
    company: &'a Company,
    layout: &'a Layout,
    encode: &'a EncodeSpec,
    /// What R G B is made into at the end.
    converts_to: Option<YcbcrForm>,
    /// What the encoder makes of R G B or grey.
    conversion: Option<Conversion>,
}

impl Order<'_> {
    /// What R G B, or Y Cb Cr of full-size chroma, is made into after these passes, if they end in it.
    fn conversion(&self, decode: DecodeAs, passes: &[Pass]) -> Option<Pass> {
        match (self.wants_grey(), self.model(decode, passes)) {
            (true, Model::Rgb) => Some(Pass::Grey),
            (false, Model::Rgb | Model::Ycbcr(Chroma::Full)) => self.converts_to.map(|form| Pass::RgbToYcbcr { form }),
            (_, _) => None,
        }
    }

    /// What these passes end in.
    fn model(&self, decode: DecodeAs, passes: &[Pass]) -> Model {
        let native = self.header.native.model;
        let decoded = match decode {
            DecodeAs::Native => native,
            DecodeAs::Rgb if native == Model::Grey => Model::Grey,
            DecodeAs::Rgb => Model::Rgb,
        };
        passes.iter().fold(decoded, |model, pass| match pass {
            Pass::YcbcrToRgb => Model::Rgb,
            Pass::Grey | Pass::Matte => Model::Grey,
            Pass::Place { fill, .. } => fill.model(model),
            Pass::Point(point) if matches!(model, Model::Grey | Model::Rgb) => point.model(model),
            Pass::Cover(cover) if matches!(model, Model::Grey | Model::Rgb) => cover.model(model),
            _ => model,
        })
    }

    /// Up to the finished view.
    fn passes(&self) -> (DecodeAs, Vec<Pass>) {
        let is_hidden = self.is_hidden();
        let upright = self.layout.upright();
        let shown = upright.as_ref().unwrap_or(self.layout).shown();
        let is_seen = !is_hidden && (upright.is_none() || self.layout.composite_in_view().is_some());
        let Some(shown) = shown.filter(|_| is_seen) else { return (DecodeAs::Rgb, self.unseen()) };
        if shown.spans.iter().all(Span::is_copy) { self.copied(&shown) } else { self.scaled(&shown) }
    }

    /// Where nothing of the picture is visible, a colour beneath it may be.
    fn unseen(&self) -> Vec<Pass> {
        let layer = &self.commands.layer;
        let coloured =
            [(layer.colour, self.layout.layer_in_view()), (layer.background, self.layout.composite_in_view())];
        let area = coloured.into_iter().find_map(|(colour, area)| area.filter(|_| colour[3] > 0 && !self.is_hidden()));
        let Some((at, size)) = area else {
            // It comes to stand just right of the view.
            return vec![self.place([self.layout.view.w, 0])];
        };
        let beside = Pass::Place { canvas: size, x: offset_i32(i64::from(size.w)), y: 0, fill: Fill::Transparent };
        let mut finish = Finish { passes: vec![beside], at, size, has_alpha: true };
        self.cover(&mut finish);
        finish.passes.extend(self.commands.effects.passes(self.layout, finish.size, self.company.working_space));
        finish.passes.push(self.place(finish.at));
        finish.passes
    }

    /// At scale 1: every visible sample is a sample of the source.
    fn copied(&self, shown: &Shown) -> (DecodeAs, Vec<Pass>) {
        let mask = self.mask();
        let [x, y] = &shown.spans;
        let visible = shown.size();
        let whole = visible == self.header.size;
        let finish = self.finish(shown, false);
        let placed = self.needs_place(&finish);
        let suits = if self.has_full_chroma() { finish.turns_alone() } else { whole && finish.is_done(placed) };
        let (decode, converts) = if suits && self.stays_ycbcr() {
            (DecodeAs::Native, None)
        } else if suits && self.wants_grey() && self.has_luma() {
            (DecodeAs::Native, Some(Pass::Grey))
        } else if self.has_full_chroma() && !whole {
            // The decoder would convert all of it.
            (DecodeAs::Native, Some(Pass::YcbcrToRgb))
        } else {
            (DecodeAs::Rgb, None)
        };
        // At scale 1 `origin` is a whole sample, and inside the source.
        let (left, top) = (-offset_i32(x.origin.floor()), -offset_i32(y.origin.floor()));
        let covers = visible == self.layout.view;
        let at_once = !whole && covers && finish.passes.is_empty() && mask.is_empty();
        let mut passes = mask.early;
        if !whole {
            let fill = if at_once { self.fill() } else { Fill::Transparent };
            passes.push(Pass::Place { canvas: visible, x: left, y: top, fill });
        }
        passes.extend(converts);
        passes.extend(mask.late);
        passes.extend(finish.passes.iter().cloned());
        if placed && !at_once {
            passes.push(self.place(finish.at));
        }
        (decode, passes)
    }

    fn scaled(&self, shown: &Shown) -> (DecodeAs, Vec<Pass>) {
        let spans = &shown.spans;
        let soft = spans.iter().any(|span| span.soft != [false; 2]);
        let space = self.company.working_space;
        let kernel = self.commands.res_mode.unwrap_or(self.company.res_mode);
        let cut = self.cut(spans, kernel);
        let source = cut.unwrap_or(Rect::of(self.header.size));
        let native = self.header.native;
        let takes_part = self.has_full_chroma() || !soft && cut.is_none();
        let ycbcr = self.has_luma() && space == WorkingSpace::Encoded && takes_part;
        let visible = shown.size();
        let enlarges = visible.pixels() > source.size().pixels();
        let finish = self.finish(shown, soft);
        let placed = self.needs_place(&finish);
        let suits = if self.has_full_chroma() { finish.turns_alone() } else { finish.is_done(placed) };
        let grey_first = ycbcr && self.wants_grey() && finish.turns_alone();
        let stays = ycbcr && self.stays_ycbcr() && suits;
        let rgb_first = ycbcr && enlarges && !stays && !grey_first;

        let mask = self.mask();
        let mut passes = mask.early;
        if let Some(cut) = cut {
            let (x, y) = (-offset_i32(cut.x), -offset_i32(cut.y));
            passes.push(Pass::Place { canvas: cut.size(), x, y, fill: Fill::Transparent });
        }
        if grey_first {
            passes.push(Pass::Grey);
        } else if rgb_first {
            passes.push(Pass::YcbcrToRgb);
        }
        let chroma = (ycbcr && !rgb_first && !grey_first && native.model == Model::Ycbcr(Chroma::Half))
            .then_some(if stays { Chroma::Half } else { Chroma::Full });
        passes.extend(mask.late);
        passes.push(Pass::Load { space, add_alpha: soft && !native.alpha });
        passes.extend(resizes(spans, source, kernel, chroma));
        passes.push(Pass::Pack { space });
        if ycbcr && !rgb_first && !stays && !grey_first {
            passes.push(Pass::YcbcrToRgb);
        }
        passes.extend(finish.passes.iter().cloned());
        if placed {
            passes.push(self.place(finish.at));
        }
        (if ycbcr { DecodeAs::Native } else { DecodeAs::Rgb }, passes)
    }

    /// The part of the source that is worth cutting out before it is loaded: at most half of it, and all that the windows
    /// of the visible part can reach.
    fn cut(&self, spans: &[Span; 2], kernel: Kernel) -> Option<Rect> {
        let [(x, w), (y, h)] = spans.map(|span| reached(&span, kernel));
        let part = u64::from(w) * u64::from(h);
        (2 * part <= self.header.size.pixels()).then_some(Rect { x: i64::from(x), y: i64::from(y), w, h })
    }

    /// Whether the picture need not be R G B for the encoder, if nothing else stands in the way. Full-size chroma can come to
    /// be shared in any form, chroma that is shared stays as it is.
    fn stays_ycbcr(&self) -> bool {
        let native = self.header.native.model;
        let suits = |form: YcbcrForm| native == Model::Ycbcr(Chroma::Full) || native == form.model();
        // Tiles are cut from R G B.
        let is_cut = self.commands.rect.is_some() && self.commands.looks_around();
        let needs_rgb = self.wants_grey() || self.conversion.is_some() || is_cut;
        !needs_rgb && self.has_luma() && self.encode.form().is_some_and(suits)
    }

    /// Whether the decoder hands out Y Cb Cr that is as it shall be.
    fn has_luma(&self) -> bool {
        let native = self.header.native;
        matches!(native.model, Model::Ycbcr(_)) && !native.alpha && !self.header.converts_profile
    }

    /// Whether that can be cut, turned, padded, and fall off at an edge: half-size chroma cannot.
    fn has_full_chroma(&self) -> bool {
        self.has_luma() && self.header.native.model == Model::Ycbcr(Chroma::Full)
    }

    /// Whether colours are to be left out.
    fn wants_grey(&self) -> bool {
        self.commands.pixels() == PixelType::Grey
    }

    /// Whether the picture must still be put on the view: padded, or flattened.
    fn needs_place(&self, finish: &Finish) -> bool {
        finish.size != self.layout.view || finish.has_alpha && !self.commands.keeps_alpha()
    }

    /// On the view, its corner at `at`.
    fn place(&self, at: [u32; 2]) -> Pass {
        let [x, y] = at.map(|at| offset_i32(i64::from(at)));
        Pass::Place { canvas: self.layout.view, x, y, fill: self.fill() }
    }

    /// A tile of the finished view.
    fn cut_out(&self, tile: &Tile) -> Pass {
        Pass::Place { canvas: tile.size, x: offset_i32(-tile.x), y: offset_i32(-tile.y), fill: self.fill() }
    }

    /// What shows where the picture does not.
    fn fill(&self) -> Fill {
        if self.commands.keeps_alpha() {
            Fill::Transparent
        } else {
            let colour = self.commands.background(self.company);
            Fill::Opaque(if self.wants_grey() { [luma(colour); 3] } else { colour })
        }
    }

    /// What is done to the visible picture at its final size.
    fn finish(&self, shown: &Shown, soft: bool) -> Finish {
        let passes = (!shown.turn.is_none()).then_some(Pass::Turn(shown.turn)).into_iter().collect();
        let size = shown.turn.turned(shown.size());
        let mut finish = Finish { passes, at: shown.at, size, has_alpha: self.header.native.alpha || soft };
        self.cover(&mut finish);
        finish.passes.extend(self.commands.effects.passes(self.layout, finish.size, self.company.working_space));
        finish.passes.extend(self.sharpening());
        finish
    }

    /// Nothing of the layer is seen at all.
    fn is_hidden(&self) -> bool {
        let layer = &self.commands.layer;
        layer.is_hidden || layer.mask == MaskUse::Invert && !self.header.native.alpha
    }

    /// What counts of the source's own alpha: before any scaling, which would lose the colours beneath it. What grows it
    /// also comes before anything is cut away, which it would miss.
    fn mask(&self) -> SourceMask {
        let mask = self.commands.layer.mask;
        if !self.header.native.alpha {
            return SourceMask::default();
        }
        let counts = (mask != MaskUse::Norm).then_some(Pass::Cover(Cover { mask, ..Cover::NONE }));
        let grows: Vec<Pass> = match mask {
            MaskUse::Norm | MaskUse::Invert => self.mask_growth().into_iter().flatten().collect(),
            MaskUse::Off => Vec::new(),
        };
        let counts = counts.into_iter().collect();
        if grows.is_empty() {
            SourceMask { late: counts, ..SourceMask::default() }
        } else {
            SourceMask { early: [counts, grows].concat(), ..SourceMask::default() }
        }
    }

    /// Both halves of `op_growMask`, then of `op_growMaskR`; a radius of the source is one of the view where the view is
    /// the larger of the two, as with `op_usm`.
    fn mask_growth(&self) -> [Vec<Pass>; 2] {
        let LayerCommands { grow_mask, grow_mask_r, .. } = self.commands.layer;
        let of_view = |px: i8| self.layout.source_px(px.unsigned_abs().into());
        let own = if self.layout.scale() > 1.0 { of_view(grow_mask) } else { grow_mask.unsigned_abs().into() };
        [(grow_mask, own), (grow_mask_r, of_view(grow_mask_r))].map(|(px, radius)| {
            // Of a disc larger than the picture only what covers it counts.
            let Size { w, h } = self.header.size;
            let radius_px = u16::try_from(radius.min(u64::from(w) + u64::from(h))).unwrap_or(u16::MAX);
            let morph = if px > 0 { Morph::Dilate } else { Morph::Erode };
            let grow = Grow { radius_px, morph, of: Grown::Alpha };
            if radius_px > 0 { vec![Pass::GrowH(grow), Pass::GrowV(grow)] } else { Vec::new() }
        })
    }

    /// What comes of its transparency: of the layer's, then of the composite's.
    fn cover(&self, finish: &mut Finish) {
        let layer = &self.commands.layer;
        match self.layout.upright() {
            None => {
                finish.cover(layer.colour, layer.opacity, self.layout.layer_in_view());
                finish.mask(self.commands.clips.of_layer(self.layout, layer.flip, finish.at));
            }
            Some(upright) => {
                finish.cover(layer.colour, layer.opacity, Some(([0; 2], upright.view)));
                finish.mask(self.commands.clips.of_layer(&upright, layer.flip, finish.at));
                if let Some((at, size)) = self.layout.composite_in_view() {
                    finish.fill([0; 2], upright.view);
                    finish.passes.push(Pass::Rotate(self.layout.rotation(&upright, at, size)));
                    (finish.at, finish.size, finish.has_alpha) = (at, size, true);
                }
            }
        }
        finish.cover(layer.background, layer.opacity_composite, self.layout.composite_in_view());
        finish.mask(self.commands.clips.of_composite(self.layout, layer.flip_composite, finish.at));
    }

    fn sharpening(&self) -> Vec<Pass> {
        let usm = self.layout.radius_q20(self.commands.usm.radius);
        let usm_r = self.commands.usm_r.radius.times(Ratio::int(1 << 20)).round();
        let masks = [(self.commands.usm, usm), (self.commands.usm_r, u32::try_from(usm_r).unwrap_or(u32::MAX))];
        let masks = masks.iter().filter_map(|(unsharpen, radius)| unsharp(unsharpen, *radius));
        let sharpen = self.commands.sharpen.then_some(Pass::Sharpen);
        sharpen.into_iter().chain(masks.flat_map(|mask| [Pass::UnsharpH(mask), Pass::UnsharpV(mask)])).collect()
    }
}

/// What is done to the alpha of the source.
#[derive(Default)]
struct SourceMask {
    /// Before anything is cut away.
    early: Vec<Pass>,
    /// After that: it is the same, and less work.
    late: Vec<Pass>,
}

impl SourceMask {
    fn is_empty(&self) -> bool {
        self.early.is_empty() && self.late.is_empty()
    }
}

/// What is done to the visible picture once it has its size, and where it stands in the view then.
struct Finish {
    passes: Vec<Pass>,
    at: [u32; 2],
    size: Size,
    has_alpha: bool,
}

impl Finish {
    /// Whether samples change places at most: planes of every meaning suit that.
    fn turns_alone(&self) -> bool {
        self.passes.iter().all(|pass| matches!(pass, Pass::Turn(_)))
    }

    /// Whether the visible picture is the view as it is.
    fn is_done(&self, placed: bool) -> bool {
        self.passes.is_empty() && !placed
    }

    /// Surrounded by what is clear, so that it fills a part of the view.
    fn fill(&mut self, at: [u32; 2], size: Size) {
        if (at, size) != (self.at, self.size) {
            let along = |axis: usize| offset_i32(i64::from(self.at[axis]) - i64::from(at[axis]));
            self.passes.push(Pass::Place { canvas: size, x: along(0), y: along(1), fill: Fill::Transparent });
            (self.at, self.size, self.has_alpha) = (at, size, true);
        }
    }

    /// Clear outside paths.
    fn mask(&mut self, mask: Option<Mask>) {
        if let Some(mask) = mask {
            self.passes.push(Pass::Mask(Arc::new(mask)));
            self.has_alpha = true;
        }
    }

    /// A colour beneath, wherever `area` reaches, then opacity.
    fn cover(&mut self, under: [u8; 4], opacity: u16, area: Option<([u32; 2], Size)>) {
        let is_coloured = under[3] > 0;
        if let Some((at, size)) = area.filter(|_| is_coloured) {
            self.fill(at, size);
        }
        if is_coloured && self.has_alpha || opacity < Cover::NONE.opacity {
            let under = if self.has_alpha { under } else { [0; 4] };
            self.passes.push(Pass::Cover(Cover { under, opacity, ..Cover::NONE }));
            self.has_alpha = true;
        }
    }
}

/// An unsharp mask ready for the engines; `None` if it does nothing.
fn unsharp(unsharpen: &Unsharpen, radius_q20: u32) -> Option<Unsharp> {
    let amount_q10 = u16::try_from(unsharpen.amount.times(Ratio::int(1 << 10)).round()).unwrap_or(u16::MAX);
    let Unsharpen { threshold, mono, .. } = *unsharpen;
    (amount_q10 > 0 && radius_q20 > 0).then_some(Unsharp { amount_q10, radius_q20, threshold, mono })
}

/// The resizes of a picture that is the part `source` of the source, the cheaper order first. `chroma` is what half-size
/// chroma becomes; `None` where there is none.
fn resizes(spans: &[Span; 2], source: Rect, kernel: Kernel, chroma: Option<Chroma>) -> Vec<Pass> {
    let [x, y] = spans;
    let axes = [axis(x, source.x, source.w), axis(y, source.y, source.h)];
    let resample = |axis: Axis, src_len: u32| {
        let chroma_axis = chroma.map(|chroma| of_half(&axis, src_len, chroma));
        (!axis.is_identity(src_len) || chroma == Some(Chroma::Full)).then_some(Resample { kernel, axis, chroma_axis })
    };
    let horizontal = resample(axes[0], source.w).map(Pass::ResizeH);
    let vertical = resample(axes[1], source.h).map(Pass::ResizeV);
    // Multiplications of both orders: samples of the first half's result times its taps, then of the second's.
    let work = |lines: u32, span: &Span| u128::from(lines) * u128::from(span.len) * taps(span, kernel);
    let horizontal_first = work(source.h, x) + work(x.len, y);
    let vertical_first = work(source.w, y) + work(y.len, x);
    let ordered = if horizontal_first <= vertical_first { [horizontal, vertical] } else { [vertical, horizontal] };
    ordered.into_iter().flatten().collect()
}

/// Taps of one window, roughly.
fn taps(span: &Span, kernel: Kernel) -> u128 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a positive estimate")]
    let per_sample = (2.0 * kernel.support()).ceil() as u128;
    per_sample * u128::try_from(span.step.ceil().max(1)).unwrap_or(1)
}

/// The axis of a span over the `len` samples of the source from sample `first` on.
fn axis(span: &Span, first: i64, len: u32) -> Axis {
    let edge = match span.soft {
        [false, false] => Edge::Renormalise,
        [true, false] => Edge::TransparentFirst,
        [false, true] => Edge::TransparentLast,
        [true, true] => Edge::Transparent,
    };
    // Where these samples end before the composite does, no window reaches that end.
    let within = |sample: i64| u32::try_from((sample - first).clamp(0, i64::from(len))).unwrap_or(len);
    let src_first = within(i64::from(span.src_first));
    let src_end = within(i64::from(span.src_first) + i64::from(span.src_len));
    Axis {
        src_first,
        src_len: src_end - src_first,
        origin: span.origin.minus(Ratio::int(first)),
        step: span.step,
        dst_len: span.len,
        edge,
    }
}

/// The axis of half-size chroma: a chroma sample covers two luma samples, so coordinates halve; steps as well if it
/// becomes as large as luma.
fn of_half(axis: &Axis, src_len: u32, chroma: Chroma) -> Axis {
    let end = (axis.src_first + axis.src_len).min(src_len).div_ceil(2);
    let src_first = axis.src_first / 2;
    Axis {
        src_first,
        src_len: end - src_first,
        origin: axis.origin.over(Ratio::int(2)),
        step: match chroma {
            Chroma::Half => axis.step,
            Chroma::Full => axis.step.over(Ratio::int(2)),
        },
        dst_len: match chroma {
            Chroma::Half => axis.dst_len.div_ceil(2),
            Chroma::Full => axis.dst_len,
        },
        edge: axis.edge,
    }
}

/// First source sample and number of samples that the windows of a span can read.
fn reached(span: &Span, kernel: Kernel) -> (u32, u32) {
    let step = span.step.max(Ratio::ONE);
    // The pyramid of `trilin` is counted from the first sample on: a cut must begin at a whole cell of its upper level.
    let cell = i64::try_from(step.ceil().unsigned_abs().next_power_of_two()).unwrap_or(i64::MAX / 4) * 2;
    #[expect(clippy::cast_possible_truncation, reason = "1, 2 or 3 for those of resMode")]
    let reach = match kernel {
        Kernel::Trilin => 2 * cell,
        Kernel::Bilin | Kernel::Bicub | Kernel::Sharp2 | Kernel::Bisharp | Kernel::Gaussian { .. } => {
            step.times(Ratio::int(kernel.support().ceil() as i64)).ceil() + 1
        }
    };
    let (least, most) = (i64::from(span.src_first), i64::from(span.src_first + span.src_len));
    let first = (span.origin.floor() - reach).clamp(least, most - 1);
    let first = if kernel == Kernel::Trilin { first - (first - least) % cell } else { first };
    let last = span.origin.plus(span.step.times(Ratio::int(i64::from(span.len)))).ceil() + reach;
    let end = last.clamp(first + 1, most);
    (u32::try_from(first).unwrap_or(0), u32::try_from(end - first).unwrap_or(1))
}

/// Views and sources have at most 65,535 pixels a side, so positions of visible pictures fit.
fn offset_i32(at: i64) -> i32 {
    i32::try_from(at).unwrap_or(if at < 0 { i32::MIN } else { i32::MAX })
}
