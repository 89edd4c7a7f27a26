//! Plans, decisions and verdicts as JSON, for people: `/v1/explain` and `calotype render --json`.

use serde_json::{Value, json};

use crate::engine::placement::Placement;
use crate::pixel::Density;
use crate::plan::{
    Conversion, Decision, DecodeAs, EncodeSpec, Fill, Grain, Grown, Header, MaskUse, Morph, Pass, Plan, Point,
    Resample, Side, TiffPacking, Unsharp, Verdict,
};

/// What was found of a source.
pub(super) fn source(header: &Header) -> Value {
    json!({
        "format": header.format.name(),
        "width": header.size.w,
        "height": header.size.h,
        "orientation": header.orientation,
        "alpha": header.native.alpha,
        "converts_profile": header.converts_profile,
    })
}

/// What was decided, each with its reason.
pub fn decision(decision: &Decision) -> Value {
    json!({
        "dpr": { "value": decision.dpr.to_f64(), "reason": decision.dpr_reason.word() },
        "width_max": decision.width_max,
        "network": decision.network.map(|network| network.word()),
        "format": {
            "reason": decision.format_reason.word(),
            "requested": spec(&decision.encode.requested),
            "candidates": decision.encode.candidates.iter().map(spec).collect::<Vec<_>>(),
            "jpeg_bytes_max": decision.encode.jpeg_bytes_max,
        },
    })
}

/// What is done.
pub(super) fn plan(plan: &Plan) -> Value {
    json!({
        "key": format!("{:016x}", plan.key()),
        "decode": match plan.decode {
            DecodeAs::Native => "planes as stored",
            DecodeAs::Rgb => "rgb",
        },
        "passes": plan.passes.iter().map(pass).collect::<Vec<_>>(),
        "width": plan.size.w,
        "height": plan.size.h,
        "profile": plan.output.conversion.map(|conversion| match conversion {
            Conversion::Inks => json!("none, inks by arithmetic"),
            Conversion::To { profile, intent } => json!([profile.name(), intent.keyword()]),
        }),
        "embeds": { "profile": plan.output.embeds_profile, "xmp": plan.output.embeds_xmp },
        "print_dpi": plan.output.density.map(Density::dpi),
    })
}

/// What came of it, with the reason that the reply says.
pub fn verdict(verdict: &Verdict, decision: &Decision) -> Value {
    let tried = |(spec, bytes): &(EncodeSpec, u64)| {
        let mut tried = self::spec(spec);
        tried["bytes"] = json!(bytes);
        tried
    };
    json!({
        "served": verdict.served.mime(),
        "reason": decision.format_reason.told(verdict),
        "saved_bytes": verdict.saved(),
        "tried": verdict.tried.iter().map(tried).collect::<Vec<_>>(),
        "skipped": verdict.skipped.iter().map(spec).collect::<Vec<_>>(),
    })
}

/// Where its passes were sent, and the estimates that say so.
pub(super) fn placement(placement: Placement) -> Value {
    let ms = |ns: u64| ns as f64 / 1e6;
    json!({
        "side": placement.side.word(),
        "gpu_estimate_ms": ms(placement.gpu_ns),
        "cpu_estimate_ms": ms(placement.cpu_ns),
    })
}

fn spec(spec: &EncodeSpec) -> Value {
    match spec {
        EncodeSpec::Jpeg { quality, chroma, progressive } => json!({
            "format": spec.name(),
            "quality": quality.0,
            "chroma": chroma.name(),
            "progressive": progressive,
        }),
        EncodeSpec::Png => json!({ "format": spec.name() }),
        EncodeSpec::Png8 { palette } | EncodeSpec::Gif { palette } => json!({
            "format": spec.name(),
            "palette": palette.kind.keyword(),
            "diffuses": palette.diffuses,
            "colours": palette.colours,
        }),
        EncodeSpec::Tiff { packing } => {
            let mut value = json!({ "format": spec.name(), "compression": packing.keyword() });
            if let TiffPacking::Jpeg { quality, chroma } = packing {
                value["quality"] = json!(quality.0);
                value["chroma"] = json!(chroma.name());
            }
            value
        }
        EncodeSpec::Webp { quality } => json!({ "format": spec.name(), "quality": f64::from(quality.0) / 100.0 }),
        EncodeSpec::Avif { quantiser, effort, chroma } => json!({
            "format": spec.name(),
            "quantiser": quantiser.0,
            "effort": effort.name(),
            "chroma": chroma.name(),
        }),
        EncodeSpec::Jpeg2000 { quality } => {
            json!({ "format": spec.name(), "quality_db": f64::from(quality.0) / 100.0 })
        }
        EncodeSpec::JpegXr { quantiser } => json!({ "format": spec.name(), "quantiser": quantiser.0 }),
        EncodeSpec::WebpLossless
        | EncodeSpec::AvifLossless
        | EncodeSpec::Jpeg2000Lossless
        | EncodeSpec::JpegXrLossless => json!({ "format": spec.name(), "lossless": true }),
    }
}

