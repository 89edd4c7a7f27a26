//! Smart Imaging's decisions: facts in, [`Decision`] with reasons out; never renders (protocol.md 4).
//!
//! Invariants: a decision depends on request headers only through the fields that [`varies_by`] names; a candidate is
//! tried after the format asked for and served only if it is smaller, so nobody gets more bytes than he asked for.

mod hints;
pub mod quality;

pub use hints::{Ect, Hints, Legacy};

use crate::catalog::{Company, NetworkSignal};
use crate::error::Result;
use crate::pixel::{Chroma, Ratio, Size};
use crate::plan::{
    AvifEffort, Decision, DprReason, EncodeLadder, EncodeSpec, FormatReason, Header, JpegQuality, Network, TiffPacking,
    Trims, WebpQuality,
};
use crate::request::{self, Commands, Dpr, OutputFormat, Packing, PixelType, Screen};

/// Decides what the protocol leaves to the server for one request of one client.
///
/// # Errors
/// `MaxPix`: too big even without a pixel ratio. `Command`, `Request`: as [`request::layout`].
pub fn decide(commands: &Commands, header: &Header, company: &Company, hints: &Hints) -> Result<Decision> {
    let network = follows_network(commands, company).then(|| network(hints, &company.network_signals));
    let (width_max, width_has_ratio) = width_max(commands, company, hints);
    let plain = request::layout(commands, header.size, company, &Screen { ratio: Ratio::ONE, width_max })?;
    // Of a tile its own size counts, not that of the view it is cut from.
    commands.rect.map_or(plain, |tile| plain.tile(&tile)).check(company.max_pix)?;

    let (mut dpr, mut dpr_reason) = match (asked_ratio(commands, company), hints.dpr) {
        (Asked::Nothing, _) => (Ratio::ONE, DprReason::Off),
        (Asked::This(_) | Asked::Detected, _) if width_has_ratio => (Ratio::ONE, DprReason::Width),
        (Asked::This(ratio), _) => (ratio, DprReason::Url),
        (Asked::Detected, Some(ratio)) => (stepped(ratio), DprReason::Hint),
        (Asked::Detected, None) => (Ratio::ONE, DprReason::NoHint),
    };
    let most = match network {
        Some(Network::Poor) => Some(Ratio::ONE),
        Some(Network::Fair) => Some(Ratio::int(2)),
        Some(Network::Good | Network::Excellent) | None => None,
    };
    if let Some(most) = most.filter(|most| dpr > *most) {
        (dpr, dpr_reason) = (most, DprReason::Network);
    }
    if dpr > plain.ratio_max() && !commands.upscales(company) {
        (dpr, dpr_reason) = (plain.ratio_max(), DprReason::NoEnlargement);
    }
    let layout = request::layout(commands, header.size, company, &Screen { ratio: dpr, width_max })?;
    let view = commands.rect.map_or_else(|| layout.clamped(company.max_pix).view, |tile| tile.size);
    let (mut encode, format_reason) = ladder(commands, company, hints, network, view);
    encode.jpeg_bytes_max = commands.jpeg_size.filter(|_| matches!(encode.requested, EncodeSpec::Jpeg { .. }));
    Ok(Decision { dpr, dpr_reason, width_max, network, encode, format_reason })
}

/// The request headers that the reply to these commands depends on, whatever a client sends: the value of `Vary`
/// (protocol.md 4.5).
pub fn varies_by(commands: &Commands, company: &Company) -> Vec<&'static str> {
    let mut fields = Vec::new();
    if converts(commands, company) && is_eligible(commands) {
        fields.push("Accept");
        if company.legacy_ua {
            fields.push("User-Agent");
        }
    }
    if asked_ratio(commands, company) == Asked::Detected {
        fields.extend(["Sec-CH-DPR", "DPR"]);
    }
    if follows_network(commands, company) {
        fields.extend(company.network_signals.iter().map(|signal| signal.header()));
    }
    if follows_width(commands, company) {
        fields.extend(["Sec-CH-Width", "Width", "Sec-CH-Viewport-Width", "Viewport-Width"]);
    }
    fields
}

/// The client hints that these commands could use: the value of `Accept-CH`. `Save-Data` is sent unasked.
pub fn hints_wanted(commands: &Commands, company: &Company) -> Vec<&'static str> {
    let asked_for = ["Sec-CH-DPR", "Sec-CH-Width", "Sec-CH-Viewport-Width", "ECT", "Downlink", "RTT"];
    varies_by(commands, company).into_iter().filter(|field| asked_for.contains(field)).collect()
}

fn converts(commands: &Commands, company: &Company) -> bool {
    commands.bfc.unwrap_or(company.bfc)
}

fn follows_network(commands: &Commands, company: &Company) -> bool {
    commands.network.unwrap_or(company.network)
}

/// The client's display width may narrow DefaultPix, and nothing else.
fn follows_width(commands: &Commands, company: &Company) -> bool {
    company.ch_width
        && commands.thumb.is_none()
        && commands.wid.is_none()
        && commands.hei.is_none()
        && commands.scl.is_none()
}

