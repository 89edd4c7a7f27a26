//! Does the GPU engine hold its promises when things are large, many, or go wrong? (That its pixels equal the oracle's
//! on hostile sizes is `differential.rs`.)

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use calotype::engine::gpu::{AdapterKind, Allocations, Bandwidth, Choice, Fault, Gpu, Options, Totals, adapters};
use calotype::engine::scalar::Scalar;
use calotype::engine::{Cancel, Completion, Engine, Job, run};
use calotype::error::Error;
use calotype::kernel::{Axis, Kernel};
use calotype::limits;
use calotype::pixel::{Chroma, Image, Model, PixelFormat, RowSource, Size, WorkingSpace, YcbcrForm};
use calotype::plan::{
    Cover, Fill, Grain, Grow, Grown, Morph, Noise, Pass, Plan, Point, Resample, Rotation, Tint, Turn, Unsharp,
};

use crate::support::{Content, SplitMix64, Tolerance, assert_close, picture, plan, resample, resample_half};

const YCC_420: PixelFormat = PixelFormat { model: Model::Ycbcr(Chroma::Half), alpha: false };

/// An engine on whatever adapter there is; `None`, with a line that says so, only if there is none at all.
fn engine(options: Options) -> Option<Gpu> {
    match Gpu::try_with(Choice::Any, options) {
        Ok(gpu) => {
            println!("adapter: {}", gpu.adapter());
            Some(gpu)
        }
        Err(error) => {
            assert!(adapters().is_empty(), "there is an adapter, but no engine: {error}");
            assert!(std::env::var_os("REQUIRE_GPU").is_none_or(|v| v != "1"), "REQUIRE_GPU=1, but {error}");
            println!("skipped: {error}");
            None
        }
    }
}

/// Quick to come back after a loss, so that tests need not wait for seconds.
fn impatient() -> Options {
    let (retry_first, retry_max) = (Duration::from_millis(20), Duration::from_millis(200));
    Options { retry_first, retry_max, ..Options::default() }
}

fn job(source: &Arc<Image>, plans: Vec<Arc<Plan>>) -> Job {
    Job { source: source.clone(), plans, cancel: Cancel::default() }
}

fn turn(format: PixelFormat, kernel: Kernel, from: u32, to: u32) -> Resample {
    let axis = Axis::whole(from, to);
    if format == YCC_420 { resample_half(kernel, axis) } else { resample(kernel, axis) }
}

/// The passes up to `pack`, where an engine may be 1 level off.
fn reduction(source: Size, format: PixelFormat, dst: Size) -> Arc<Plan> {
    let space = if format == YCC_420 { WorkingSpace::Encoded } else { WorkingSpace::Linear };
    let passes = vec![
        Pass::Load { space, add_alpha: false },
        Pass::ResizeH(turn(format, Kernel::Sharp2, source.w, dst.w)),
        Pass::ResizeV(turn(format, Kernel::Sharp2, source.h, dst.h)),
        Pass::Pack { space },
    ];
    plan(source, dst, passes)
}

/// Integer passes alone, where an engine must be exact: every pass that is not part of a resize.
fn finish(source: Size, format: PixelFormat) -> Arc<Plan> {
    let usm = Unsharp { amount_q10: 1792, radius_q20: 3 << 19, threshold: 2, mono: false };
    let canvas = Size::new(source.w + 6, source.h.max(9) - 3);
    let mut passes = Vec::new();
    passes.extend((format == YCC_420).then_some(Pass::YcbcrToRgb));
    let point = Point { brightness: 5, hue: 30, saturation: 20, ..Point::default() };
    let tint = Some(Tint { colour: [200, 150, 90], normalise: true, contrast: 20 });
    passes.extend([Pass::Point(point), Pass::Median, Pass::Point(Point { tint, ..Point::default() })]);
    passes.push(Pass::Turn(Turn { transposed: false, mirrored: [true, true] }));
    passes.push(Pass::Cover(Cover { under: [9, 80, 200, 90], ..Cover::NONE }));
    let start = [-(5 << 30), 3 << 30];
    let rotation = Rotation { canvas: source, start, column: [4 << 30, 1 << 28], row: [-(1 << 28), 4 << 30] };
    passes.push(Pass::Rotate(rotation));
    let grow = Grow { radius_px: 3, morph: Morph::Erode, of: Grown::Colours };
    let noise = Noise { amount: 10, grain: Grain::Gaussian, mono: false, seed: 7 };
    passes.extend([Pass::GrowH(grow), Pass::GrowV(grow), Pass::Noise(noise)]);
    passes.extend([Pass::UnsharpH(usm), Pass::UnsharpV(usm), Pass::Sharpen]);
    passes.push(Pass::Place { canvas, x: 2, y: -1, fill: Fill::Opaque([255, 250, 240]) });
    passes.push(Pass::RgbToYcbcr { form: YcbcrForm::Half });
    plan(source, canvas, passes)
}