fn pass(pass: &Pass) -> Value {
    let mut value = match pass {
        Pass::YcbcrToRgb | Pass::Grey | Pass::Matte | Pass::Median | Pass::Sharpen => json!({}),
        Pass::RgbToYcbcr { form } => json!({ "form": form.word() }),
        Pass::Load { space, add_alpha } => json!({ "space": space.name(), "add_alpha": add_alpha }),
        Pass::Pack { space } => json!({ "space": space.name() }),
        Pass::ResizeH(resample) | Pass::ResizeV(resample) => resized(resample),
        Pass::UnsharpH(unsharp) | Pass::UnsharpV(unsharp) => sharpened(unsharp),
        Pass::Rotate(rotation) => json!({
            "width": rotation.canvas.w,
            "height": rotation.canvas.h,
            "degrees": (-rotation.column[1] as f64).atan2(rotation.column[0] as f64).to_degrees(),
        }),
        Pass::Cover(cover) => json!({
            "mask": match cover.mask {
                MaskUse::Norm => "norm",
                MaskUse::Invert => "invert",
                MaskUse::Off => "off",
            },
            "under": cover.under,
            "opacity": f64::from(cover.opacity) / 10_000.0,
        }),
        Pass::Mask(mask) => json!({
            "paths": mask.paths.iter().map(|(path, side)| json!({
                "points": path.points(),
                "left": match side {
                    Side::Inside => "inside",
                    Side::Outside => "outside",
                },
            })).collect::<Vec<_>>(),
        }),
        Pass::Turn(turn) => json!({
            "transposed": turn.transposed,
            "mirrored": turn.mirrored,
        }),
        Pass::Point(point) => operations(point),
        Pass::GrowH(grow) | Pass::GrowV(grow) => json!({
            "radius_px": grow.radius_px,
            "of": match grow.of {
                Grown::Colours => "colours",
                Grown::Alpha => "alpha",
            },
            "takes": match grow.morph {
                Morph::Dilate => "largest",
                Morph::Erode => "smallest",
            },
        }),
        Pass::Noise(noise) => json!({
            "amount": noise.amount,
            "grain": match noise.grain {
                Grain::Uniform => "uniform",
                Grain::Gaussian => "gaussian",
            },
            "mono": noise.mono,
            "seed": noise.seed,
        }),
        Pass::Place { canvas, x, y, fill } => json!({
            "width": canvas.w,
            "height": canvas.h,
            "x": x,
            "y": y,
            "fill": match fill {
                Fill::Transparent => String::from("transparent"),
                Fill::Opaque([r, g, b]) => format!("{r:02x}{g:02x}{b:02x}"),
            },
        }),
    };
    value["pass"] = json!(pass.name());
    value
}

fn resized(resample: &Resample) -> Value {
    let axis = &resample.axis;
    json!({
        "kernel": resample.kernel.to_string(),
        "from": axis.src_len,
        "to": axis.dst_len,
        "step": axis.step.to_f64(),
    })
}

fn operations(point: &Point) -> Value {
    let colour = |[r, g, b]: [u8; 3]| format!("{r:02x}{g:02x}{b:02x}");
    json!({
        "brightness": point.brightness,
        "contrast": point.contrast,
        "balance": point.balance,
        "hue": point.hue,
        "saturation": point.saturation,
        "tint": point.tint.map(|tint| json!({
            "colour": colour(tint.colour),
            "normalise": tint.normalise,
            "contrast": tint.contrast,
        })),
        "invert": point.invert,
    })
}

fn sharpened(unsharp: &Unsharp) -> Value {
    json!({
        "amount": f64::from(unsharp.amount_q10) / 1024.0,
        "radius_px": unsharp.radius_px(),
        "threshold": unsharp.threshold,
        "mono": unsharp.mono,
    })
}
