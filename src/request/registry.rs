//! Every command of the protocol, as data: what it is called, what it takes, what calotype does with it.
//!
//! Three answers must differ: a name nobody knows (ignored, or refused by strict companies), a known command or value
//! that calotype does not do yet (`Error::NotSupported`), and a bad value of a working command (`Error::Command`, whose
//! "expected …" is the row's `range`). The user manual's table is printed from here.

use super::{Commands, Refused};
use super::{clips, effects, layer, read};

/// What a command belongs to; decides where it goes when no `layer=` stands before it (protocol.md 2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The whole request.
    Request,
    /// The view: what is done to the finished composite.
    View,
    /// Layer 0, the source.
    Layer0,
    /// The composite.
    Composite,
    /// A layer or an effect of a layer.
    Layer,
}

impl Scope {
    /// The letter of protocol.md 2.1.
    pub fn letter(self) -> &'static str {
        match self {
            Self::Request => "Q",
            Self::View => "V",
            Self::Layer0 => "L0",
            Self::Composite => "C",
            Self::Layer => "L",
        }
    }
}

/// How much of a command works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// All of it.
    Done,
    /// Some of its values; the others are refused as not supported.
    Partly,
    /// Nothing yet: refused as not supported, but for values that change nothing.
    NotYet,
    /// Nothing, for good.
    Never,
}

/// Reads a command's decoded value into [`Commands`].
pub(super) type Read = fn(&mut Commands, &str) -> Result<(), Refused>;

/// One command.
#[derive(Clone, Copy, Debug)]
pub struct Command {
    /// Its name in the protocol's spelling; names are case-insensitive.
    pub name: &'static str,
    /// Where it goes when unscoped.
    pub scope: Scope,
    /// Shape of its value.
    pub syntax: &'static str,
    /// What is accepted, in words that end the sentence "expected …".
    pub range: &'static str,
    /// What holds when it is absent.
    pub default: &'static str,
    /// How much of it works.
    pub status: Status,
    /// Values of a command that does not work yet which change nothing and are therefore accepted: its no-op defaults.
    pub harmless: &'static [&'static str],
    /// How a working command is read.
    pub(super) read: Option<Read>,
}

impl Command {
    const fn done(name: &'static str, scope: Scope, syntax: &'static str, range: &'static str, read: Read) -> Self {
        Self { name, scope, syntax, range, default: "", status: Status::Done, harmless: &[], read: Some(read) }
    }

    const fn not_yet(name: &'static str, scope: Scope, syntax: &'static str, range: &'static str) -> Self {
        Self { name, scope, syntax, range, default: "", status: Status::NotYet, harmless: &[], read: None }
    }

    const fn or(mut self, default: &'static str) -> Self {
        self.default = default;
        self
    }

    const fn partly(mut self) -> Self {
        self.status = Status::Partly;
        self
    }

    const fn never(mut self) -> Self {
        self.status = Status::Never;
        self
    }

    /// Values accepted although the command does not work yet.
    const fn but(mut self, harmless: &'static [&'static str]) -> Self {
        self.harmless = harmless;
        self
    }

    /// What `X` and `XN` share: the last instance of either wins (protocol.md 1.5).
    pub(super) fn slot(&self) -> &'static str {
        self.name.strip_suffix('N').unwrap_or(self.name)
    }

    /// Whether `value` changes nothing: items equal to a harmless value's, numbers compared as numbers.
    pub(super) fn is_harmless(&self, value: &str) -> bool {
        self.harmless.iter().any(|harmless| {
            let (ours, theirs) = (harmless.split(','), value.split(','));
            ours.clone().count() == theirs.clone().count()
                && ours.zip(theirs).all(|(a, b)| {
                    a.eq_ignore_ascii_case(b) || read::real(a, 6).is_some_and(|a| Some(a) == read::real(b, 6))
                })
        })
    }
}

/// The command called `name`, case-insensitive.
pub fn find(name: &str) -> Option<&'static Command> {
    COMMANDS.iter().find(|command| command.name.eq_ignore_ascii_case(name))
}

/// The known name nearest to `name`, if it can be a slip of the finger: at most two letters wrong, a third of them.
pub fn nearest(name: &str) -> Option<&'static str> {
    const CHARS_MAX: usize = 32;
    if name.chars().count() > CHARS_MAX {
        return None;
    }
    let lower = name.to_ascii_lowercase();
    COMMANDS
        .iter()
        .map(|command| (strsim::damerau_levenshtein(&command.name.to_ascii_lowercase(), &lower), command.name))
        .filter(|(distance, near)| *distance <= 2 && distance * 3 <= near.len())
        .min()
        .map(|(_, near)| near)
}