fn assert_like_scalar(name: &str, job: &Job, completion: Completion, tolerance: Tolerance) {
    let want = run(&Scalar, job.clone());
    assert_eq!(completion.images.len(), want.images.len(), "{name}");
    for (want, got) in want.images.into_iter().zip(completion.images) {
        let got = got.unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_close(name, &want.expect("scalar cannot fail"), &got, tolerance);
    }
}

/// The ground proof: a few pixels go through an adapter and come back sharpened.
#[test]
fn an_adapter_computes() {
    let Some(gpu) = engine(Options::default()) else { return };
    let size = Size::new(3, 3);
    let source = Arc::new(Image::from_interleaved(size, PixelFormat::GREY, &[10, 10, 10, 10, 90, 10, 10, 10, 10]));
    let completion = run(&gpu, job(&source, vec![plan(size, size, vec![Pass::Sharpen])]));
    let image = completion.images.into_iter().next().expect("one plan").expect("a healthy adapter");
    // (16 · 90 − 8 · 10 + 4) >> 3 = 170; an edge sees the centre once, a corner once: (160 − 150 + 4) >> 3 = 1 above 0.
    assert_eq!(image.planes()[0].data(), [0, 0, 0, 0, 170, 0, 0, 0, 0]);
    assert!(completion.pass_time > Duration::ZERO);
}

/// Larger than any workgroup, any row of quads and any class of buffer, with fan-out, on poisoned buffers.
#[test]
fn large_pictures_fan_out_exactly() {
    let Some(gpu) = engine(Options { poison: true, ..Options::default() }) else { return };
    let mut random = SplitMix64::new("large_pictures_fan_out_exactly");
    for format in [PixelFormat::RGB, PixelFormat::RGBA, YCC_420, PixelFormat::GREY] {
        let size = Size::new(1021, 211);
        let content = if format.alpha { Content::Alpha } else { Content::Noise };
        let source = Arc::new(picture(content, size, format, &mut random));
        let dsts = [Size::new(500, 103), Size::new(61, 211), Size::new(1021, 3), Size::new(1301, 40)];
        let reductions = job(&source, dsts.map(|dst| reduction(size, format, dst)).to_vec());
        let got = run(&gpu, reductions.clone());
        assert_like_scalar(&format!("{format:?} reduced"), &reductions, got, Tolerance::Levels(1));
        if format != PixelFormat::GREY {
            let finished = job(&source, vec![finish(size, format)]);
            assert_like_scalar(
                &format!("{format:?} finished"),
                &finished,
                run(&gpu, finished.clone()),
                Tolerance::Exact,
            );
        }
    }
}

/// A grid with more than 65,535 rows of workgroups' worth of samples, and one dispatch far wider than it is high.
#[test]
fn long_thin_pictures_fit_the_grid() {
    let Some(gpu) = engine(Options { poison: true, ..Options::default() }) else { return };
    let mut random = SplitMix64::new("long_thin_pictures_fit_the_grid");
    for size in [Size::new(1, 300_000), Size::new(300_000, 1), Size::new(2, 65_537)] {
        let source = Arc::new(picture(Content::Noise, size, PixelFormat::GREY, &mut random));
        let sharpened = job(&source, vec![plan(size, size, vec![Pass::Sharpen])]);
        assert_like_scalar(&size.to_string(), &sharpened, run(&gpu, sharpened.clone()), Tolerance::Exact);
    }
    let size = Size::new(1, 600_000);
    let source = Arc::new(Image::new(size, PixelFormat::GREY));
    let error = first_error(run(&gpu, job(&source, vec![plan(size, size, vec![Pass::Sharpen])])));
    assert_limit(&error, "max_compute_workgroups_per_dimension");
}

