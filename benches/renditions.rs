//! Whole renditions in process: decode, passes, encode. `cold` builds the engine for each; `warm` keeps it.
//!
//! The source is a computed photograph, or with `CORPUS` the first one of its `photos/`. Before anything is timed, each
//! engine's pictures are compared with the oracle's: 1 level at most.

use std::path::PathBuf;
use std::sync::Arc;

use calotype::catalog::{Company, SourceRoot};
use calotype::codec::{self, Allow};
use calotype::engine::scalar::Scalar;
use calotype::engine::simd::Simd;
use calotype::engine::{self, Cancel, Engine, Job};
use calotype::pixel::{Image, Size, testcard};
use calotype::plan::{Header, Plan, SourceFormat};
use calotype::{decide, heap, limits, request};
use criterion::{Criterion, Throughput};

mod camera;

/// What is asked of each source.
const QUERIES: [&str; 4] =
    ["hei=500&qlt=80", "hei=500&op_usm=1,1,2,0&qlt=80", "wid=200&hei=200&fit=crop&qlt=80", "hei=500&fmt=webp&qlt=80"];

#[global_allocator]
static HEAP: heap::Heap = heap::Heap;

fn main() {
    // As the daemon does.
    heap::settle();
    let mut criterion = Criterion::default().configure_from_args();
    let (name, bytes) = source();
    let allow = Allow { formats: SourceFormat::ALL.to_vec(), pixels_max: limits::SOURCE_PIXELS_MAX };
    let header = codec::probe(&mut std::io::Cursor::new(&bytes), &allow).expect("a picture of ours");
    println!("source {name}: {} {}, {} bytes", header.format.name(), header.size, bytes.len());
    let company = Company::new("bench", SourceRoot::Demo);
    for query in QUERIES {
        let commands = request::parse(query, &company).expect("a query of ours");
        let decision =
            decide::decide(&commands, &header, &company, &decide::Hints::default()).expect("a query of ours");
        let plan = Arc::new(request::plan(&commands, &header, &company, &decision).expect("a query of ours"));
        check(&Simd::new(), &bytes, &header, &plan);
        let mut group = criterion.benchmark_group(format!("renditions/{query}"));
        group.throughput(Throughput::Elements(1)).sample_size(20);
        group.bench_function("cold", |b| b.iter(|| rendition(&Simd::new(), &bytes, &header, &plan)));
        let simd = Simd::new();
        group.bench_function("warm", |b| b.iter(|| rendition(&simd, &bytes, &header, &plan)));
        group.finish();
    }
    criterion.final_summary();
}

/// A photograph's name and file.
fn source() -> (String, Vec<u8>) {
    if let Some(corpus) = std::env::var_os("CORPUS") {
        let folder = PathBuf::from(corpus).join("photos");
        let mut paths: Vec<PathBuf> =
            folder.read_dir().into_iter().flatten().flatten().map(|entry| entry.path()).collect();
        paths.sort();
        if let Some(bytes) = paths.first().and_then(|path| std::fs::read(path).ok()) {
            return (paths[0].file_name().unwrap_or_default().to_string_lossy().into_owned(), bytes);
        }
    }
    println!("CORPUS has no photos: a computed one instead");
    (String::from("computed"), camera::jpeg(&testcard::photo(Size::new(2048, 1358), 1), 92))
}

fn pixels(engine: &dyn Engine, bytes: &[u8], header: &Header, plan: &Arc<Plan>) -> Image {
    let source = Arc::new(codec::decode(bytes, header, plan.decode).expect("a picture of ours"));
    let job = Job { source, plans: vec![Arc::clone(plan)], cancel: Cancel::default() };
    engine::run(engine, job).images.remove(0).expect("a plan of ours")
}

fn rendition(engine: &dyn Engine, bytes: &[u8], header: &Header, plan: &Arc<Plan>) -> Vec<u8> {
    codec::encode(&pixels(engine, bytes, header, plan), &plan.encode.requested).expect("a picture of ours")
}

/// The engine's picture is the oracle's, give or take a level.
fn check(engine: &dyn Engine, bytes: &[u8], header: &Header, plan: &Arc<Plan>) {
    let (want, got) = (pixels(&Scalar, bytes, header, plan), pixels(engine, bytes, header, plan));
    assert_eq!((want.size(), want.format()), (got.size(), got.format()));
    for (want, got) in want.planes().iter().zip(got.planes()) {
        let most = want.data().iter().zip(got.data()).map(|(a, b)| a.abs_diff(*b)).max();
        assert!(most <= Some(1), "{} is {most:?} levels off", engine.name());
    }
}
