//! The jobs: the same work in the words of each side.

use std::path::{Path, PathBuf};

use calotype::codec;
use calotype::pixel::{Size, testcard};
use calotype::plan::EncodeSpec;
use serde_json::{Value, json};

use crate::camera;
use crate::judge;
use crate::ours::Ours;

/// How renditions are scored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Score {
    /// Not at all: the sharpeners differ.
    Not,
    /// As they are.
    AsIs,
    /// calotype's quality, `{q}` in its query, is the least that scores no lower than the other side.
    Equal,
}

/// One rendition as sharp is asked for it. Its size is that of calotype's.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    sharpen: Option<Value>,
    format: &'static str,
    options: Value,
    /// Whether it may decode JPEGs at a part of their size, which it does if it is not told otherwise.
    may_shrink: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Job {
    /// What it is called on the command line; its last letter tells those of one job apart.
    pub(crate) name: &'static str,
    pub(crate) what: String,
    /// Names of files in the folder of sources.
    pub(crate) files: Vec<String>,
    /// What calotype is asked for each file: one rendition, or the renditions of a fan-out.
    pub(crate) queries: Vec<String>,
    /// The same for sharp.
    pub(crate) wanted: Vec<Wanted>,
    pub(crate) score: Score,
}

impl Job {
    /// The same at calotype's quality `q`.
    pub(crate) fn at(&self, q: u8) -> Self {
        let queries = self.queries.iter().map(|query| query.replace("{q}", &q.to_string())).collect();
        Self { queries, ..self.clone() }
    }

    /// The same for calotype, and for sharp with the method of libwebp that calotype has; by itself it takes 4.
    fn by_our_method(&self, name: &'static str) -> Self {
        let options = json!({"quality": 80, "effort": codec::WEBP_METHOD});
        let wanted = self.wanted.iter().map(|wanted| Wanted { options: options.clone(), ..wanted.clone() }).collect();
        let what = format!("job {}, both by libwebp's method {}", self.name, codec::WEBP_METHOD);
        Self { name, what, wanted, ..self.clone() }
    }

    /// Whether it takes a decoder of AVIF to judge it.
    pub(crate) fn is_avif(&self) -> bool {
        self.wanted.iter().any(|wanted| wanted.format == "avif")
    }

    /// What sharp is to make: a task a file, in the sizes that calotype gives it.
    pub(crate) fn tasks(&self, folder: &Path, sizes: &[Vec<Size>]) -> Value {
        let task = |(file, sizes): (&String, &Vec<Size>)| {
            let output = |(wanted, size): (&Wanted, &Size)| {
                let Wanted { sharpen, format, options, may_shrink } = wanted;
                json!({
                    "width": size.w, "height": size.h, "fastShrinkOnLoad": may_shrink, "sharpen": sharpen,
                    "format": format, "options": options,
                })
            };
            let outputs: Vec<Value> = self.wanted.iter().zip(sizes).map(output).collect();
            json!({"file": folder.join(file), "outputs": outputs})
        };
        self.files.iter().zip(sizes).map(task).collect()
    }
}

/// Photographs at height 500, or twice that, sharpened: the protocol's own kind of request.
pub(crate) const SHARPENED: &str = "hei=500&fmt=webp&qlt=80&resMode=bisharp&op_usm=5,0.125,5,0";
/// No rendition helps the next: none is kept, and none is shared with who asks for the same.
const ANEW: &str = "cache=off,off";