fn first_error(completion: Completion) -> Error {
    completion.images.into_iter().next().expect("one plan").expect_err("no picture")
}

fn fault(error: &Error) -> &Fault {
    let Error::Device { cause, .. } = error else { panic!("{error:?}") };
    cause.downcast_ref::<Fault>().expect("this engine's own cause")
}

fn assert_limit(error: &Error, limit: &str) {
    let Fault::Limit { name, need, max } = fault(error) else { panic!("{error}") };
    assert_eq!(*name, limit);
    assert!(need > max, "{error}");
}

/// A source with a size and no pixels: reading it would panic, so that "refused before anything is uploaded" shows.
struct Unread(Size);

impl RowSource for Unread {
    fn size(&self) -> Size {
        self.0
    }

    fn format(&self) -> PixelFormat {
        PixelFormat::GREY
    }

    fn rows(&self, _: usize, _: u32, _: u32) -> &[u8] {
        panic!("read a source that is over the limit");
    }
}

/// The adapter's own limit, and the pool's: an error that names it; the next job runs.
#[test]
fn a_job_over_a_limit_is_refused_before_it_is_read() {
    let small_pool = Options { pool_bytes_max: 4 << 20, ..Options::default() };
    for (options, side, limit) in [
        (Options::default(), 200_000, "max_storage_buffer_binding_size"),
        (small_pool, 4_000, "the GPU pool's bytes_max"),
    ] {
        let Some(gpu) = engine(options) else { return };
        let size = Size::new(side, side);
        let source = Arc::new(Unread(size));
        let plans = vec![plan(size, size, vec![Pass::Sharpen]); 2];
        let completion = run(&gpu, Job { source, plans, cancel: Cancel::default() });
        assert_eq!(completion.images.len(), 2);
        assert_limit(&first_error(completion), limit);
        assert!(!gpu.is_lost());

        let mut random = SplitMix64::new("a_job_over_a_limit_is_refused_before_it_is_read");
        let size = Size::new(40, 30);
        let source = Arc::new(picture(Content::Noise, size, PixelFormat::RGB, &mut random));
        let small = job(&source, vec![finish(size, PixelFormat::RGB)]);
        assert_like_scalar("the next job", &small, run(&gpu, small.clone()), Tolerance::Exact);
    }
}

/// A pool with room for one slot only still does everything, one batch after the other; larger jobs evict smaller shapes.
#[test]
fn a_tight_pool_grows_and_shrinks_within_its_ceiling() {
    let pool_bytes_max = 32 << 20;
    let Some(gpu) = engine(Options { pool_bytes_max, ..Options::default() }) else { return };
    let tables = gpu.allocations().buffer_bytes;
    let mut random = SplitMix64::new("a_tight_pool_grows_and_shrinks_within_its_ceiling");
    for size in [Size::new(64, 64), Size::new(700, 500), Size::new(80, 1500), Size::new(900, 600), Size::new(5, 5)] {
        let source = Arc::new(picture(Content::Noise, size, PixelFormat::RGB, &mut random));
        let next =
            job(&source, vec![finish(size, PixelFormat::RGB), reduction(size, PixelFormat::RGB, Size::new(50, 40))]);
        let got = run(&gpu, next.clone());
        assert_like_scalar(&size.to_string(), &next, got, Tolerance::Levels(1));
        let bytes = gpu.allocations().buffer_bytes - tables;
        assert!(bytes <= isize::try_from(pool_bytes_max).expect("32 MiB"), "{size}: {bytes} bytes of buffers");
    }
}