/// Which pixel ratio URL and company ask for (protocol.md 4.3, D1 to D3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Nothing,
    This(Ratio),
    Detected,
}

fn asked_ratio(commands: &Commands, company: &Company) -> Asked {
    match commands.dpr {
        Some(Dpr::Off) => Asked::Nothing,
        Some(Dpr::Ratio(ratio)) => Asked::This(ratio),
        Some(Dpr::Detect) => Asked::Detected,
        None if company.dpr => Asked::Detected,
        None => Asked::Nothing,
    }
}

/// A detected ratio, up to the next of a few steps, so that a cache holds a few entries (protocol.md 4.3 e).
fn stepped(ratio: Ratio) -> Ratio {
    let steps = [Ratio::ONE, Ratio::new(3, 2), Ratio::int(2), Ratio::int(3)];
    steps.into_iter().find(|step| ratio <= *step).unwrap_or(Ratio::int(3))
}

/// What DefaultPix is narrowed to before any pixel ratio, and whether the ratio is in it already (protocol.md 4.5).
fn width_max(commands: &Commands, company: &Company, hints: &Hints) -> (Option<u32>, bool) {
    if !follows_width(commands, company) {
        return (None, false);
    }
    let up = |px: u32| px.next_multiple_of(company.width_step.max(1));
    match (hints.width, hints.viewport_width) {
        (Some(px), _) => (Some(up(px)), true),
        (None, Some(px)) => (Some(up(px)), false),
        (None, None) => (None, false),
    }
}

/// The class of a client's network, by the signals that the company listens to (protocol.md 4.4).
fn network(hints: &Hints, signals: &[NetworkSignal]) -> Network {
    let listens = |signal| signals.contains(&signal);
    let save_data = hints.save_data && listens(NetworkSignal::SaveData);
    let ect = hints.ect.filter(|_| listens(NetworkSignal::Ect));
    let kbps_below = |most| listens(NetworkSignal::Downlink) && hints.downlink_kbps.is_some_and(|kbps| kbps < most);
    let rtt_from = |least| listens(NetworkSignal::Rtt) && hints.rtt_ms.is_some_and(|ms| ms >= least);
    if save_data || ect.is_some_and(|ect| ect <= Ect::TwoG) || kbps_below(300) || rtt_from(1000) {
        Network::Poor
    } else if ect == Some(Ect::ThreeG) || kbps_below(1500) || rtt_from(400) {
        Network::Fair
    } else if ect == Some(Ect::FourG) && kbps_below(5000) {
        Network::Good
    } else {
        Network::Excellent
    }
}

/// `qlt` as a network of that class gets it: never raised (protocol.md 4.4).
fn degraded(qlt: u8, network: Option<Network>) -> u8 {
    let (less, floor) = match network {
        Some(Network::Poor) => (30, 30),
        Some(Network::Fair) => (15, 40),
        Some(Network::Good) => (5, 50),
        Some(Network::Excellent) | None => return qlt,
    };
    qlt.min(qlt.saturating_sub(less).max(floor))
}

/// Only the JPEG and PNG families are replaced, and no inks (protocol.md 4.2, F3).
fn is_eligible(commands: &Commands) -> bool {
    if commands.pixels() == PixelType::Cmyk {
        return false;
    }
    match commands.fmt.format {
        OutputFormat::Jpeg { .. } | OutputFormat::Png | OutputFormat::Png8 => true,
        OutputFormat::Gif
        | OutputFormat::Tiff { .. }
        | OutputFormat::Webp
        | OutputFormat::Avif
        | OutputFormat::Jpeg2000
        | OutputFormat::JpegXr => false,
    }
}

