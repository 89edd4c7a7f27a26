//! Several renditions of one source: in which order they are made, and what they share.

use std::slice;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use calotype::codec;
use calotype::engine::scalar::Scalar;
use calotype::engine::{Done, Engine, Job, run};
use calotype::error::Error;
use calotype::pixel::{Chroma, Model, Size, testcard};
use calotype::plan::{EncodeSpec, Fill, JpegQuality, Pass, Plan, WebpQuality};
use calotype::sched::{Options, Outcome, Work};

use super::rig::{ONE_LANE, PATIENCE, Picture, Remote, Rig, outcome, soon};
use crate::codecs::probe;
use crate::commands::{company, planned};

const WEBP: EncodeSpec = EncodeSpec::Webp { quality: WebpQuality(8000) };

/// The oracle, which writes down the passes that it is asked for.
#[derive(Default)]
struct Diary(Mutex<Vec<Arc<Plan>>>);

impl Diary {
    fn take(&self) -> Vec<Arc<Plan>> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

impl Engine for Diary {
    fn name(&self) -> &'static str {
        "diary"
    }

    fn submit(&self, job: Job, done: Done) {
        self.0.lock().unwrap().extend(job.plans.iter().cloned());
        done(run(&Scalar, job));
    }
}

/// A plan of the picture: put on a canvas.
fn plan(picture: &Picture, canvas: Size, spec: EncodeSpec) -> Arc<Plan> {
    let mut plan = Plan::clone(&picture.plans(1)[0]);
    plan.passes = vec![Pass::Place { canvas, x: 3, y: 5, fill: Fill::Opaque([90, 20, 160]) }];
    plan.size = canvas;
    plan.encode.requested = spec;
    Arc::new(plan)
}

fn results(rig: &Rig, plans: &[Arc<Plan>]) -> Outcome {
    outcome(&rig.submit(Work { plans: plans.to_vec(), ..rig.picture.work(1, soon()) }).unwrap())
}

fn made(rig: &Rig, plans: &[Arc<Plan>]) -> Vec<Bytes> {
    results(rig, plans).unwrap().into_iter().map(|result| result.unwrap().bytes).collect()
}

#[test]
fn the_costliest_rendition_begins_first_and_is_answered_in_its_place() {
    let diary = Arc::new(Diary::default());
    let rig = Rig::new(ONE_LANE, Arc::clone(&diary) as Arc<dyn Engine>, None);
    let sizes = [300, 402, 400, 600].map(|side| Size::new(side, side));
    let specs = [EncodeSpec::Png, EncodeSpec::Png, WEBP, EncodeSpec::Png];
    let plans: Vec<_> = sizes.into_iter().zip(specs).map(|(size, spec)| plan(&rig.picture, size, spec)).collect();
    let fan_out = made(&rig, &plans);
    let is_of_plan =
        |plan: &Arc<Plan>| plans.iter().any(|known| known.size == plan.size && known.passes == plan.passes);
    let order: Vec<_> = diary.take().iter().filter(|plan| is_of_plan(plan)).map(|plan| plan.size.w).collect();
    // WebP takes longer than a PNG a little larger.
    assert_eq!(order, [600, 400, 402, 300]);
    for (plan, bytes) in plans.iter().zip(&fan_out) {
        assert!(made(&rig, slice::from_ref(plan))[0] == bytes, "{}: other bytes in a fan-out", plan.size);
    }
    rig.is_at_rest();
}

const JPEG: EncodeSpec = EncodeSpec::Jpeg { quality: JpegQuality(80), chroma: Chroma::Half, progressive: false };
const COARSE: EncodeSpec = EncodeSpec::Jpeg { quality: JpegQuality(30), chroma: Chroma::Half, progressive: false };

/// The picture sharpened, as the format stores it.
fn sharpened(picture: &Picture, times: usize, spec: EncodeSpec) -> Arc<Plan> {
    let mut plan = Plan::clone(&picture.plans(times + 1)[times]);
    plan.passes.extend(spec.form().map(|form| Pass::RgbToYcbcr { form }));
    plan.encode.requested = spec;
    Arc::new(plan)
}

#[test]
fn renditions_that_differ_in_format_share_their_passes() {
    let picture = Picture::new();
    let mut plans: Vec<_> = [JPEG, WEBP, EncodeSpec::Png, COARSE].map(|spec| sharpened(&picture, 1, spec)).into();
    // One that makes another picture, and two that make none.
    plans.push(sharpened(&picture, 2, WEBP));
    plans.extend([JPEG, WEBP].map(|spec| sharpened(&picture, 0, spec)));
    for threads in [1, 3] {
        let diary = Arc::new(Diary::default());
        let rig = Rig::new(Options { threads, ..ONE_LANE }, Arc::clone(&diary) as Arc<dyn Engine>, None);
        let fan_out = made(&rig, &plans);
        let mut runs: Vec<_> = diary.take().iter().map(|plan| plan.passes.len()).collect();
        runs.sort_unstable();
        // What two JPEGs and two WebPs store, the passes of the first four, and those of the fifth with what it stores.
        assert_eq!(runs, [1, 1, 1, 1, 1, 1, 3], "{threads} lanes");
        for (plan, bytes) in plans.iter().zip(&fan_out) {
            let alone = made(&rig, slice::from_ref(plan));
            assert!(alone[0] == bytes, "{threads} lanes, {:?}: other bytes in a fan-out", plan.encode.requested);
        }
        rig.is_at_rest();
    }
}