/// Jobs as a site has them: few shapes, many times.
fn mixed_jobs(random: &mut SplitMix64) -> Vec<Job> {
    let mut jobs = Vec::new();
    for (size, format) in [
        (Size::new(160, 100), YCC_420),
        (Size::new(97, 61), PixelFormat::RGBA),
        (Size::new(128, 128), PixelFormat::RGB),
        (Size::new(33, 40), PixelFormat::GREY),
    ] {
        let content = if format.alpha { Content::Alpha } else { Content::Noise };
        let source = Arc::new(picture(content, size, format, random));
        jobs.push(job(&source, vec![reduction(size, format, Size::new(40, 30))]));
        jobs.push(job(&source, [16, 24, 90].map(|w| reduction(size, format, Size::new(w, w))).to_vec()));
        if format != PixelFormat::GREY {
            jobs.push(job(&source, vec![finish(size, format)]));
        }
    }
    jobs
}

/// Nothing is allocated on the GPU once warm, by wgpu's own counters, over a thousand jobs in batches of changing size.
#[test]
fn a_thousand_jobs_allocate_nothing() {
    let Some(gpu) = engine(Options::default()) else { return };
    let mut random = SplitMix64::new("a_thousand_jobs_allocate_nothing");
    let jobs = mixed_jobs(&mut random);
    // Each shape alone in each slot of the ring, then so many at once that every slot has a full batch of it: how jobs
    // meet in batches later is a matter of time, and no mixture needs more of any shape than that.
    for job in &jobs {
        (0..3).for_each(|_| drop(run(&gpu, job.clone())));
        run_in_flight(&gpu, std::slice::from_ref(job), 5 * limits::BATCH_JOBS_MAX, &mut random);
    }
    run_in_flight(&gpu, &jobs, 64, &mut random);

    let warm = gpu.allocations();
    println!("warm: {warm:?}");
    assert_ne!(warm, Allocations::default(), "counters that count nothing");
    for hundred in 1..=10 {
        run_in_flight(&gpu, &jobs, 100, &mut random);
        assert_eq!(gpu.allocations(), warm, "after {hundred}00 jobs");
    }
}

/// Runs `count` jobs drawn from `jobs`, up to five batches at a time, and checks that each is answered with pictures.
fn run_in_flight(gpu: &Gpu, jobs: &[Job], count: usize, random: &mut SplitMix64) {
    let (send, receive) = channel();
    let mut in_flight = 0;
    for _ in 0..count {
        let job = jobs[random.within(0, u32::try_from(jobs.len()).expect("few")) as usize].clone();
        submit(gpu, job, &send);
        in_flight += 1;
        if in_flight == 5 * limits::BATCH_JOBS_MAX {
            (0..2 * limits::BATCH_JOBS_MAX).for_each(|_| pictures(&receive));
            in_flight -= 2 * limits::BATCH_JOBS_MAX;
        }
    }
    (0..in_flight).for_each(|_| pictures(&receive));
}

fn submit(gpu: &Gpu, job: Job, send: &Sender<Completion>) {
    let send = send.clone();
    gpu.submit(job, Box::new(move |completion| drop(send.send(completion))));
}

fn pictures(receive: &Receiver<Completion>) {
    let completion = receive.recv_timeout(PATIENCE).expect("an answer");
    for image in completion.images {
        image.expect("a picture");
    }
}

/// Longer than any of these tests takes: only a hang runs into it.
const PATIENCE: Duration = Duration::from_secs(60);

