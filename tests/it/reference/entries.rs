//! What each command does, in a sentence, and an example over the demo catalogue.

/// One command of the reference.
pub(super) struct Entry {
    pub(super) name: &'static str,
    /// What it does.
    pub(super) says: &'static str,
    pub(super) example: Example,
}

/// A request below `/is/image/demo/`.
pub(super) enum Example {
    /// There is none that the demo catalogue could answer.
    None,
    /// The reply is no picture, or none in which the effect could be seen.
    Url(&'static str),
    /// Its reply is shown.
    Picture(&'static str),
}

use Example::{None, Picture, Url};

const fn entry(name: &'static str, says: &'static str, example: Example) -> Entry {
    Entry { name, says, example }
}

/// In the registry's order, all of it.
pub(super) const ENTRIES: &[Entry] = &[
    entry(
        "wid",
        "Width of the reply; alone, the height follows the picture's aspect, and nothing is enlarged without `fit=…,1`.",
        Picture("Valley?wid=240"),
    ),
    entry("hei", "Height of the reply; alone, the width follows.", Picture("Portrait?hei=200")),
    entry(
        "scl",
        "Divides the composite's size: 2 halves it, 0.5 doubles it, 1 gives all pixels; with `wid` or `hei` the result is then cut or padded to them, and `fit` does not count.",
        Picture("Chart?scl=8"),
    ),
    entry(
        "fit",
        "How the picture meets the box of `wid` and `hei`: padded inside it (`fit`), inside without padding (`constrain`), covering it and cut (`crop`) or not cut (`wrap`), each axis on its own (`stretch`), as wide (`hfit`) or as high (`vfit`); 1 behind it allows enlarging.",
        Picture("Portrait?wid=240&hei=160&fit=crop"),
    ),
    entry(
        "rgn",
        "The part of the composite that the view shows, in its pixels, chosen before scaling; what is outside is `bgc`, and neighbouring pixels show where the view is larger than the part.",
        Picture("Valley?rgn=600,700,800,600&wid=240"),
    ),
    entry(
        "rgnN",
        "The same in parts of the composite; an extension of ours.",
        Picture("Valley?rgnN=0.5,0.4,0.5,0.5&wid=240"),
    ),
    entry(
        "rect",
        "A tile of the finished view, so that pictures above MaxPix can be fetched in pieces; the scale enlarges or reduces the view first.",
        Picture("Chart?wid=480&rect=120,90,240,180"),
    ),
    entry(
        "align",
        "Where picture and view meet, for padding and for cutting: -1 is left or top, 1 is right or bottom.",
        Picture("Portrait?wid=240&hei=160&fit=crop&align=0,-1"),
    ),
    entry(
        "bgc",
        "Colour behind the picture where the format has no transparency, and around it; its alpha does not count.",
        Picture("Vase?wid=200&bgc=ffd0a0"),
    ),
    entry(
        "crop",
        "Cuts the source in its own pixels before anything is scaled; what reaches beyond it is transparent, or `bgColor`.",
        Picture("Valley?crop=800,800,800,600&wid=240"),
    ),
    entry("cropN", "The same in parts of the source.", Picture("Chart?cropN=0.5,0,0.5,1&hei=200")),
    entry(
        "cropPathE",
        "Cuts to the box around each of these paths in turn, which are stored in the source; unknown names do not count.",
        None,
    ),
    entry("clipPathE", "Makes transparent what is outside of these stored paths; unknown names do not count.", None),
    entry(
        "clipPath",
        "Makes transparent what is outside of this path, in pixels of the layer: as in SVG, with commas between all items.",
        Picture("Portrait?wid=200&clipPath=M600,100,L1150,800,L600,1500,L50,800,Z&bgc=ffffff"),
    ),
    entry("clipXPath", "Cuts a hole into what `clipPath` leaves.", None),
    entry("clipXPathE", "The same with paths stored in the source.", None),
    entry(
        "size",
        "The box that the layer is scaled to stay within, its aspect kept; a 0 follows the other side.",
        Picture("Vase?size=160,0&extend=40,20,40,20&bgColor=d0e0ff"),
    ),
    entry("sizeN", "The same in parts of layer 0, for the layers above it.", None),
    entry("scale", "Factor of the layer's own size: 0.5 halves it.", Picture("Chart?scale=0.15")),
    entry("res", "Scales the layer from the resolution that its record says to this one.", None),
    entry(
        "rotate",
        "Turns the layer clockwise about its anchor; it grows so that nothing is lost.",
        Picture("Vase?size=180,0&rotate=30&bgc=ffffff"),
    ),
    entry(
        "flip",
        "Mirrors the composite, or behind `layer=0` the layer before it is turned.",
        Picture("Valley?wid=240&flip=lr"),
    ),
    entry(
        "extend",
        "Margins around the layer after it is turned, in pixels; below 0 they cut.",
        Picture("Chart?size=200,0&extend=20,10,20,30&bgColor=336699"),
    ),
    entry(
        "extendN",
        "The same in parts of the layer.",
        Picture("Chart?size=200,0&extendN=0.1,0,0.1,0.3&bgColor=336699"),
    ),
    entry(
        "anchor",
        "The point about which the layer is turned and at which it is placed, in pixels of the source; of a single layer nothing is seen of it.",
        Url("Vase?size=180,0&rotate=30&anchor=750,1500"),
    ),
    entry(
        "anchorN",
        "The same in parts of the source, from its middle.",
        Url("Vase?size=180,0&rotate=30&anchorN=0,0.5"),
    ),
    entry(
        "origin",
        "The point of the layer that `pos` places; of a single layer nothing is seen of it.",
        Url("Vase?origin=0,0"),
    ),
    entry("originN", "The same in parts of the layer, from its middle.", Url("Vase?originN=-0.5,-0.5")),
    entry("perspective", "Draws the layer into the quadrangle of four corners.", None),
    entry("perspectiveN", "The same in parts of the layer.", None),
    entry(
        "bgColor",
        "Fills what is transparent of the layer, its margins and the corners of a turned one too.",
        Picture("Vase?size=180,0&rotate=30&bgColor=ffcc66"),
    ),
    entry(
        "color",
        "Fills what is transparent of the layer before it is turned and extended.",
        Picture("Vase?size=180,0&rotate=30&color=ffcc66&bgColor=ffffff"),
    ),
    entry(
        "opac",
        "Opacity in percent, times a second one for effects' sake; of the composite, or of the layer behind `layer=0`.",
        Picture("Valley?wid=240&opac=50"),
    ),
    entry("mask", "Another picture whose alpha, or else whose grey, is the layer's alpha.", None),
    entry(
        "maskUse",
        "What is done with the layer's transparency: nothing (`norm`), the opposite (`invert`), none of it (`off`).",
        Picture("Vase?wid=200&maskUse=invert&bgc=3070b0"),
    ),
    entry("hide", "1 leaves the layer out; of a single layer that leaves the background.", Url("Vase?hide=1")),
    entry("blendMode", "How the layer is mixed with those below it; layer 0 and the composite have none below.", None),
    entry(
        "printRes",
        "Pixels an inch that are written into the file; no pixel changes.",
        Url("Valley?wid=240&printRes=300"),
    ),
    entry(
        "resMode",
        "Filter of all scaling, from soft to sharp: `bilin`, `trilin`, `bicub`, `sharp2` (Lanczos, of three lobes), `bisharp`.",
        Picture("Chart?wid=240&resMode=bilin"),
    ),
    entry(
        "op_usm",
        "Unsharp mask on the finished view: amount, radius in pixels of the full source (smaller on a reduced one), threshold in levels, 1 for brightness alone.",
        Picture("Valley?wid=240&op_usm=4,3,2,0"),
    ),
    entry("op_usmR", "The same, its radius in pixels of the view.", Picture("Valley?wid=240&op_usmR=4,0.7,2,0")),
    entry("op_sharpen", "A fixed, light sharpening of the finished view.", Picture("Valley?wid=240&op_sharpen=1")),
    entry("op_blur", "Gaussian blur, radius in pixels of the composite.", Picture("Valley?wid=240&op_blur=20")),
    entry(
        "op_grow",
        "Each channel's brightest pixel within so many pixels of the composite; below 0 the darkest.",
        Picture("Chart?wid=240&op_grow=-12"),
    ),
    entry(
        "op_growMask",
        "The same on the layer's transparency alone, in pixels of the full source.",
        Picture("Vase?wid=200&op_growMask=-60&bgc=ffffff"),
    ),
    entry("op_growMaskR", "The same, in pixels of the view.", Picture("Vase?wid=200&op_growMaskR=-8&bgc=ffffff")),
    entry("op_brightness", "Adds so many percent of full scale.", Picture("Valley?wid=240&op_brightness=30")),
    entry("op_contrast", "Moves values away from the middle, or towards it.", Picture("Valley?wid=240&op_contrast=50")),
    entry(
        "op_saturation",
        "Moves colours away from grey, or towards it: -100 is grey.",
        Picture("Valley?wid=240&op_saturation=-100"),
    ),
    entry("op_hue", "Turns all colours around the wheel.", Picture("Portrait?wid=160&op_hue=120")),
    entry(
        "op_colorbalance",
        "Adds so many percent to red, green and blue.",
        Picture("Valley?wid=240&op_colorbalance=30,0,-30"),
    ),
    entry(
        "op_colorize",
        "Gives the picture shades of one colour by its brightness, whose median is moved to the middle first (`norm`) or not (`off`).",
        Picture("Portrait?wid=160&op_colorize=3060a0,norm,20"),
    ),
    entry("colorize", "An old spelling of `op_colorize`.", Url("Portrait?wid=160&colorize=3060a0")),
    entry("op_invert", "Negative of every channel.", Picture("Valley?wid=240&op_invert=1")),
    entry(
        "op_noise",
        "Random noise, the same for the same request: even or Gaussian, per channel or of brightness alone.",
        Picture("Portrait?wid=160&op_noise=20,gaussian,1"),
    ),
    entry(
        "fmt",
        "Format, pixel type and compression of the reply; `-alpha` keeps transparency.",
        Url("Vase?wid=200&fmt=webp-alpha,,lossless"),
    ),
    entry(
        "qlt",
        "Quality on the scale of JPEG, on that of the format where it is another; 1 behind it keeps colour at full size.",
        Picture("Valley?wid=240&qlt=5"),
    ),
    entry(
        "jpegSize",
        "Lowers the quality of a JPEG until it has at most so many kB of 1024 bytes; 0 is no limit.",
        Url("Valley?wid=240&jpegSize=4"),
    ),
    entry(
        "quantize",
        "How the palette of a GIF or PNG8 is made, dithered or not, of how many colours, of which some may be given.",
        Url("Valley?wid=240&fmt=gif&quantize=adaptive,diffuse,16"),
    ),
    entry("pscan", "Steps in which a progressive JPEG comes.", Url("Valley?wid=240&fmt=pjpeg&pscan=4")),
    entry(
        "icc",
        "Converts the reply to the colours of a profile. Intents count for CMYK alone.",
        Url("Valley?wid=240&icc=AdobeRGB&iccEmbed=1"),
    ),
    entry("iccEmbed", "1 stores the reply's colour profile in it.", Url("Valley?wid=240&iccEmbed=1")),
    entry("pathEmbed", "1 stores the source's paths in the reply.", Url("Valley?wid=240&pathEmbed=0")),
    entry("xmpEmbed", "1 stores the source's XMP packet in the reply.", Url("Valley?wid=240&xmpEmbed=1")),
    entry(
        "dpr",
        "Multiplies the size asked for by the screen's pixel ratio: a given one, or the one that the client says.",
        Picture("Vase?wid=100&dpr=on,2"),
    ),
    entry(
        "network",
        "Lets quality follow what the client says of its network, or not.",
        Url("Valley?wid=240&network=on"),
    ),
    entry(
        "bfc",
        "Lets another format be served where the client reads it and it is smaller, or not.",
        Url("Valley?wid=240&bfc=on"),
    ),
    entry(
        "cache",
        "Whether clients and our own cache keep the reply; `validate` looks at the source again, `update` renders anew.",
        Url("Valley?wid=240&cache=off"),
    ),
    entry(
        "defaultImage",
        "Object that is shown if the one asked for is missing; empty: none.",
        Url("Nothing?wid=240&defaultImage=Vase"),
    ),
    entry("locale", "Chooses records in a language, by the company's map.", Url("Valley?wid=240&locale=de_AT")),
    entry("type", "For static files alone: what the file's type must be.", None),
    entry("id", "Anything: it makes URLs differ, and goes back with a JSON reply.", Url("Valley?wid=240&id=v2")),
    entry("template", "A record whose commands are the base of the request.", None),
    entry("imageSet", "A media set, in the place of the record's.", None),
    entry("effectMask", "Whether effects of a layer cover one another.", Url("Valley?wid=240&effectMask=1")),
    entry(
        "req",
        "What kind of reply is asked for: the picture, a thumbnail, its transparency, or words about it and its object.",
        Url("Valley?req=props,json&wid=240"),
    ),
    entry("handler", "The function that a JSON reply calls.", Url("Valley?req=exists,json&handler=seen")),
    entry("message", "What `req=message` writes into the log.", Url("Valley?req=message&message=hello")),
    entry("text", "A layer of text.", None),
    entry("textPs", "A layer of text, set as the original's other engine did.", None),
    entry("textAttr", "Attributes of a text layer.", None),
    entry("textAngle", "Angle of a text layer's lines.", None),
    entry("textPath", "A path along which the text runs.", None),
    entry("pathAttr", "Attributes of that path.", None),
    entry("textFlowPath", "A path inside which the text flows.", None),
    entry("textFlowXPath", "A path inside which no text flows.", None),
    entry(
        "layer",
        "The commands behind it are of this layer, or again of the composite.",
        Picture("Vase?size=180,0&layer=0&flip=lr&rotate=30&bgColor=ffcc66&layer=comp"),
    ),
    entry("effect", "The commands behind it are of an effect of the layer: a shadow, a glow.", None),
    entry("src", "The picture of the layer.", None),
    entry("pos", "Where the layer's origin is on layer 0, from that one's origin.", None),
    entry("posN", "The same in parts of layer 0.", None),
    entry("map", "Areas of the layer for `req=map`, in the place of the record's.", None),
    entry("mapA", "Areas that are added to those.", None),
];