/// What would need a source of its own would come as a job of its own.
#[test]
fn all_of_a_jpeg_and_parts_of_it_are_made_of_one_source() {
    let bytes = Bytes::from(codec::encode(&testcard::photo(Size::new(120, 90), 3), &JPEG).unwrap());
    let header = probe(&bytes);
    let queries = [
        "hei=50",
        "hei=50&op_usm=1.75,0.3,2,0&fmt=png",
        "rgn=10,10,40,30&hei=20&fmt=webp",
        "rgn=10,10,40,30&hei=20&op_usm=1.75,0.3,2,0",
        "crop=7,9,60,50",
        "crop=7,9,60,50&op_sharpen=1&fmt=png",
        "wid=40&hei=60&fit=crop&fmt=webp",
        "flip=lr&hei=50",
        "extend=5,3,5,9&hei=50&fmt=webp",
        "extend=5,3,5,9&hei=50&op_invert=1&fmt=webp",
        "rgn=10,10,40,30&hei=20&fmt=jpeg,gray",
    ];
    let plans: Vec<_> = queries.iter().map(|query| Arc::new(planned(&header, query, &company()).unwrap())).collect();
    let (gpu, jobs) = Remote::new();
    let rig = Rig::new(ONE_LANE, Arc::new(Scalar), Some(gpu));
    let source = bytes.clone();
    let read = Box::new(move || Ok(source));
    let work = Work { source_bytes: bytes.len() as u64, read, header, plans, ..rig.picture.work(1, soon()) };
    let answer = rig.submit(work).unwrap();
    let (job, done) = jobs.recv_timeout(PATIENCE).expect("a job");
    assert_eq!(job.source.format().model, Model::Ycbcr(Chroma::Full));
    assert_eq!(job.plans.len(), queries.len());
    done(run(&Scalar, job));
    for (query, result) in queries.iter().zip(outcome(&answer).unwrap()) {
        result.unwrap_or_else(|error| panic!("{query}: {error}"));
    }
    assert!(jobs.try_recv().is_err(), "a second source");
    rig.is_at_rest();
}

/// The oracle, but for the first passes that sharpen, or all.
struct Blunt {
    does: Blunder,
    times: AtomicUsize,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Blunder {
    PanicsOnce,
    Panics,
    LetsTheClientLeave,
}

impl Engine for Blunt {
    fn name(&self) -> &'static str {
        "blunt"
    }

    fn submit(&self, job: Job, done: Done) {
        if job.plans[0].passes.contains(&Pass::Sharpen) {
            let is_first = self.times.fetch_add(1, Ordering::SeqCst) == 0;
            match self.does {
                Blunder::Panics => panic!("the engine's own words"),
                Blunder::PanicsOnce => assert!(!is_first, "the engine's own words"),
                Blunder::LetsTheClientLeave => job.cancel.cancel(),
            }
        }
        done(run(&Scalar, job));
    }
}

#[test]
fn where_shared_passes_fail_each_rendition_answers_for_itself() {
    let picture = Picture::new();
    let plans = [JPEG, WEBP, EncodeSpec::Png].map(|spec| sharpened(&picture, 1, spec));
    let want = made(&Rig::new(ONE_LANE, Arc::new(Scalar), None), &plans);
    for (does, runs) in [(Blunder::PanicsOnce, 4), (Blunder::Panics, 4), (Blunder::LetsTheClientLeave, 1)] {
        let blunt = Arc::new(Blunt { does, times: AtomicUsize::new(0) });
        let rig = Rig::new(Options { threads: 2, ..ONE_LANE }, Arc::clone(&blunt) as Arc<dyn Engine>, None);
        let results = results(&rig, &plans).unwrap();
        assert_eq!(results.len(), plans.len());
        for (result, want) in results.into_iter().zip(&want) {
            match (does, result) {
                (Blunder::PanicsOnce, Ok(rendered)) => assert!(rendered.bytes == want, "other bytes after a panic"),
                (Blunder::Panics, Err(Error::Panic { message })) => assert_eq!(message, "the engine's own words"),
                (Blunder::LetsTheClientLeave, Err(Error::Cancelled { before })) => assert_eq!(before, "passes"),
                (does, result) => panic!("{does:?}: {result:?}"),
            }
        }
        assert_eq!(blunt.times.load(Ordering::SeqCst), runs, "{does:?}");
        rig.is_at_rest();
    }
}