/// The device is destroyed under a batch of many jobs: every job is answered once, those that failed say so and are
/// right when replayed on the CPU; the timer builds a new device and jobs run there again.
#[test]
fn a_device_lost_in_the_middle_of_a_batch_costs_nobody_a_reply() {
    const JOBS: usize = 40;
    let Some(gpu) = engine(impatient()) else { return };
    let mut random = SplitMix64::new("a_device_lost_in_the_middle_of_a_batch_costs_nobody_a_reply");
    let size = Size::new(320, 200);
    let source = Arc::new(picture(Content::Noise, size, PixelFormat::RGB, &mut random));
    let plans = vec![finish(size, PixelFormat::RGB)];
    let mut failed = 0;
    for round in 0..2 {
        let (send, receive) = channel();
        for i in 0..JOBS {
            let send = send.clone();
            let job = job(&source, plans.clone());
            gpu.submit(job, Box::new(move |completion| drop(send.send((i, completion)))));
        }
        // The first answer shows that the batches are running; what is behind it is in hand.
        let first = receive.recv_timeout(PATIENCE).expect("an answer");
        gpu.destroy_device();
        let mut answered = [false; JOBS];
        let want = run(&Scalar, job(&source, plans.clone()));
        for (i, completion) in
            std::iter::once(first).chain((1..JOBS).map(|_| receive.recv_timeout(PATIENCE).expect("an answer")))
        {
            assert!(!std::mem::replace(&mut answered[i], true), "job {i} was answered twice");
            for (plan, image) in completion.images.into_iter().enumerate() {
                let image = image.unwrap_or_else(|error| {
                    assert!(matches!(error, Error::Device { .. }), "job {i}: {error}");
                    failed += 1;
                    let replayed = run(&Scalar, job(&source, vec![plans[plan].clone()]));
                    replayed.images.into_iter().next().expect("one plan").expect("scalar cannot fail")
                });
                let want = want.images[plan].as_ref().expect("scalar cannot fail");
                assert_close(&format!("round {round}, job {i}"), want, &image, Tolerance::Exact);
            }
        }
        assert!(receive.try_recv().is_err(), "an answer too many");
        wait_until("a new device", || !gpu.is_lost() && run(&gpu, job(&source, plans.clone())).images[0].is_ok());
    }
    assert!(failed > 0, "the device was never lost in the middle of anything");
    println!("{failed} of {} jobs were replayed", 2 * JOBS);
}

