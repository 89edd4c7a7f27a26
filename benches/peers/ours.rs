//! calotype as a library: the service over a folder, all lanes, nothing of one rendition kept for the next.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use calotype::catalog::{Catalog, Company, SourceRoot};
use calotype::config::{Config, EngineChoice};
use calotype::decide::Hints;
use calotype::pixel::Size;
use calotype::service::{ImageRequest, Rendition, Service};
use calotype::telemetry::ms;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use crate::measure::Round;
use crate::pictures::started;

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(600);
/// The only company.
pub(crate) const COMPANY: &str = "p";

pub(crate) struct Ours {
    service: Arc<Service>,
    runtime: Runtime,
}

impl Ours {
    pub(crate) fn new(folder: &Path) -> Self {
        let mut config = Config::demo();
        config.daemon.engine = EngineChoice::Simd;
        config.catalog = Catalog::default();
        let mut company = Company::new(COMPANY, SourceRoot::Dir(folder.to_owned()));
        company.max_pix = Size::new(8192, 8192);
        config.catalog.companies.insert(company.root_id.clone(), company);
        let (service, runtime) = started(&config);
        Self { service, runtime }
    }

    /// All renditions of one file, in order.
    pub(crate) fn render(&self, file: &str, queries: &[String]) -> Vec<Rendition> {
        self.runtime.block_on(render(&self.service, file, queries))
    }

    /// Goes over the files so many times, with so many in flight.
    pub(crate) fn run(&self, files: &[String], queries: &[String], passes: usize, in_flight: usize) -> Round {
        struct Shared {
            service: Arc<Service>,
            files: Vec<String>,
            queries: Vec<String>,
            next: AtomicUsize,
        }
        let n = passes * files.len();
        let shared = Arc::new(Shared {
            service: Arc::clone(&self.service),
            files: files.to_vec(),
            queries: queries.to_vec(),
            next: AtomicUsize::new(0),
        });
        self.runtime.block_on(async {
            let start = Instant::now();
            let mut lanes = JoinSet::new();
            for _ in 0..in_flight {
                let shared = Arc::clone(&shared);
                lanes.spawn(async move {
                    let mut round = Round::default();
                    while let Some(i) = Some(shared.next.fetch_add(1, Ordering::Relaxed)).filter(|i| *i < n) {
                        let file = &shared.files[i % shared.files.len()];
                        let start = Instant::now();
                        let renditions = render(&shared.service, file, &shared.queries).await;
                        round.times_ms.push(ms(start.elapsed()));
                        for rendition in renditions {
                            let times = rendition.timings;
                            let stages = [times.queue, times.decode, times.pass, times.encode];
                            round.stages_ms = std::array::from_fn(|s| round.stages_ms[s] + ms(stages[s]));
                            round.bytes += rendition.bytes.len() as u64;
                        }
                    }
                    round
                });
            }
            let mut whole = Round::default();
            while let Some(round) = lanes.join_next().await {
                whole.add(round.expect("no panic"));
            }
            whole.seconds = start.elapsed().as_secs_f64();
            whole
        })
    }
}

async fn render(service: &Service, file: &str, queries: &[String]) -> Vec<Rendition> {
    let deadline = Instant::now() + PATIENCE;
    if let [query] = queries {
        let request =
            ImageRequest { path: format!("/{COMPANY}/{file}"), query: query.clone(), ..ImageRequest::default() };
        return vec![service.image(&request, deadline).await.expect("a rendition")];
    }
    let source = format!("{COMPANY}/{file}");
    let renditions = service.fanout(&source, None, queries, &Hints::default(), deadline).await.expect("renditions");
    renditions.into_iter().map(|rendition| rendition.expect("a rendition")).collect()
}
