//! Does each job go where it finishes first?

use std::sync::Arc;

use calotype::engine::gpu::{AdapterInfo, AdapterKind, Choice, choose};
use calotype::engine::placement::{CostTable, EngineCosts, JobShape, Placement, Queues, Side, place};
use calotype::kernel::{Axis, Kernel};
use calotype::pixel::{Chroma, Model, PixelFormat, Size, WorkingSpace};
use calotype::plan::{Fill, Pass, Plan, Unsharp};

use crate::support::{SplitMix64, engines_under_test, plan, resample, resample_half};

/// Illustrative figures, not measurements: a card behind a fast bus, and one CPU thread with vectors.
const CARD: CostTable = CostTable {
    gpu: EngineCosts { fixed_ns: 150_000.0, upload_ns: 0.1, tap_ns: 0.001, sample_ns: 0.004, readback_ns: 0.1 },
    cpu: EngineCosts { fixed_ns: 2_000.0, upload_ns: 0.0, tap_ns: 0.08, sample_ns: 0.3, readback_ns: 0.0 },
};

/// Illustrative figures, not measurements: a card whose bus is slower than the CPU computes.
const SLOW_BUS: CostTable =
    CostTable { gpu: EngineCosts { upload_ns: 3.0, readback_ns: 3.0, ..CARD.gpu }, cpu: CARD.cpu };

const YCC_420: PixelFormat = PixelFormat { model: Model::Ycbcr(Chroma::Half), alpha: false };

/// A photograph reduced to `dst`, sharpened, on its view: what most requests ask for.
fn rendition(source: Size, format: PixelFormat, dst: Size) -> Arc<Plan> {
    let space = WorkingSpace::Encoded;
    let turn = |from, to| {
        let axis = Axis::whole(from, to);
        if format == YCC_420 { resample_half(Kernel::Sharp2, axis) } else { resample(Kernel::Sharp2, axis) }
    };
    let usm = Unsharp { amount_q10: 1792, radius_q20: 1 << 20, threshold: 2, mono: false };
    let mut passes = vec![
        Pass::Load { space, add_alpha: false },
        Pass::ResizeH(turn(source.w, dst.w)),
        Pass::ResizeV(turn(source.h, dst.h)),
        Pass::Pack { space },
    ];
    passes.extend((format == YCC_420).then_some(Pass::YcbcrToRgb));
    passes.extend([Pass::UnsharpH(usm), Pass::UnsharpV(usm)]);
    passes.push(Pass::Place { canvas: dst, x: 0, y: 0, fill: Fill::Opaque([255; 3]) });
    plan(source, dst, passes)
}

fn shape(source: Size, dsts: &[Size]) -> JobShape {
    let plans: Vec<Arc<Plan>> = dsts.iter().map(|dst| rendition(source, YCC_420, *dst)).collect();
    JobShape::new(source, YCC_420, &plans)
}

fn idle(table: &CostTable, shape: &JobShape) -> Placement {
    place(table, shape, Queues::default())
}

#[test]
fn one_small_picture_stays_on_the_cpu() {
    let small = shape(Size::new(160, 120), &[Size::new(80, 60)]);
    let placement = idle(&CARD, &small);
    assert_eq!(placement.side, Side::Cpu, "{placement:?}");
    assert!(placement.gpu_ns > 2 * placement.cpu_ns, "{placement:?}");
}

#[test]
fn a_fan_out_of_a_big_one_goes_to_the_gpu() {
    let widths = [320, 480, 640, 800, 1024, 1280, 1600, 2048];
    let fan_out = shape(Size::new(4096, 2732), &widths.map(|w| Size::new(w, w * 2 / 3)));
    let placement = idle(&CARD, &fan_out);
    assert_eq!(placement.side, Side::Gpu, "{placement:?}");
    assert!(placement.cpu_ns > 2 * placement.gpu_ns, "{placement:?}");
}

#[test]
fn a_slow_bus_keeps_one_rendition_on_the_cpu_and_not_a_fan_out() {
    let source = Size::new(4096, 2732);
    let one = shape(source, &[Size::new(320, 213)]);
    assert_eq!(idle(&SLOW_BUS, &one).side, Side::Cpu);
    let many = shape(source, &[Size::new(320, 213); 16]);
    assert_eq!(many.source_bytes, one.source_bytes, "one upload, however many plans");
    assert_eq!(idle(&SLOW_BUS, &many).side, Side::Gpu);
}

#[test]
fn a_queue_turns_the_choice_round() {
    let fan_out = shape(Size::new(4096, 2732), &[Size::new(1024, 683); 8]);
    let free = idle(&CARD, &fan_out);
    assert_eq!(free.side, Side::Gpu);
    let gpu_ns = free.cpu_ns - free.gpu_ns;
    let busy = |gpu_ns, cpu_ns| place(&CARD, &fan_out, Queues { gpu_ns, cpu_ns, ..Queues::default() });
    assert_eq!(busy(gpu_ns, 0).side, Side::Cpu, "equal estimates: the CPU");
    assert_eq!(busy(gpu_ns - 1, 0).side, Side::Gpu);
    assert_eq!(busy(gpu_ns, 1).side, Side::Gpu);
    assert_eq!(busy(u64::MAX, u64::MAX).gpu_ns, u64::MAX, "waits saturate");
}