fn wait_until(what: &str, is_true: impl Fn() -> bool) {
    let start = Instant::now();
    while !is_true() {
        assert!(start.elapsed() < PATIENCE, "waited too long for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// While the device is gone jobs are refused at once, not queued.
#[test]
fn a_lost_engine_refuses_at_once() {
    let patient = Options { retry_first: Duration::from_secs(3600), ..Options::default() };
    let Some(gpu) = engine(patient) else { return };
    let size = Size::new(8, 8);
    let source = Arc::new(Image::new(size, PixelFormat::GREY));
    let next = || run(&gpu, job(&source, vec![plan(size, size, vec![Pass::Sharpen])])).images.remove(0);
    next().expect("a healthy device");
    gpu.destroy_device();
    assert!(matches!(next(), Err(Error::Device { .. })));
    wait_until("the loss to be noticed", || gpu.is_lost());
    assert_eq!(gpu.allocations(), Allocations::default());
    let error = next().expect_err("no device");
    assert!(matches!(fault(&error), Fault::Lost(_)), "{error}");
}

/// A source that holds the engine's thread until it is told to go on.
struct Gate {
    image: Image,
    entered: Mutex<Sender<()>>,
    open: Mutex<Receiver<()>>,
}

impl Gate {
    /// The gate, what says that the thread has come to it, and what opens it.
    fn new(size: Size) -> (Arc<Self>, Receiver<()>, Sender<()>) {
        let (entered, at_the_gate) = channel();
        let (opener, open) = channel();
        let image = Image::new(size, PixelFormat::GREY);
        (Arc::new(Self { image, entered: Mutex::new(entered), open: Mutex::new(open) }), at_the_gate, opener)
    }
}

impl RowSource for Gate {
    fn size(&self) -> Size {
        self.image.size()
    }

    fn format(&self) -> PixelFormat {
        self.image.format()
    }

    fn rows(&self, i: usize, y: u32, rows: u32) -> &[u8] {
        self.entered.lock().expect("one thread").send(()).expect("the test waits");
        self.open.lock().expect("one thread").recv_timeout(PATIENCE).expect("the test opens");
        self.image.rows(i, y, rows)
    }
}

/// Queue full: refused on the caller's thread, nothing is started. What waits goes out together.
#[test]
fn a_full_queue_is_busy_and_what_waits_shares_a_batch() {
    let Some(gpu) = engine(Options { queue_jobs_max: 10, ..Options::default() }) else { return };
    let size = Size::new(20, 20);
    let sharpen = vec![plan(size, size, vec![Pass::Sharpen])];
    let (gate, at_the_gate, opener) = Gate::new(size);
    let (send, receive) = channel();
    submit(&gpu, Job { source: gate, plans: sharpen.clone(), cancel: Cancel::default() }, &send);
    at_the_gate.recv_timeout(PATIENCE).expect("the engine takes the first job");

    let source = Arc::new(Image::new(size, PixelFormat::GREY));
    for _ in 0..10 {
        submit(&gpu, job(&source, sharpen.clone()), &send);
    }
    assert!(receive.try_recv().is_err(), "nothing is answered behind a closed gate");
    submit(&gpu, job(&source, sharpen), &send);
    let busy = first_error(receive.try_recv().expect("an answer at once"));
    assert!(matches!(busy, Error::Busy { lane: "gpu", depth: 10 }), "{busy}");

    opener.send(()).expect("the engine waits");
    (0..11).for_each(|_| pictures(&receive));
    wait_until("all jobs to be counted", || gpu.totals().jobs == 11);
    assert_eq!(gpu.totals().batches, 2, "the ten that waited went out together");
}

/// What a batch took is told: its jobs, the bytes that moved, and times that lie within one another.
#[test]
fn batches_are_counted_and_timed() {
    let Some(gpu) = engine(Options::default()) else { return };
    assert_eq!(gpu.totals(), Totals::default());
    let mut random = SplitMix64::new("batches_are_counted_and_timed");
    let size = Size::new(256, 128);
    let source = Arc::new(picture(Content::Noise, size, PixelFormat::RGB, &mut random));
    let next = job(&source, vec![reduction(size, PixelFormat::RGB, Size::new(64, 32))]);
    for n in 1..=3 {
        let before = gpu.totals();
        drop(run(&gpu, next.clone()));
        wait_until("the batch to be counted", || gpu.totals().jobs == n);
        let one = gpu.totals().since(&before);
        assert_eq!((one.batches, one.jobs), (1, 1));
        // Rows of a multiple of four need no padding.
        assert_eq!((one.source_bytes, one.out_bytes), (3 * 256 * 128, 3 * 64 * 32));
        let times = one.times;
        assert!(times.upload > Duration::ZERO && times.dispatch > Duration::ZERO && times.readback > Duration::ZERO);
        match times.device {
            None => println!("no timestamps on {}", gpu.adapter()),
            Some(device) => {
                assert!(device.passes > Duration::ZERO, "{device:?}");
                // It may begin before the call that submits it has returned.
                let there = device.upload + device.passes + device.readback;
                assert!(there <= times.upload + times.dispatch, "{device:?} within {times:?}");
            }
        }
    }
}

/// Fan-out: the source crosses the bus once, however many renditions are made of it, and half-size chroma stays half-size.
#[test]
fn a_fan_out_uploads_its_source_once_and_as_it_is_stored() {
    let Some(gpu) = engine(Options::default()) else { return };
    let mut random = SplitMix64::new("a_fan_out_uploads_its_source_once_and_as_it_is_stored");
    let size = Size::new(160, 96);
    let source = Arc::new(picture(Content::Noise, size, YCC_420, &mut random));
    for (jobs, n) in (1..).zip([1, 2, 8]) {
        let before = gpu.totals();
        let plans: Vec<_> = (1..=n).map(|i| reduction(size, YCC_420, Size::new(16 * i, 10 * i))).collect();
        let job = job(&source, plans);
        assert_like_scalar(&format!("{n} renditions"), &job, run(&gpu, job.clone()), Tolerance::Levels(1));
        wait_until("the batch to be counted", || gpu.totals().jobs == jobs);
        let uploaded = gpu.totals().since(&before).source_bytes;
        assert_eq!(uploaded, 160 * 96 * 3 / 2, "{n} renditions: one and a half bytes a pixel, once");
    }
}

/// It is the engine's adapter whose copies are measured, and what it cannot hold is an error.
#[test]
fn bandwidth_is_measured_on_the_adapter_that_is_used() {
    let Some(gpu) = engine(Options::default()) else { return };
    let (adapter, bandwidth) = Bandwidth::measure(Choice::Any, 1 << 20).expect("an adapter that an engine runs on");
    assert_eq!(&adapter, gpu.adapter());
    for rate in [bandwidth.upload, bandwidth.copy, bandwidth.readback] {
        assert!(rate.is_finite() && rate > 0.0, "{bandwidth:?}");
    }
    let error = Bandwidth::measure(Choice::Any, 1 << 60).expect_err("no adapter has so much memory");
    assert!(matches!(error, Error::Device { .. }), "{error}");
}

/// A source that panics while it is read sinks its own job and no neighbour.
#[test]
fn one_bad_source_sinks_nobody_else() {
    let Some(gpu) = engine(Options::default()) else { return };
    let size = Size::new(20, 20);
    let sharpen = vec![plan(size, size, vec![Pass::Sharpen]); 2];
    let (gate, at_the_gate, opener) = Gate::new(size);
    let (send, receive) = channel();
    submit(&gpu, Job { source: gate, plans: sharpen.clone(), cancel: Cancel::default() }, &send);
    at_the_gate.recv_timeout(PATIENCE).expect("the engine takes the first job");

    let mut random = SplitMix64::new("one_bad_source_sinks_nobody_else");
    let source = Arc::new(picture(Content::Noise, size, PixelFormat::GREY, &mut random));
    let good = job(&source, sharpen.clone());
    let (good_send, good_receive) = channel();
    let (bad_send, bad_receive) = channel();
    submit(&gpu, good.clone(), &good_send);
    submit(&gpu, Job { source: Arc::new(Unread(size)), plans: sharpen, cancel: Cancel::default() }, &bad_send);
    submit(&gpu, good.clone(), &good_send);
    opener.send(()).expect("the engine waits");

    pictures(&receive);
    for _ in 0..2 {
        let completion = good_receive.recv_timeout(PATIENCE).expect("an answer");
        assert_like_scalar("a neighbour", &good, completion, Tolerance::Exact);
    }
    let bad = bad_receive.recv_timeout(PATIENCE).expect("an answer");
    for image in bad.images {
        let error = image.expect_err("no picture");
        assert!(matches!(&error, Error::Panic { message } if message.contains("over the limit")), "{error}");
    }
    wait_until("all jobs to be counted", || gpu.totals().jobs == 4);
    assert_eq!(gpu.totals().batches, 2, "they did share a batch");
    assert!(!gpu.is_lost());
}

/// No planner writes these; an engine that is handed one answers, and does not touch a pixel outside the picture.
#[test]
fn what_is_no_plan_is_an_error_and_its_neighbours_live() {
    let Some(gpu) = engine(Options::default()) else { return };
    let mut random = SplitMix64::new("what_is_no_plan_is_an_error_and_its_neighbours_live");
    let size = Size::new(24, 16);
    let source = Arc::new(picture(Content::Noise, size, YCC_420, &mut random));
    let load = || Pass::Load { space: WorkingSpace::Encoded, add_alpha: false };
    let pack = || Pass::Pack { space: WorkingSpace::Encoded };
    let good = reduction(size, YCC_420, Size::new(12, 8));
    let whole = turn(YCC_420, Kernel::Bicub, 24, 12);
    let mut plans = vec![
        vec![pack()],
        vec![load()],
        vec![Pass::Sharpen],
        vec![Pass::RgbToYcbcr { form: YcbcrForm::Full }],
        vec![Pass::Place { canvas: size, x: 1, y: 0, fill: Fill::Opaque([0; 3]) }],
        vec![Pass::Load { space: WorkingSpace::Linear, add_alpha: false }, pack()],
        vec![load(), Pass::ResizeH(Resample { chroma_axis: None, ..whole }), pack()],
        vec![load(), Pass::ResizeH(turn(YCC_420, Kernel::Bicub, 25, 12)), pack()],
        vec![load(), Pass::ResizeV(whole), pack()],
        vec![Pass::YcbcrToRgb, Pass::Place { canvas: Size::new(0, 9), x: 0, y: 0, fill: Fill::Transparent }],
        vec![
            load(),
            Pass::ResizeH(Resample { chroma_axis: whole.chroma_axis.map(|a| Axis { dst_len: 4, ..a }), ..whole }),
            pack(),
        ],
    ];
    let bad = plans.len();
    let mut all: Vec<Arc<Plan>> = plans.drain(..).map(|passes| plan(size, size, passes)).collect();
    all.push(good.clone());
    // A plan that changes nothing is one: the source comes back.
    all.push(plan(size, size, Vec::new()));

    let mut images = run(&gpu, job(&source, all.clone())).images;
    for (plan, image) in all.iter().zip(images.drain(..bad)) {
        assert!(matches!(image, Err(Error::Panic { .. })), "{:?}: {image:?}", plan.passes);
    }
    let neighbours = Completion { images, pass_time: Duration::ZERO };
    assert_like_scalar("neighbours", &job(&source, all.split_off(bad)), neighbours, Tolerance::Levels(1));
    assert!(!gpu.is_lost());
}

/// Whoever is answered may panic: their neighbours in the batch are answered all the same, and so is the next job.
#[test]
fn a_panic_in_an_answer_stays_there() {
    let Some(gpu) = engine(Options::default()) else { return };
    let size = Size::new(20, 20);
    let sharpen = vec![plan(size, size, vec![Pass::Sharpen])];
    let (gate, at_the_gate, opener) = Gate::new(size);
    let (send, receive) = channel();
    submit(&gpu, Job { source: gate, plans: sharpen.clone(), cancel: Cancel::default() }, &send);
    at_the_gate.recv_timeout(PATIENCE).expect("the engine takes the first job");
    let source = Arc::new(Image::new(size, PixelFormat::GREY));
    gpu.submit(job(&source, sharpen.clone()), Box::new(|_| panic!("an answer that nobody can stand")));
    submit(&gpu, job(&source, sharpen.clone()), &send);
    opener.send(()).expect("the engine waits");
    (0..2).for_each(|_| pictures(&receive));
    submit(&gpu, job(&source, sharpen), &send);
    pictures(&receive);
    assert!(!gpu.is_lost());
}

/// Dropping the engine answers what it was given.
#[test]
fn dropping_the_engine_answers_everything() {
    let Some(gpu) = engine(Options::default()) else { return };
    let mut random = SplitMix64::new("dropping_the_engine_answers_everything");
    let jobs = mixed_jobs(&mut random);
    let (send, receive) = channel();
    jobs.iter().for_each(|job| submit(&gpu, job.clone(), &send));
    drop(gpu);
    jobs.iter().for_each(|_| pictures(&receive));
}

/// What `auto` does on this machine: hardware or a clean error, never software.
#[test]
fn auto_takes_hardware_or_nothing() {
    let found = adapters();
    let hardware = found.iter().find(|adapter| adapter.kind.is_hardware());
    match (Gpu::try_new(Choice::Hardware), hardware) {
        (Ok(gpu), Some(_)) => assert!(gpu.adapter().kind.is_hardware(), "{}", gpu.adapter()),
        (Err(error), None) => {
            // Without a device node nobody has looked, and none are counted.
            assert!(matches!(fault(&error), Fault::NoAdapter { found: n } if *n == 0 || *n == found.len()), "{error}");
            assert!(found.iter().all(|adapter| matches!(adapter.kind, AdapterKind::Cpu | AdapterKind::Other)));
        }
        (Ok(gpu), None) => panic!("{} is no hardware", gpu.adapter()),
        (Err(error), Some(adapter)) => panic!("{adapter}: {error}"),
    }
}

/// Every adapter hidden: a clean error, in a process of its own, since a loader reads its environment once.
#[test]
fn without_an_adapter_there_is_a_clean_error() {
    const CHILD: &str = "CALOTYPE_TEST_WITHOUT_ADAPTERS";
    if std::env::var_os(CHILD).is_some() {
        assert_eq!(adapters(), []);
        for choice in [Choice::Hardware, Choice::Any] {
            let error = Gpu::try_new(choice).map(|gpu| gpu.adapter().clone()).expect_err("no adapter");
            assert_eq!(fault(&error), &Fault::NoAdapter { found: 0 });
            assert_eq!(error.to_string(), "gpu failed while opening an adapter: no Vulkan adapter");
        }
        return;
    }
    let output = std::process::Command::new(std::env::current_exe().expect("this binary"))
        .args(["--exact", "gpu::without_an_adapter_there_is_a_clean_error", "--nocapture"])
        .envs([(CHILD, "1"), ("VK_LOADER_DRIVERS_DISABLE", "*"), ("VK_DRIVER_FILES", "/dev/null")])
        .output()
        .expect("this binary runs");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}{}", String::from_utf8_lossy(&output.stderr));
}
