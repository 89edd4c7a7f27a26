//! Several renditions of one source: in which order they are made, and what they share.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use calotype::engine::scalar::Scalar;
use calotype::engine::{Done, Engine, Job, run};
use calotype::pixel::Size;
use calotype::plan::{EncodeSpec, Fill, Pass, Plan, WebpQuality};
use calotype::sched::Work;

use super::rig::{ONE_LANE, Picture, Rig, outcome, soon};

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

fn made(rig: &Rig, plans: &[Arc<Plan>]) -> Vec<Bytes> {
    let work = Work { plans: plans.to_vec(), ..rig.picture.work(1, soon()) };
    let results = outcome(&rig.submit(work).unwrap()).unwrap();
    results.into_iter().map(|result| result.unwrap().bytes).collect()
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
        assert!(made(&rig, std::slice::from_ref(plan))[0] == bytes, "{}: other bytes in a fan-out", plan.size);
    }
    rig.is_at_rest();
}
