//! What comes before pixels: the longest realistic request from its URL to its plan. And what eight operations on every
//! pixel cost beside one.
//!
//! `cargo bench --bench parse` prints the figures that the project promises, raw numbers beside each ratio, then
//! criterion's groups; `-- figures` prints the figures alone.

mod camera;
mod turns;

use std::hint::black_box;
use std::sync::Arc;

use calotype::catalog::{Catalog, Company, SourceRoot};
use calotype::codec::{self, Allow};
use calotype::decide::{self, Hints};
use calotype::engine::simd::Simd;
use calotype::engine::{self, Cancel, Job};
use calotype::limits;
use calotype::pixel::{Chroma, Image, Model, PixelFormat, Size, testcard};
use calotype::plan::{Header, Plan, SourceFormat};
use calotype::request::{self, Commands, Context, Target};
use criterion::Criterion;
use turns::{alternate, once};

/// Presets as a site grows them: a look, the sizes of a page, a campaign over both.
const PRESETS: [(&str, &str); 4] = [
    ("web", "fmt=jpg&qlt=85,0&resMode=sharp2&op_usm=1.75,0.3,2,0&bfc=on&network=on"),
    ("tile", "$web$&wid=640&hei=480&fit=crop,1&align=0,-0.5&bgc=f4f4f4"),
    ("warm", "op_brightness=4&op_contrast=8&op_saturation=-12&op_colorbalance=6,2,-4&op_hue=2&op_noise=2,gaussian,1"),
    ("campaign", "$tile$&$warm$&layer=0&crop=120,80,3600,2700&rotate=0.5&color=ffffff&bgColor=ffffff&layer=comp"),
];

/// Sixty commands once its presets are in, variables among them.
const QUERY: &str = "$w=640&$h=480&$q=82&$campaign$&wid=$w$&hei=$h$&qlt=$q$,1&fit=constrain&align=0.25,0.125&scl=1&dpr=on,2\
    &rgn=200,150,3000,2250&bgc=255,250,240&layer=0&scale=0.75&flip=lr&extend=12,12,12,12&anchor=1800,1350\
    &origin=1800,1350&opac=100&maskUse=norm&hide=0&layer=comp&opac=98,100&op_brightness=3&op_contrast=6\
    &op_colorbalance=4,0,-4&op_hue=-3&op_saturation=10&op_invert=0&op_grow=0&op_blur=0&op_noise=0&op_sharpen=0\
    &op_usm=1.2,0.5,4,0&op_usmR=0,0,0,0&resMode=bicub&fmt=webp,,lossy&cache=on&id=v7&locale=de_AT&defaultImage=Co/none";

/// One operation on every pixel, and eight.
const ONE: &str = "hei=500&qlt=80&op_brightness=10";
const EIGHT: &str = "hei=500&qlt=80&op_brightness=10&op_contrast=10&op_colorbalance=10,0,-10&op_hue=20&op_saturation=-20\
    &op_colorize=4080c0,off&op_invert=1&opac=90";

fn main() {
    // `cargo test --benches` only wants to know that it builds.
    if !std::env::args().any(|arg| arg == "--bench") {
        return;
    }
    let catalog = catalog();
    let photo = Header {
        size: Size::new(4000, 3000),
        native: PixelFormat { model: Model::Ycbcr(Chroma::Half), alpha: false },
        ..header(&jpeg())
    };
    let plan = planned(&catalog, &photo);
    let commands = QUERY.split('&').chain(PRESETS.iter().flat_map(|(_, body)| body.split('&')));
    let commands = commands.filter(|modifier| !modifier.starts_with('$')).count();
    println!("{commands} commands, {} bytes of query, presets {} deep, {} passes", QUERY.len(), 3, plan.passes.len());
    assert!(commands >= 60, "the longest realistic request has sixty");
    once_in_a_thousand("from its URL to its plan", || drop(black_box(planned(&catalog, &photo))));
    once_in_a_thousand("of it, to its commands", || drop(black_box(read(&catalog))));
    operations();
    if !std::env::args().any(|arg| arg == "figures") {
        let mut criterion = Criterion::default().configure_from_args();
        let mut group = criterion.benchmark_group("parse");
        group.bench_function("commands", |b| b.iter(|| read(&catalog)));
        group.bench_function("plan", |b| b.iter(|| planned(&catalog, &photo)));
        group.finish();
        criterion.final_summary();
    }
}

fn once_in_a_thousand(name: &str, mut work: impl FnMut()) {
    once(&format!("{name}, a thousand times"), || (0..1000).for_each(|_| work()));
}

/// Passes alone, and from the file's bytes to the reply's.
fn operations() {
    let bytes = jpeg();
    let header = header(&bytes);
    let company = Company::new("bench", SourceRoot::Demo);
    let plan = |query: &str| {
        let commands = request::parse(query, &company).expect("a query of ours");
        let decision = decide::decide(&commands, &header, &company, &Hints::default()).expect("a query of ours");
        Arc::new(request::plan(&commands, &header, &company, &decision).expect("a query of ours"))
    };
    let (one, eight, simd) = (plan(ONE), plan(EIGHT), Simd::new());
    println!("\n{} to {}, passes alone: eight operations | one", header.size, one.size);
    let source = |plan: &Plan| Arc::new(codec::decode(&bytes, &header, plan.decode).expect("a picture of ours"));
    let (source_one, source_eight) = (source(&one), source(&eight));
    let passes = |source: &Arc<Image>, plan: &Arc<Plan>| {
        let job = Job { source: source.clone(), plans: vec![Arc::clone(plan)], cancel: Cancel::default() };
        engine::run(&simd, job).images.remove(0).expect("a plan of ours")
    };
    alternate("eight", || drop(passes(&source_eight, &eight)), "one", || drop(passes(&source_one, &one)));
    println!("the whole request, parsed, decoded and encoded: eight operations | one");
    let whole = |query: &str| {
        let plan = plan(query);
        let image = passes(&source(&plan), &plan);
        drop(black_box(codec::encode(&image, &plan.encode.requested).expect("a picture of ours")));
    };
    alternate("eight", || whole(EIGHT), "one", || whole(ONE));
}

fn jpeg() -> Vec<u8> {
    camera::jpeg(&testcard::photo(Size::new(2048, 1358), 1), 92)
}

fn header(bytes: &[u8]) -> Header {
    let allow = Allow { formats: SourceFormat::ALL.to_vec(), pixels_max: limits::SOURCE_PIXELS_MAX };
    codec::probe(&mut std::io::Cursor::new(bytes), &allow).expect("a picture of ours")
}

fn catalog() -> Catalog {
    let mut company = Company::new("Co", SourceRoot::Demo);
    for (name, body) in PRESETS {
        company.presets.insert(name.to_owned(), body.to_owned());
    }
    Catalog { companies: [(company.root_id.clone(), company)].into(), default: None }
}

fn read(catalog: &Catalog) -> (Target<'_>, Commands) {
    let target = Target::of_url(catalog, Context::Image, "/Co/some/folder/Asset-1234_v7", QUERY, None);
    let target = target.expect("a URL of ours");
    let commands = target.commands().expect("a query of ours");
    (target, commands)
}

fn planned(catalog: &Catalog, header: &Header) -> Plan {
    let (target, commands) = read(catalog);
    let decision = decide::decide(&commands, header, &target.company, &Hints::default()).expect("a query of ours");
    request::plan(&commands, header, &target.company, &decision).expect("a query of ours")
}
