//! Does it shed, expire, cancel, replay and drain? The scheduler and the service over it, with engines that wait for the
//! test; codecs and files are the real ones.

mod ahead;
mod fanout;
mod rig;
mod service;
mod spare;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use calotype::engine::scalar::Scalar;
use calotype::engine::{Completion, Done, Engine, Job, run};
use calotype::error::{Error, Result};
use calotype::plan::{EncodeSpec, Plan, WebpQuality};
use calotype::sched::{Options, Outcome, Work, job_bytes_max};

use self::rig::{
    Noop, ONE_LANE, Order, PATIENCE, Picture, Remote, Rig, check_renditions, only, outcome, soon, until, wait_until,
};
use crate::support::SplitMix64;

#[test]
fn a_full_queue_is_busy_at_once_and_disturbs_nobody() {
    let (noop, reins) = Noop::new();
    let rig = Rig::new(Options { queue_jobs_max: 2, ..ONE_LANE }, noop, None);
    assert!(rig.sched.ready().is_ok());
    let running = rig.one();
    reins.entered();
    let waiting = rig.one();
    let load = rig.sched.load();
    assert_eq!((load.running, load.waiting), (1, 1));
    let refused = rig.submit(rig.picture.work(1, soon()));
    assert!(matches!(refused, Err(Error::Busy { depth: 2, .. })), "{refused:?}");
    assert!(matches!(rig.sched.ready(), Err(Error::Busy { .. })));
    reins.order(Order::Run);
    check_renditions(&running, &rig.picture.want(1));
    // Its place is free as soon as its answer is there.
    let next = rig.one();
    reins.order(Order::Run);
    reins.order(Order::Run);
    check_renditions(&waiting, &rig.picture.want(1));
    check_renditions(&next, &rig.picture.want(1));
    rig.is_at_rest();
    assert!(rig.sched.ready().is_ok());
    assert!(rig.sched.lanes_alive());
}

#[test]
fn a_deadline_is_kept_before_every_stage() {
    let (noop, reins) = Noop::new();
    let rig = Rig::new(ONE_LANE, noop, None);
    let expired = |outcome: Outcome, stage: &str| match outcome {
        Err(Error::Deadline { before }) => assert_eq!(before, stage),
        other => panic!("expected a deadline before {stage}, got {other:?}"),
    };
    // Before decode: it is not even read.
    let mut work = rig.picture.work(1, Instant::now());
    work.read = Box::new(|| panic!("read although its deadline had passed"));
    expired(outcome(&rig.submit(work).unwrap()), "decode");
    // Before the passes: reading took too long.
    let deadline = Instant::now() + Duration::from_millis(200);
    let mut work = rig.picture.work(1, deadline);
    let bytes = rig.picture.bytes.clone();
    work.read = Box::new(move || {
        wait_until(deadline);
        Ok(bytes)
    });
    expired(outcome(&rig.submit(work).unwrap()).and_then(only), "passes");
    reins.nobody_entered();
    // Before encode, and between the renditions of a fan-out: what was ready in time is there.
    let deadline = Instant::now() + Duration::from_millis(500);
    let three = rig.submit(rig.picture.work(3, deadline)).unwrap();
    reins.entered();
    reins.order(Order::Run);
    reins.entered();
    reins.order(Order::RunAt(deadline));
    let results = outcome(&three).unwrap();
    let stages: Vec<_> = results.iter().map(stage).collect();
    assert_eq!(stages, ["ready", "encode", "passes"]);
    reins.nobody_entered();
    rig.is_at_rest();
}