#[test]
fn idle_threads_share_a_fan_out_and_nothing_else() {
    let source = Size::new(4096, 2732);
    let with = |shape: &JobShape, cpu_ns, cpu_threads| place(&CARD, shape, Queues { gpu_ns: 0, cpu_ns, cpu_threads });
    let fan_out = shape(source, &[Size::new(1024, 683); 8]);
    let alone = CARD.cpu.estimate_ns(&fan_out);
    for (threads, shared_by) in [(0, 1), (1, 1), (2, 2), (8, 8), (64, 8)] {
        assert_eq!(with(&fan_out, 0, threads).cpu_ns, alone / shared_by, "{threads} threads");
        assert_eq!(with(&fan_out, 7_000, threads).cpu_ns, alone / shared_by + 7_000, "behind what is in line");
    }
    let one = shape(source, &[Size::new(1024, 683)]);
    assert_eq!(with(&one, 7_000, 8), idle(&CARD, &one), "one is begun at once, by one thread");
    // Behind a slow bus a few idle threads turn the choice round.
    let fan_out = shape(source, &[Size::new(320, 213); 16]);
    let side = |cpu_threads| place(&SLOW_BUS, &fan_out, Queues { cpu_threads, ..Queues::default() }).side;
    assert_eq!([1, 2, 8, 16].map(side), [Side::Gpu, Side::Gpu, Side::Cpu, Side::Cpu]);
}

/// More of anything never costs less, and waiting never makes an engine likelier.
#[test]
fn estimates_are_monotonic() {
    let mut random = SplitMix64::new("estimates_are_monotonic");
    for _ in 0..2000 {
        let any = |random: &mut SplitMix64| u64::from(random.within(0, 1 << 24));
        let less = JobShape {
            source_bytes: any(&mut random),
            taps: any(&mut random),
            samples: any(&mut random),
            out_bytes: any(&mut random),
            plans: random.within(1, 9).into(),
        };
        let more = JobShape {
            source_bytes: less.source_bytes + any(&mut random),
            taps: less.taps + any(&mut random),
            samples: less.samples + any(&mut random),
            out_bytes: less.out_bytes + any(&mut random),
            plans: less.plans,
        };
        for costs in [CARD.gpu, CARD.cpu, SLOW_BUS.gpu] {
            assert!(costs.estimate_ns(&more) >= costs.estimate_ns(&less), "{costs:?}: {more:?} below {less:?}");
        }
        let cpu_threads = random.within(0, 9).into();
        let queues = Queues { gpu_ns: any(&mut random), cpu_ns: any(&mut random), cpu_threads };
        let longer = Queues { gpu_ns: queues.gpu_ns + any(&mut random), ..queues };
        let helped = Queues { cpu_threads: cpu_threads + 1, ..queues };
        if place(&CARD, &less, queues).side == Side::Cpu {
            for other in [longer, helped] {
                assert_eq!(place(&CARD, &less, other).side, Side::Cpu, "{less:?} {queues:?} {other:?}");
            }
        }
    }
}

#[test]
fn shapes_count_what_the_passes_do() {
    let source = Size::new(400, 200);
    let space = WorkingSpace::Encoded;
    let plans = [plan(
        source,
        Size::new(100, 200),
        vec![
            Pass::Load { space, add_alpha: true },
            Pass::ResizeH(resample(Kernel::Bilin, Axis::whole(400, 100))),
            Pass::Pack { space },
        ],
    )];
    // Four planes after `load`; a triangle of support 1 stretched by 4 has 8 taps.
    let want = JobShape {
        source_bytes: 3 * 400 * 200,
        taps: 4 * 100 * 200 * 8,
        samples: 4 * 400 * 200 + 4 * 100 * 200,
        out_bytes: 4 * 100 * 200,
        plans: 1,
    };
    assert_eq!(JobShape::new(source, PixelFormat::RGB, &plans), want);
}

/// Real engines give finite costs, and work costs more than none. How much is the machine's business: a busy one may
/// well hide a single term.
#[test]
fn costs_can_be_measured_on_every_engine() {
    let small = shape(Size::new(64, 64), &[Size::new(32, 32)]);
    let large = shape(Size::new(1600, 1200), &[Size::new(800, 600)]);
    for engine in engines_under_test() {
        let costs = EngineCosts::measure(&**engine).expect("a healthy engine");
        println!("{}: {costs:?}", engine.name());
        let members = [costs.fixed_ns, costs.upload_ns, costs.tap_ns, costs.sample_ns, costs.readback_ns];
        assert!(members.iter().all(|ns| ns.is_finite() && *ns >= 0.0), "{costs:?}");
        assert!(costs.fixed_ns > 0.0, "{}: {costs:?}", engine.name());
        assert!(costs.estimate_ns(&large) > costs.estimate_ns(&small), "{}: {costs:?}", engine.name());
    }
}

#[test]
fn a_software_adapter_is_never_chosen_by_auto() {
    let adapter = |kind| AdapterInfo {
        name: String::from("an adapter"),
        kind,
        backend: String::from("vulkan"),
        driver: String::new(),
    };
    let software = [adapter(AdapterKind::Cpu), adapter(AdapterKind::Other)];
    assert_eq!(choose(Choice::Hardware, &software), None);
    assert_eq!(choose(Choice::Any, &software), Some(0));
    assert_eq!(choose(Choice::Any, &[]), None);
    for kind in [AdapterKind::Discrete, AdapterKind::Integrated, AdapterKind::Virtual] {
        let adapters = [adapter(AdapterKind::Cpu), adapter(kind)];
        assert_eq!(choose(Choice::Hardware, &adapters), Some(1), "{kind:?}");
        assert_eq!(choose(Choice::Any, &adapters), Some(1), "{kind:?}");
    }
    let both = [AdapterKind::Integrated, AdapterKind::Discrete, AdapterKind::Discrete].map(adapter);
    assert_eq!(choose(Choice::Hardware, &both), Some(1), "the card before the chip, the first of two");
}