/// All jobs over the sources there are.
pub(crate) fn all(sources: &Sources) -> Vec<Job> {
    let query = |query: &str| vec![format!("{query}&{ANEW}")];
    let wanted = |format, options| Wanted { sharpen: None, format, options, may_shrink: true };
    let usual = json!({"quality": 80});
    let sharpened = || {
        let sharpen = Some(json!({"sigma": 0.6, "m1": 1, "m2": 2}));
        vec![Wanted { sharpen, ..wanted("webp", usual.clone()) }]
    };
    let job = |name, what: &str, files: &[String], queries, wanted, score| Job {
        name,
        what: what.to_owned(),
        files: files.to_vec(),
        queries,
        wanted,
        score,
    };
    let fanout: Vec<(u32, &'static str)> =
        [320, 640, 960, 1280].into_iter().flat_map(|width| [(width, "jpeg"), (width, "webp")]).collect();
    let photos = &sources.photos;
    let one = job("1", "500 px high, sharpened, WebP 80", photos, query(SHARPENED), sharpened(), Score::Not);
    // sharp's AVIF takes seconds a picture: a third of them is told in minutes.
    let third: Vec<String> = photos.iter().step_by(3).cloned().collect();
    let doubled = query(&format!("{SHARPENED}&dpr=on,2"));
    let four = job("4", "job 1 with `dpr=on,2`: 1000 px high", photos, doubled, sharpened(), Score::Not);
    let five = job(
        "5",
        "PNG with alpha, 500 px high, WebP 80 with alpha",
        &sources.alpha,
        query("hei=500&fmt=webp-alpha&qlt=80"),
        vec![wanted("webp", usual.clone())],
        Score::AsIs,
    );
    let mut jobs = vec![
        one.clone(),
        one.by_our_method("1b"),
        job(
            "2",
            "500 px high, WebP, equal score",
            photos,
            query("hei=500&fmt=webp&qlt={q}"),
            vec![wanted("webp", usual.clone())],
            Score::Equal,
        ),
        job(
            "3",
            "2725×2225 JPEG to 720×588 JPEG 80",
            &sources.reduced,
            query("wid=720&hei=588&fit=stretch&fmt=jpeg&qlt=80"),
            vec![wanted("jpeg", usual.clone())],
            Score::AsIs,
        ),
        job(
            "3b",
            "job 3 at equal score, sharp decodes at full size",
            &sources.reduced,
            query("wid=720&hei=588&fit=stretch&fmt=jpeg&qlt={q}"),
            vec![Wanted { may_shrink: false, ..wanted("jpeg", usual.clone()) }],
            Score::Equal,
        ),
        four.clone(),
        four.by_our_method("4b"),
        five.clone(),
        five.by_our_method("5b"),
        job(
            "6",
            "500 px high, AVIF, equal score, every third photograph",
            &third,
            query("hei=500&fmt=avif&qlt={q}"),
            vec![wanted("avif", json!({}))],
            Score::Equal,
        ),
        job(
            "7",
            "fan-out: 320, 640, 960, 1280 px wide, JPEG and WebP 80",
            photos,
            fanout.iter().flat_map(|(width, format)| query(&format!("wid={width}&fmt={format}&qlt=80"))).collect(),
            fanout.iter().map(|(_, format)| wanted(format, usual.clone())).collect(),
            Score::AsIs,
        ),
    ];
    for (name, file) in ["8a", "8b", "8c"].into_iter().zip(&sources.large) {
        jobs.push(job(
            name,
            file.what,
            std::slice::from_ref(&file.name),
            query("wid=800&fmt=jpeg&qlt=80"),
            vec![wanted("jpeg", usual.clone())],
            Score::AsIs,
        ));
    }
    jobs.retain(|job| !job.files.is_empty());
    jobs
}

/// The largest single rendition of the fan-out.
pub(crate) fn largest_of(fanout: &Job) -> Job {
    let queries = fanout.queries.last().cloned().into_iter().collect();
    Job { name: "7", what: String::from("the largest of them alone"), queries, wanted: Vec::new(), ..fanout.clone() }
}

/// A picture of many pixels.
pub(crate) struct Large {
    name: String,
    what: &'static str,
}

/// Sources of all jobs in one folder: what both sides read.
pub(crate) struct Sources {
    dir: tempfile::TempDir,
    pub(crate) photos: Vec<String>,
    reduced: Vec<String>,
    alpha: Vec<String>,
    large: Vec<Large>,
}

impl Sources {
    /// Copies of the corpus' pictures, or computed ones where there is no corpus.
    pub(crate) fn new(corpus: Option<&Path>) -> Self {
        let mut sources = Self {
            dir: tempfile::tempdir().expect("a temporary folder"),
            photos: Vec::new(),
            reduced: Vec::new(),
            alpha: Vec::new(),
            large: Vec::new(),
        };
        match corpus {
            Some(corpus) => sources.copy(corpus),
            None => println!("CORPUS is not set: computed pictures stand in for photographs"),
        }
        sources.compute();
        sources
    }

    pub(crate) fn folder(&self) -> &Path {
        self.dir.path()
    }

    fn copy(&mut self, corpus: &Path) {
        let take = |path: &Path| {
            let name = path.file_name()?.to_str()?.to_owned();
            std::fs::copy(path, self.dir.path().join(&name)).ok().map(|_| name)
        };
        let all = |folder: &str, end: &str| -> Vec<String> {
            let mut paths: Vec<PathBuf> =
                corpus.join(folder).read_dir().into_iter().flatten().flatten().map(|entry| entry.path()).collect();
            paths.sort();
            paths
                .iter()
                .filter(|path| path.to_str().is_some_and(|path| path.ends_with(end)))
                .filter_map(|p| take(p))
                .collect()
        };
        let large = [
            ("large/space.jpg", "4928×3280 JPEG to 800×532 JPEG 80"),
            ("jpeg-variants/large_no_samp_7680_4320.jpg", "7680×4320 JPEG, full-size chroma, to 800×450 JPEG 80"),
            ("jpeg-variants/progressive_420_7680x4320.jpg", "7680×4320 progressive JPEG to 800×450 JPEG 80"),
        ];
        let (photos, alpha) = (all("photos", ".jpg"), all("png", "-alpha.png"));
        let large = large.into_iter().filter_map(|(path, what)| match take(&corpus.join(path)) {
            Some(name) => Some(Large { name, what }),
            None => {
                println!("{path} is not in the corpus: left out");
                None
            }
        });
        let large = large.collect();
        (self.photos, self.alpha, self.large) = (photos, alpha, large);
    }

    /// What the corpus lacks.
    fn compute(&mut self) {
        let write = |name: &str, bytes: Vec<u8>| {
            std::fs::write(self.dir.path().join(name), bytes).expect("a temporary file");
            name.to_owned()
        };
        if self.photos.is_empty() {
            println!("no photographs: four computed ones");
            let photo = |seed| {
                write(&format!("photo-{seed}.jpg"), camera::jpeg(&testcard::photo(Size::new(2048, 1358), seed), 92))
            };
            self.photos = (1..=4).map(photo).collect();
        }
        if self.alpha.is_empty() {
            println!("no PNG with alpha: a computed one");
            let vase = codec::encode(&testcard::vase(Size::new(1024, 1024), 3), &EncodeSpec::Png);
            self.alpha = vec![write("vase.png", vase.expect("a picture of ours"))];
        }
        if self.large.is_empty() {
            println!("no large photograph: a computed one");
            let name = write("large.jpg", camera::jpeg(&testcard::photo(Size::new(4928, 3280), 5), 92));
            self.large = vec![Large { name, what: "4928×3280 JPEG to 800×532 JPEG 80" }];
        }
        // No picture of the corpus has the size of sharp's own benchmark: the first large one, cut to its shape, reduced.
        let query = format!("wid=2725&hei=2225&fit=crop&fmt=png&{ANEW}");
        let made = Ours::new(self.dir.path()).render(&self.large[0].name, &[query]);
        let image = judge::decoded(&made[0].bytes);
        assert_eq!(image.size(), Size::new(2725, 2225), "{}: too small a source", self.large[0].name);
        self.reduced = vec![write("2725x2225.jpg", camera::jpeg(&image, 92))];
    }
}
