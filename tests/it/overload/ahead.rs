//! Candidates that are made ahead, by lanes that have nothing to do.

use std::sync::Arc;

use calotype::engine::scalar::Scalar;
use calotype::plan::{EncodeSpec, Plan, WebpQuality};
use calotype::sched::{Options, Work, job_bytes_max};

use super::rig::{ONE_LANE, Picture, Rig, outcome, soon};

const WEBP: EncodeSpec = EncodeSpec::Webp { quality: WebpQuality(8000) };

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
    for memory_bytes_max in [enough, enough + 1, 1 << 30] {
        let [alone, helped] = [1, 2].map(|threads| {
            let rig = Rig::new(Options { threads, memory_bytes_max, ..ONE_LANE }, Arc::new(Scalar), None);
            let rendered = outcome(&rig.submit(work(&rig.picture)).unwrap()).unwrap().pop().unwrap().unwrap();
            rig.is_at_rest();
            rendered
        });
        assert_eq!(alone.verdict.tried.len(), 2, "{memory_bytes_max}: {:?}", alone.verdict);
        assert_eq!(alone.verdict, helped.verdict, "{memory_bytes_max}");
        assert!(alone.bytes == helped.bytes, "{memory_bytes_max}: other bytes");
    }
}
