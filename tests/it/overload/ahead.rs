//! Candidates that are made ahead, by lanes that have nothing to do.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Instant;

use calotype::engine::scalar::Scalar;
use calotype::engine::{Done, Engine, Job, run};
use calotype::error::Error;
use calotype::pixel::Size;
use calotype::plan::{EncodeSpec, Pass, Plan, WebpQuality};
use calotype::sched::{Options, Work, job_bytes_max};

use super::rig::{ONE_LANE, PATIENCE, Picture, Rig, check_renditions, only, outcome, soon};

const WEBP: EncodeSpec = EncodeSpec::Webp { quality: WebpQuality(8000) };

const AHEAD: &str = "calotype_encoded_ahead";

fn count(is_one: bool) -> f64 {
    f64::from(u8::from(is_one))
}

/// The picture as PNG, or as WebP if that is smaller.
fn work(picture: &Picture) -> Work {
    let mut work = picture.work(1, soon());
    let mut plan = Plan::clone(&work.plans[0]);
    plan.encode.candidates = vec![WEBP];
    work.plans = vec![Arc::new(plan)];
    work
}

#[test]
fn a_helper_costs_no_candidate() {
    let picture = Picture::new();
    let enough = job_bytes_max(picture.bytes.len() as u64, &picture.header, &work(&picture).plans, 1);
    for (memory_bytes_max, is_helped) in [(enough, false), (enough + 1, false), (1 << 30, true)] {
        let [alone, helped] = [1, 2].map(|threads| {
            let rig = Rig::new(Options { threads, memory_bytes_max, ..ONE_LANE }, Arc::new(Scalar), None);
            let rendered = outcome(&rig.submit(work(&rig.picture)).unwrap()).unwrap().pop().unwrap().unwrap();
            rig.is_at_rest();
            assert_eq!(rig.metric(AHEAD), count(threads > 1 && is_helped), "{memory_bytes_max}, {threads} lanes");
            rendered
        });
        assert_eq!(alone.verdict.tried.len(), 2, "{memory_bytes_max}: {:?}", alone.verdict);
        assert_eq!(alone.verdict, helped.verdict, "{memory_bytes_max}");
        assert!(alone.bytes == helped.bytes, "{memory_bytes_max}: other bytes");
    }
}

/// A helper that failed leaves lanes and memory as they were: the next one is helped again.
fn helps_again(rig: &Rig, picture: &Picture) {
    let (before, end) = (rig.metric(AHEAD), Instant::now() + PATIENCE);
    // The lane that answered last may still be on its way back.
    while rig.metric(AHEAD) == before {
        assert!(Instant::now() < end, "nobody helps any more");
        outcome(&rig.submit(work(picture)).unwrap()).unwrap().pop().unwrap().unwrap();
    }
    rig.is_at_rest();
}

#[test]
fn a_candidate_that_fails_is_the_same_error_with_and_without_help() {
    // One column more than WebP can hold.
    let wide = Picture::of(Size::new(16_384, 2));
    let errors = [1, 2].map(|threads| {
        let rig = Rig::new(Options { threads, ..ONE_LANE }, Arc::new(Scalar), None);
        let error = only(outcome(&rig.submit(work(&wide)).unwrap()).unwrap()).unwrap_err();
        assert!(matches!(error, Error::Encode { format: "webp", .. }), "{threads} lanes: {error:?}");
        rig.is_at_rest();
        assert_eq!(rig.metric(AHEAD), count(threads > 1));
        if threads > 1 {
            helps_again(&rig, &rig.picture);
        }
        error.to_string()
    });
    assert_eq!(errors[0], errors[1]);
}

/// The oracle, but for what an encoder needs of a picture that has passed already: there it tells the test's thread and
/// panics, until it is mended.
struct Brittle {
    on_thread: mpsc::Sender<String>,
    is_mended: AtomicBool,
}

impl Engine for Brittle {
    fn name(&self) -> &'static str {
        "brittle"
    }

    fn submit(&self, job: Job, done: Done) {
        if let [Pass::RgbToYcbcr { .. }] = job.plans[0].passes[..] {
            let name = std::thread::current().name().unwrap_or_default().to_owned();
            self.on_thread.send(name).unwrap_or(());
            assert!(self.is_mended.load(Ordering::SeqCst), "the conversion's own words");
        }
        done(run(&Scalar, job));
    }
}

#[test]
fn a_candidate_that_panics_is_an_error_and_the_lanes_live_on() {
    for threads in [1, 2] {
        let (on_thread, thread) = mpsc::channel();
        let brittle = Arc::new(Brittle { on_thread, is_mended: AtomicBool::new(false) });
        let rig = Rig::new(Options { threads, ..ONE_LANE }, Arc::clone(&brittle) as Arc<dyn Engine>, None);
        let error = only(outcome(&rig.submit(work(&rig.picture)).unwrap()).unwrap()).unwrap_err();
        assert!(matches!(&error, Error::Panic { message } if message == "the conversion's own words"), "{error:?}");
        let name = thread.recv_timeout(PATIENCE).unwrap();
        assert_eq!(name == "ahead", threads > 1, "{threads} lanes: on {name}");
        rig.is_at_rest();
        brittle.is_mended.store(true, Ordering::SeqCst);
        check_renditions(&rig.one(), &rig.picture.want(1));
        if threads > 1 {
            helps_again(&rig, &rig.picture);
        }
    }
}

#[test]
fn who_leaves_while_a_helper_works_leaves_nothing_behind() {
    /// Lets the client leave as soon as the helper has its planes.
    struct Leaves;
    impl Engine for Leaves {
        fn name(&self) -> &'static str {
            "leaves"
        }

        fn submit(&self, job: Job, done: Done) {
            if let [Pass::RgbToYcbcr { .. }] = job.plans[0].passes[..] {
                let completion = run(&Scalar, job.clone());
                job.cancel.cancel();
                return done(completion);
            }
            done(run(&Scalar, job));
        }
    }
    let rig = Rig::new(Options { threads: 2, ..ONE_LANE }, Arc::new(Leaves), None);
    // Whether the lane was past its own gate by then is the machine's business: all that is asked is an answer.
    match only(outcome(&rig.submit(work(&rig.picture)).unwrap()).unwrap()) {
        Ok(rendered) => assert_eq!(rendered[0].as_ref().unwrap().verdict.tried.len(), 2),
        Err(error) => assert!(matches!(error, Error::Cancelled { before: "encode" }), "{error:?}"),
    }
    rig.is_at_rest();
    assert_eq!(rig.metric(AHEAD), 1.0);
}