use Scope::{Composite, Layer, Layer0, Request, View};

const SIDE: &str = "an integer from 1 to 2147483647";
const SWITCH: &str = "0 or 1";
const PERCENT: &str = "an integer from -100 to 100";
const PATHS: &str = "names of paths of the source in ASCII, separated by commas";
const PATH_DATA: &str = "path data from M or m on, of M/m L/l C/c Z/z and numbers from -1000000 to 1000000, all separated by commas, a \
                         letter before its first number: M0,0,L9,0,9,9,Z";
const COLOUR: &str = "a colour: RRGGBB, RRGGBBAA, 0xGG, CCMMYYKKk, r,g,b of 0 to 255, or percents g or c,m,y,kk";
const TINT: &str =
    "an R G B colour, RRGGBB, RRGGBBAA or r,g,b of 0 to 255, then off or norm, contrast an integer 0 to 100";
const OBJECT: &str = "an object, Company/Asset";
const UNSHARP: &str = "amount 0 to 5, then radius 0 to 250, threshold an integer 0 to 255, mono 0 or 1";
const RECT_PX: &str = "integers x,y of -2147483647 to 2147483647 and w,h of 1 to 65535";
const TILE: &str =
    "integers x,y of -2147483647 to 2147483647 and w,h of 1 to 65535, then a scale above 0, at most 1000000";
const PLACE: &str = "two integers from -2147483647 to 2147483647";
const RECT_N: &str = "numbers x,y of -1000 to 1000 and w,h above 0, at most 1000, as parts of the picture";

const REQ: &str = "img, tmb or mask, or props, imageprops, catalogprops, exists, imageset, validate or xlate (each then text, javascript, \
                   xml or json), set (then xml or json), userdata, targets or map (then text, xml or json; set,xml and userdata,xml then UTF-8, UTF-16, UTF-16LE, \
                   UTF-16BE or ISO-8859-1), xmp, resolve, loadcache or message";