/// How far a rendition came.
fn stage(result: &Result<calotype::sched::Rendered>) -> &'static str {
    match result {
        Ok(_) => "ready",
        Err(Error::Deadline { before } | Error::Cancelled { before }) => before,
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn a_client_that_left_stops_its_job_before_the_next_stage() {
    let (noop, reins) = Noop::new();
    let rig = Rig::new(ONE_LANE, noop, None);
    let work = rig.picture.work(1, soon());
    let leaves_in_passes = work.cancel.clone();
    let in_passes = rig.submit(work).unwrap();
    reins.entered();
    let mut work = rig.picture.work(1, soon());
    work.read = Box::new(|| panic!("read although nobody waits"));
    let leaves_in_line = work.cancel.clone();
    let in_line = rig.submit(work).unwrap();
    leaves_in_line.cancel();
    leaves_in_passes.cancel();
    reins.order(Order::Run);
    // The oracle sees it first; had it not, `encode` would have been the stage.
    let results = outcome(&in_passes).unwrap();
    assert!(matches!(results[0], Err(Error::Cancelled { .. })), "{:?}", results[0]);
    assert!(matches!(outcome(&in_line), Err(Error::Cancelled { before: "decode" })));
    assert_eq!(rig.metric("calotype_cancelled"), 2.0);
    rig.is_at_rest();
}

#[test]
fn a_panic_is_an_error_and_the_lane_lives_on() {
    let (noop, reins) = Noop::new();
    let rig = Rig::new(ONE_LANE, noop, None);
    let job = rig.one();
    reins.entered();
    reins.order(Order::Panic);
    match only(outcome(&job).unwrap()) {
        Err(Error::Panic { message }) => assert_eq!(message, "the engine's own words"),
        other => panic!("expected a panic, got {other:?}"),
    }
    let mut work = rig.picture.work(2, soon());
    work.read = Box::new(|| panic!("the reader's own words"));
    assert!(
        matches!(outcome(&rig.submit(work).unwrap()), Err(Error::Panic { message }) if message.starts_with("the reader"))
    );
    // The callback is somebody else's code too.
    rig.sched.try_submit(rig.picture.work(1, soon()), Box::new(|_| panic!("the callback's own words"))).unwrap();
    reins.entered();
    reins.order(Order::Run);
    let next = rig.one();
    reins.entered();
    reins.order(Order::Run);
    check_renditions(&next, &rig.picture.want(1));
    rig.is_at_rest();
}

#[test]
fn a_broken_source_is_one_answer_for_all_renditions() {
    let rig = Rig::new(ONE_LANE, Arc::new(Scalar), None);
    let mut work = rig.picture.work(3, soon());
    work.read = Box::new(|| Ok(Bytes::from_static(b"\x89PNG\r\n\x1a\nno more")));
    assert!(matches!(outcome(&rig.submit(work).unwrap()), Err(Error::BrokenSource { format: "png", .. })));
    rig.is_at_rest();
}

#[test]
fn what_the_gpu_fails_is_replayed_on_the_cpu() {
    let (remote, taken) = Remote::new();
    let rig = Rig::new(ONE_LANE, Arc::new(Scalar), Some(remote));
    let three = rig.submit(rig.picture.work(3, soon())).unwrap();
    let (job, done) = taken.recv_timeout(PATIENCE).unwrap();
    assert_eq!(job.plans.len(), 3, "one upload for all renditions");
    let Completion { mut images, pass_time } = run(&Scalar, job);
    images[1] = Err(lost());
    images[2] = Err(Error::Busy { lane: "gpu", depth: 1 });
    // On this thread, as if it were the GPU's: it must not have to encode anything.
    done(Completion { images, pass_time });
    let results = outcome(&three).unwrap();
    let engines: Vec<_> = results.iter().map(|result| result.as_ref().unwrap().engine).collect();
    assert_eq!(engines, ["gpu", "scalar", "scalar"]);
    let got: Vec<Vec<u8>> = results.into_iter().map(|result| result.unwrap().bytes.to_vec()).collect();
    assert!(got == rig.picture.want(3), "the client noticed");
    assert_eq!(rig.metric("calotype_device_lost"), 1.0);
    rig.is_at_rest();
}

fn lost() -> Error {
    Error::Device { doing: "submitting", cause: "the device is lost".into() }
}

#[test]
fn an_engine_that_never_answers_is_answered_for() {
    let (remote, taken) = Remote::new();
    let rig = Rig::new(ONE_LANE, Arc::new(Scalar), Some(remote));
    let job = rig.submit(rig.picture.work(2, soon())).unwrap();
    // Both the job and the duty to complete it are thrown away.
    drop(taken.recv_timeout(PATIENCE).unwrap());
    let results = outcome(&job).unwrap();
    assert!(results.iter().all(|result| matches!(result, Err(Error::Panic { .. }))), "{results:?}");
    // One that answers too little: the rest is answered for.
    let job = rig.submit(rig.picture.work(2, soon())).unwrap();
    let (job_of_gpu, done) = taken.recv_timeout(PATIENCE).unwrap();
    let mut completion = run(&Scalar, job_of_gpu);
    completion.images.pop();
    done(completion);
    let results = outcome(&job).unwrap();
    assert!(results[0].is_ok() && matches!(results[1], Err(Error::Panic { .. })), "{results:?}");
    rig.is_at_rest();
}

#[test]
fn memory_makes_jobs_wait_and_then_run() {
    let (noop, reins) = Noop::new();
    let threads = 2;
    let need = Picture::new().job_bytes(threads);
    let rig = Rig::new(Options { threads, queue_jobs_max: 8, memory_bytes_max: need * 3 / 2 }, noop, None);
    let holds = rig.one();
    reins.entered();
    let was_read = Arc::new(AtomicUsize::new(0));
    let waits = || {
        let (was_read, bytes) = (Arc::clone(&was_read), rig.picture.bytes.clone());
        let mut work = rig.picture.work(1, soon());
        work.read = Box::new(move || {
            was_read.fetch_add(1, Ordering::SeqCst);
            Ok(bytes)
        });
        work
    };
    // One that leaves while it waits for memory.
    let work = waits();
    let cancel = work.cancel.clone();
    let leaves = rig.submit(work).unwrap();
    until("the job is begun", || rig.sched.load().running == 2);
    cancel.cancel();
    rig.sched.wake();
    assert!(matches!(outcome(&leaves), Err(Error::Cancelled { before: "decode" })));
    // One whose deadline passes while it waits.
    let mut work = waits();
    work.deadline = (Instant::now() + Duration::from_millis(50)).into();
    assert!(matches!(outcome(&rig.submit(work).unwrap()), Err(Error::Deadline { before: "decode" })));
    // One that could never run does not wait at all.
    let mut work = waits();
    work.source_bytes = need;
    match outcome(&rig.submit(work).unwrap()) {
        Err(Error::TooMuchMemory { bytes, bytes_max }) => assert!(bytes > bytes_max && bytes_max == need * 3 / 2),
        other => panic!("expected too much memory, got {other:?}"),
    }
    // And one that runs when the memory is free.
    let patient = rig.submit(waits()).unwrap();
    until("the job is begun", || rig.sched.load().running == 2);
    assert_eq!(rig.sched.load().memory_bytes, need);
    assert_eq!(was_read.load(Ordering::SeqCst), 0);
    reins.order(Order::Run);
    check_renditions(&holds, &rig.picture.want(1));
    reins.entered();
    reins.order(Order::Run);
    check_renditions(&patient, &rig.picture.want(1));
    assert_eq!(was_read.load(Ordering::SeqCst), 1);
    rig.is_at_rest();
}

#[test]
fn a_candidate_that_there_is_no_memory_for_is_left_out() {
    let picture = Picture::new();
    let plans = |candidates: &[EncodeSpec]| {
        let mut plan = Plan::clone(&picture.plans(1)[0]);
        plan.encode.candidates = candidates.to_vec();
        vec![Arc::new(plan)]
    };
    let bytes =
        |candidates: &[EncodeSpec]| job_bytes_max(picture.bytes.len() as u64, &picture.header, &plans(candidates), 1);
    let (avif, webp) = (EncodeSpec::AvifLossless, EncodeSpec::Webp { quality: WebpQuality(8000) });
    let (none, one, both) = (bytes(&[]), bytes(&[webp]), bytes(&[avif, webp]));
    assert!(none < one && one < both, "{none} {one} {both}");
    for (memory_bytes_max, tried) in [(both, 2..=3), (both - 1, 2..=2), (one, 2..=2), (one - 1, 1..=1), (none, 1..=1)] {
        let rig = Rig::new(Options { memory_bytes_max, ..ONE_LANE }, Arc::new(Scalar), None);
        let work = Work { plans: plans(&[avif, webp]), ..rig.picture.work(1, soon()) };
        let mut results = outcome(&rig.submit(work).unwrap()).unwrap();
        let verdict = results.pop().unwrap().unwrap().verdict;
        assert!(tried.contains(&verdict.tried.len()), "{memory_bytes_max} of {none} to {both} bytes: {verdict:?}");
        assert!(!verdict.is_hurried(), "time is not what is missing: {verdict:?}");
        assert_eq!(verdict.reason() == "ineligible", verdict.tried.len() == 1, "{verdict:?}");
        if memory_bytes_max < both {
            assert!(verdict.tried.iter().all(|(spec, _)| *spec != avif), "the costliest goes first: {verdict:?}");
        }
    }
}

#[test]
fn a_lane_that_waits_for_memory_finishes_what_holds_it() {
    let (remote, taken) = Remote::new();
    let need = Picture::new().job_bytes(1);
    let rig = Rig::new(Options { memory_bytes_max: need * 3 / 2, ..ONE_LANE }, Arc::new(Scalar), Some(remote));
    let on_gpu = rig.one();
    let (job, done) = taken.recv_timeout(PATIENCE).unwrap();
    // The only lane now waits for memory that only the only lane can set free.
    let waits = rig.one();
    until("the job is begun", || rig.sched.load().running == 2);
    done(run(&Scalar, job));
    check_renditions(&on_gpu, &rig.picture.want(1));
    let (job, done) = taken.recv_timeout(PATIENCE).unwrap();
    done(run(&Scalar, job));
    check_renditions(&waits, &rig.picture.want(1));
    rig.is_at_rest();
}

#[test]
fn a_drain_finishes_what_is_in_hand_and_takes_nothing_new() {
    let (noop, reins) = Noop::new();
    let rig = Rig::new(ONE_LANE, noop, None);
    let running = rig.one();
    reins.entered();
    let waiting = rig.one();
    rig.sched.start_drain();
    assert!(matches!(rig.submit(rig.picture.work(1, soon())), Err(Error::Draining)));
    assert!(matches!(rig.sched.ready(), Err(Error::Draining)));
    // The refused one did not count as the last.
    assert!(rig.idle.try_recv().is_err());
    reins.order(Order::Run);
    reins.order(Order::Run);
    check_renditions(&running, &rig.picture.want(1));
    check_renditions(&waiting, &rig.picture.want(1));
    rig.idle.recv_timeout(PATIENCE).expect("the last job in hand should have been told");
    rig.is_at_rest();
}

#[test]
fn lanes_outlive_their_scheduler_for_as_long_as_a_job_is_in_hand() {
    let (noop, reins) = Noop::new();
    let rig = Rig::new(ONE_LANE, noop, None);
    let (running, waiting) = (rig.one(), rig.one());
    reins.entered();
    let want = rig.picture.want(1);
    drop(rig);
    reins.order(Order::Run);
    reins.order(Order::Run);
    check_renditions(&running, &want);
    check_renditions(&waiting, &want);
}

#[test]
fn every_job_is_answered_exactly_once_whatever_happens() {
    /// Fails, panics, forgets or works, by the numbers it was given.
    struct Moody(Mutex<SplitMix64>, &'static str);
    impl Engine for Moody {
        fn name(&self) -> &'static str {
            self.1
        }

        fn submit(&self, job: Job, done: Done) {
            let mood = self.0.lock().unwrap().within(0, 8);
            match mood {
                0 => panic!("moody"),
                1 => drop(done),
                2 if self.1 == "gpu" => {
                    let images = job.plans.iter().map(|_| Err(lost())).collect();
                    done(Completion { images, pass_time: Duration::ZERO });
                }
                _ => done(run(&Scalar, job)),
            }
        }
    }
    let mut random = SplitMix64::new("every_job_is_answered_exactly_once");
    let moody = |name| Arc::new(Moody(Mutex::new(SplitMix64::new(name)), name)) as Arc<dyn Engine>;
    let need = Picture::new().job_bytes(3);
    let options = Options { threads: 3, queue_jobs_max: 16, memory_bytes_max: need * 4 };
    let rig = Rig::new(options, moody("cpu"), Some(moody("gpu")));
    let (answer, answers) = channel();
    let (mut taken, mut refused) = (0, 0);
    for i in 0..400 {
        let plans = random.within(1, 5) as usize;
        let mut work = rig.picture.work(plans, soon());
        match random.within(0, 10) {
            0 => work.deadline = Instant::now().into(),
            1 => work.cancel.cancel(),
            2 => work.read = Box::new(|| panic!("no source")),
            _ => {}
        }
        let answer = answer.clone();
        let done = Box::new(move |outcome: Outcome| {
            if let Ok(results) = &outcome {
                assert_eq!(results.len(), plans);
            }
            answer.send(i).unwrap();
        });
        match rig.sched.try_submit(work, done) {
            Ok(()) => taken += 1,
            Err(Error::Busy { .. }) => {
                refused += 1;
                answers.recv_timeout(PATIENCE).expect("a job should have ended");
                taken -= 1;
            }
            Err(error) => panic!("{error}"),
        }
    }
    println!("{refused} refused, {taken} still in hand at the end");
    for _ in 0..taken {
        answers.recv_timeout(PATIENCE).expect("every job is answered");
    }
    rig.is_at_rest();
    drop(rig);
    drop(answer);
    assert!(answers.recv_timeout(PATIENCE).is_err(), "a job was answered twice");
}