/// The format asked for and what may replace it (protocol.md 4.2).
fn ladder(
    commands: &Commands,
    company: &Company,
    hints: &Hints,
    network: Option<Network>,
    view: Size,
) -> (EncodeLadder, FormatReason) {
    let asked = commands.qlt.map_or(company.jpeg_quality, |qlt| qlt.quality);
    let chroma = commands.qlt.and_then(|qlt| qlt.chroma).unwrap_or(company.jpeg_chroma);
    let qlt = degraded(asked, network);
    let requested = match commands.fmt.format {
        OutputFormat::Jpeg { progressive } => EncodeSpec::Jpeg { quality: JpegQuality(qlt), chroma, progressive },
        OutputFormat::Png => EncodeSpec::Png,
        OutputFormat::Png8 => EncodeSpec::Png8 { palette: commands.palette() },
        OutputFormat::Gif => EncodeSpec::Gif { palette: commands.palette() },
        OutputFormat::Tiff { packing } => EncodeSpec::Tiff {
            packing: match packing {
                Packing::None => TiffPacking::None,
                Packing::Lzw => TiffPacking::Lzw,
                Packing::Zip => TiffPacking::Zip,
                Packing::Jpeg => TiffPacking::Jpeg { quality: JpegQuality(qlt), chroma },
            },
        },
        OutputFormat::Webp if commands.fmt.lossless => EncodeSpec::WebpLossless,
        OutputFormat::Webp => EncodeSpec::Webp { quality: WebpQuality(u16::from(qlt) * 100) },
        OutputFormat::Avif if commands.fmt.lossless => EncodeSpec::AvifLossless,
        // These have no scale of 1 to 100 of their own: the number looks as it does for a JPEG.
        OutputFormat::Avif => EncodeSpec::Avif {
            quantiser: quality::avif(JpegQuality(qlt), chroma, view),
            effort: AvifEffort::for_size(view).unwrap_or(AvifEffort::Quick),
            chroma,
        },
        OutputFormat::Jpeg2000 if commands.fmt.lossless => EncodeSpec::Jpeg2000Lossless,
        OutputFormat::Jpeg2000 => EncodeSpec::Jpeg2000 { quality: quality::jpeg2000(JpegQuality(qlt), chroma) },
        OutputFormat::JpegXr if commands.fmt.lossless => EncodeSpec::JpegXrLossless,
        OutputFormat::JpegXr => EncodeSpec::JpegXr { quantiser: quality::jpegxr(JpegQuality(qlt), chroma) },
    };
    let only = |reason| (EncodeLadder::only(requested), reason);
    if !converts(commands, company) {
        return only(FormatReason::Off);
    }
    if !is_eligible(commands) {
        return only(FormatReason::Ineligible);
    }
    let look = match requested {
        // A PNG at quality 100 stays lossless (Q3), but not over a poor network.
        EncodeSpec::Png | EncodeSpec::Png8 { .. } if asked == 100 && network != Some(Network::Poor) => Look::Exact,
        EncodeSpec::Png | EncodeSpec::Png8 { .. } if asked == 100 => Look::AsJpeg(JpegQuality(90), chroma),
        EncodeSpec::Png
        | EncodeSpec::Png8 { .. }
        | EncodeSpec::Gif { .. }
        | EncodeSpec::Tiff { .. }
        | EncodeSpec::Jpeg { .. }
        | EncodeSpec::Webp { .. }
        | EncodeSpec::WebpLossless
        | EncodeSpec::Avif { .. }
        | EncodeSpec::AvifLossless
        | EncodeSpec::Jpeg2000 { .. }
        | EncodeSpec::Jpeg2000Lossless
        | EncodeSpec::JpegXr { .. }
        | EncodeSpec::JpegXrLossless => Look::AsJpeg(JpegQuality(qlt), chroma),
    };
    let candidates = candidates(company, hints, look, view);
    if candidates.is_empty() {
        return only(FormatReason::Unsupported);
    }
    // Others are not measured.
    let trims = if let EncodeSpec::Jpeg { quality, chroma: Chroma::Half, .. } = requested {
        Trims { webp: Some(quality::webp_trim(quality, view)), avif: Some(quality::avif_trim(quality, view)) }
    } else {
        Trims::default()
    };
    (EncodeLadder { candidates, trims, ..EncodeLadder::only(requested) }, FormatReason::Candidates)
}

/// What a candidate must look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Look {
    /// Every sample as it is.
    Exact,
    /// No worse than this JPEG.
    AsJpeg(JpegQuality, Chroma),
}

/// What the client can read instead, best first (protocol.md 4.2, F4 to F7): AVIF before WebP, but for lossless pictures,
/// which WebP makes far smaller; then what only old browsers read.
fn candidates(company: &Company, hints: &Hints, look: Look, view: Size) -> Vec<EncodeSpec> {
    let legacy = hints.legacy.filter(|_| company.legacy_ua);
    let effort = AvifEffort::for_size(view).filter(|_| hints.avif && company.avif);
    let (avif, webp, jpeg2000, jpegxr) = match look {
        Look::Exact => (
            effort.map(|_| EncodeSpec::AvifLossless),
            EncodeSpec::WebpLossless,
            EncodeSpec::Jpeg2000Lossless,
            EncodeSpec::JpegXrLossless,
        ),
        Look::AsJpeg(quality, chroma) => (
            effort.map(|effort| EncodeSpec::Avif { quantiser: quality::avif(quality, chroma, view), effort, chroma }),
            EncodeSpec::Webp { quality: quality::webp(quality, view) },
            EncodeSpec::Jpeg2000 { quality: quality::jpeg2000(quality, chroma) },
            EncodeSpec::JpegXr { quantiser: quality::jpegxr(quality, chroma) },
        ),
    };
    let webp = hints.webp.then_some(webp);
    let jpeg2000 = (hints.jpeg2000 || legacy == Some(Legacy::Safari)).then_some(jpeg2000);
    let reads_jpegxr = hints.jpegxr || legacy == Some(Legacy::Edge);
    let jpegxr = (EncodeSpec::HAS_JPEG_XR && reads_jpegxr).then_some(jpegxr);
    let modern = if look == Look::Exact { [webp, avif] } else { [avif, webp] };
    modern.into_iter().chain([jpeg2000, jpegxr]).flatten().collect()
}