/// Every command of protocol.md: sections 1.10, 2, 3.3 and the text commands.
pub const COMMANDS: &[Command] = &[
    Command::done("wid", View, "px", SIDE, read::wid),
    Command::done("hei", View, "px", SIDE, read::hei),
    Command::done("scl", View, "inverse factor", "a number above 0, at most 1000000", read::scl),
    Command::done(
        "fit",
        View,
        "[mode][,upscale 0|1]",
        "fit, constrain, crop, wrap, stretch, hfit or vfit, then 0 or 1 for upscaling (the mode may be left out \
         before a comma), with wid or hei beside it",
        read::fit,
    )
    .or("fit,0"),
    Command::done("rgn", View, "x,y,w,h px", RECT_PX, read::rgn).or("the whole composite"),
    Command::done("rgnN", View, "x,y,w,h parts", RECT_N, read::rgn_n).or("0,0,1,1"),
    Command::done("rect", View, "x,y,w,h[,scale]", TILE, read::rect).or("the whole view"),
    Command::done("align", View, "h,v", "two numbers from -1 to 1", read::align).or("0,0"),
    Command::done("bgc", View, "colour", COLOUR, read::bgc).or("BkgColor"),
    Command::done("crop", Layer0, "x,y,w,h px", RECT_PX, read::crop).or("the whole source"),
    Command::done("cropN", Layer0, "x,y,w,h parts", RECT_N, read::crop_n).or("0,0,1,1"),
    Command::done("cropPathE", Composite, "names", PATHS, clips::crop_path_e),
    Command::done("clipPathE", Composite, "names", PATHS, clips::clip_path_e),
    Command::done("clipPath", Composite, "path data", PATH_DATA, clips::clip_path),
    Command::done("clipXPath", Composite, "path data", PATH_DATA, clips::clip_x_path),
    Command::done("clipXPathE", Composite, "names", PATHS, clips::clip_x_path_e),
    Command::done("size", Layer0, "w,h px", "two integers from 0 (follows the aspect) to 65535", layer::size).or("0,0"),
    Command::done("sizeN", Layer0, "w,h parts", "another layer than layer 0, which its parts are of", layer::size_n),
    Command::done("scale", Layer0, "factor", "a number above 0, at most 1000000", layer::scale).or("1"),
    Command::done("res", Layer0, "dpi", "a number above 0, at most 1000000", layer::res),
    Command::done("rotate", Layer0, "degrees", "a number, clockwise", layer::rotate).or("0"),
    Command::done("flip", Composite, "lr|ud|lrud", "lr, ud or lrud", layer::flip),
    Command::done("extend", Layer0, "left,top,right,bottom px", "four integers from -65535 to 65535", layer::extend)
        .or("0,0,0,0"),
    Command::done("extendN", Layer0, "left,top,right,bottom parts", "four numbers from -1000 to 1000", layer::extend_n)
        .or("0,0,0,0"),
    Command::done("anchor", Layer0, "x,y px", PLACE, layer::place_px),
    Command::done("anchorN", Layer0, "x,y parts", "two numbers from -0.5 to 0.5", layer::place_n),
    Command::done("origin", Layer0, "x,y px", PLACE, layer::place_px),
    Command::done("originN", Layer0, "x,y parts", "two numbers from -0.5 to 0.5", layer::place_n),
    Command::not_yet("perspective", Layer0, "8 numbers[,R1|R2|R3|R3Tn]", "four corners"),
    Command::not_yet("perspectiveN", Layer0, "8 numbers[,R1|R2|R3|R3Tn]", "four corners"),
    Command::done("bgColor", Layer0, "colour", COLOUR, layer::bg_color).or("0,0,0,0"),
    Command::done("color", Layer0, "colour", COLOUR, layer::color).or("0,0,0,0"),
    Command::done("opac", Composite, "opacity[,fill]", "an integer from 0 to 100, then another", layer::opac)
        .or("100,100"),
    Command::done(
        "mask",
        Layer0,
        "object",
        "an object, Company/Asset, whose alpha, or else its grey, is the layer's",
        layer::mask,
    )
    .partly()
    .or("MaskPath, or the picture's own alpha"),
    Command::done("maskUse", Layer0, "norm|invert|off", "norm, invert or off", layer::mask_use).or("norm"),
    Command::done("hide", Layer0, "0|1", SWITCH, layer::hide).or("0"),
    Command::not_yet("blendMode", Layer, "keyword", "norm, dissolve, lighten, darken, mult or screen")
        .or("norm")
        // Ignored for layer 0 and the composite, the only ones there are.
        .but(&["norm", "dissolve", "lighten", "darken", "mult", "screen"]),
    Command::done("printRes", Request, "dpi", "a number from 1 to 65535", read::print_res)
        .or("PrintResolution, else the source's"),
    Command::done(
        "resMode",
        Request,
        "keyword",
        "bilin, bicub, sharp2, bisharp, trilin or sharp (an old name of sharp2)",
        read::res_mode,
    )
    .or("ResMode"),
    Command::done("op_usm", Composite, "amount[,radius[,threshold[,mono 0|1]]]", UNSHARP, read::op_usm).or("0,0,0,0"),
    Command::done("op_usmR", Composite, "amount[,radius[,threshold[,mono 0|1]]]", UNSHARP, read::op_usm_r)
        .or("0,0,0,0"),
    Command::done("op_sharpen", Composite, "0|1", SWITCH, read::op_sharpen).or("0"),
    Command::done("op_blur", Composite, "radius", "a number from 0 to 100", effects::op_blur).or("0"),
    Command::done("op_grow", Composite, "px", PERCENT, effects::op_grow).or("0"),
    Command::done("op_growMask", Layer0, "px", PERCENT, layer::op_grow_mask).or("0"),
    Command::done("op_growMaskR", Layer0, "px", PERCENT, layer::op_grow_mask_r).or("0"),
    Command::done("op_brightness", Composite, "percent", PERCENT, effects::op_brightness).or("0"),
    Command::done("op_contrast", Composite, "percent", PERCENT, effects::op_contrast).or("0"),
    Command::done("op_saturation", Composite, "percent", PERCENT, effects::op_saturation).or("0"),
    Command::done("op_hue", Composite, "degrees", "an integer from -180 to 180", effects::op_hue).or("0"),
    Command::done("op_colorbalance", Composite, "r,g,b", "three integers from -100 to 100", effects::op_colorbalance)
        .or("0,0,0"),
    Command::done("op_colorize", Composite, "colour[,off|norm[,contrast]]", TINT, effects::op_colorize).or("none"),
    // The old spelling of op_colorize.
    Command::done("colorize", Composite, "colour[,off|norm[,contrast]]", TINT, effects::op_colorize).or("none"),
    Command::done("op_invert", Composite, "0|1", SWITCH, effects::op_invert).or("0"),
    Command::done(
        "op_noise",
        Composite,
        "amount[,uniform|gaussian[,mono 0|1]]",
        "an integer from 0 to 100, then uniform or gaussian, then 0 or 1",
        effects::op_noise,
    )
    .or("0,uniform,0"),
    Command::done(
        "fmt",
        Request,
        "format[,[pixelType][,compression]]",
        "jpeg, jpg, pjpeg, png, png8, gif, tif, webp, avif, jpeg2000 or, where it is built in, jpegxr (all but the first \
         three with or without -alpha), then rgb, (jpeg, png, gif, tif, jpeg2000) gray or (jpeg, tif) cmyk, then (webp and those after \
         it) lossy or lossless or (tif) none, lzw, zip or, without alpha, jpeg",
        read::fmt,
    )
    .partly()
    .or("jpeg,rgb"),
    Command::done("qlt", Request, "quality[,chroma 0|1]", "an integer from 1 to 100, then 0 or 1", read::qlt)
        .or("JpegQuality"),
    Command::done("jpegSize", Request, "kB", "a number from 0 (no limit) to 1000000", read::jpeg_size).or("0"),
    Command::done(
        "quantize",
        Request,
        "adaptive|web|mac[,diffuse|off[,colours[,list]]]",
        "adaptive, web or (not with alpha) mac, then diffuse or off, an integer from 2 to 256, no more colours RRGGBB than that",
        read::quantize,
    )
    .or("adaptive,diffuse,256"),
    Command::done("pscan", Request, "auto|3|4|5", "auto, 3, 4 or 5", read::pscan).or("auto"),
    Command::done(
        "icc",
        Request,
        "profile[,intent[,bpc 0|1[,dither 0|1]]]",
        "sRGB, AdobeRGB, DisplayP3, LinearGray, GrayGamma2.2 or CMYK, as fmt can hold it, then perceptual, relative, saturation \
         or absolute, then 0 or 1, then 0 or 1 (the last two change nothing)",
        read::icc,
    )
    .or("sRGB,relative"),
    Command::done("iccEmbed", Request, "0|1", SWITCH, read::icc_embed).or("0"),
    Command::done("pathEmbed", Request, "0|1", SWITCH, clips::path_embed).or("0"),
    Command::done("xmpEmbed", Request, "0|1", SWITCH, read::xmp_embed).or("0"),
    Command::done(
        "dpr",
        Request,
        "off | on[,ratio]",
        "off, or on, or on and a number above 0, at most 1000",
        read::dpr,
    )
    .or("the company's"),
    Command::done("network", Request, "on|off", "on or off", read::network).or("the company's"),
    Command::done("bfc", Request, "on|off", "on or off", read::bfc).or("the company's"),
    Command::done(
        "cache",
        Request,
        "on|off|validate|update | client,server",
        "on, off, validate, update, or two of on and off",
        read::cache,
    )
    .or("on,on"),
    Command::done("defaultImage", Request, "[object]", OBJECT, read::default_image).or("DefaultImage"),
    Command::done("locale", Request, "id", "a locale's id; without a locale_map it changes nothing", read::locale)
        .or("DefaultLocale"),
    Command::done("type", Request, "string", "a request to /is/content, and the file's own type", read::of_content),
    Command::done("id", Request, "string", "anything: it only makes URLs differ", read::id),
    Command::not_yet("template", Request, "object", OBJECT),
    Command::done(
        "imageSet",
        Request,
        "{set}",
        "a media set in braces, of objects or sets in braces separated by commas, parts of them by ; or :",
        read::image_set,
    ),
    Command::not_yet("effectMask", Request, "0|1", SWITCH).or("1").but(&["1"]),
    Command::done("req", Request, "type[,form[,encoding]]", REQ, read::req).partly().or("img"),
    Command::done("handler", Request, "name", "1 to 64 letters and digits", read::handler).or("s7jsonResponse"),
    Command::done("message", Request, "text", "a text for the log, with req=message", read::message),
    Command::not_yet("text", Layer, "text", "a text"),
    Command::not_yet("textPs", Layer, "text", "a text").never(),
    Command::not_yet("textAttr", Layer, "attributes", "attributes of a text"),
    Command::not_yet("textAngle", Layer, "degrees", "a number").or("0"),
    Command::not_yet("textPath", Layer, "path data", PATH_DATA),
    Command::not_yet("pathAttr", Layer, "attributes", "attributes of a path"),
    Command::not_yet("textFlowPath", Layer, "path data", PATH_DATA),
    Command::not_yet("textFlowXPath", Layer, "path data", PATH_DATA),
    Command::done("layer", Layer, "number[,name] | comp", "0, or comp", layer::layer).partly().or("comp"),
    Command::not_yet("effect", Layer, "number[,name]", "an effect of a layer"),
    Command::not_yet("src", Layer, "object", OBJECT),
    Command::not_yet("pos", Layer, "x,y px", "two integers").or("0,0"),
    Command::not_yet("posN", Layer, "x,y parts", "two numbers").or("0,0"),
    Command::not_yet("map", Layer, "areas", "an image map"),
    Command::not_yet("mapA", Layer, "areas", "an image map"),
];
