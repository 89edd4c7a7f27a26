//! What a reply's headers need: known before the rendition, and from it.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::Rendition;
use super::derivatives::{Derivative, Kept};
use super::sources::Found;
use crate::cache::{Entry, Stamp};
use crate::catalog::Company;
use crate::pixel::Size;
use crate::plan::{Decision, FormatReason, Plan, Verdict};
use crate::request::{Commands, Target};
use crate::store::Version;
use crate::{decide, limits};

/// What is known of a rendition beside its bytes.
#[derive(Clone, Debug)]
pub struct Meta {
    /// MIME type; `None` if only rendering tells which of several formats it is (HEAD alone).
    pub mime: Option<&'static str>,
    /// Strong entity tag, quotes included; `None` if it is not in the cache (HEAD alone).
    pub etag: Option<String>,
    /// Length of the bytes, if known.
    pub length: Option<u64>,
    /// For how long others may keep it.
    pub freshness: Freshness,
    /// When its source was changed last, or the asset invalidated; `None`: the company does not say.
    pub last_modified: Option<SystemTime>,
    /// The company's own headers.
    pub headers: Vec<(String, String)>,
    /// Unknown commands, for `X-Image-Serving-Ignored`.
    pub ignored: Vec<String>,
    /// Why this format is served (protocol.md 4.5), if that is known.
    pub reason: Option<&'static str>,
    /// Bytes that the candidate tried last is smaller than the format asked for; below 0: larger, and not served.
    pub saved: Option<i64>,
    /// Request headers that the reply depends on.
    pub varies_by: Vec<&'static str>,
    /// Client hints that could change it.
    pub hints_wanted: Vec<&'static str>,
    /// Size in pixels; none if nobody has looked.
    pub size: Size,
    /// `Plan::key`; 0 if there is no plan.
    pub plan_key: u64,
}

/// For how long clients, and caches on the way to them, may keep a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Freshness {
    /// `false`: not at all.
    pub is_kept: bool,
    /// Time to live, seconds; `None`: never expires.
    pub max_age_s: Option<u64>,
    /// For how long after that it may be served while a new one is asked for, seconds.
    pub stale_while_revalidate_s: u64,
}

impl Freshness {
    fn of(commands: &Commands, target: &Target<'_>) -> Self {
        let company = &target.company;
        let of_record = target.object.record.and_then(|(_, record)| record.expiration_hours);
        Self {
            is_kept: commands.cache.client,
            max_age_s: max_age_s(of_record.unwrap_or(company.expiration_hours)),
            stale_while_revalidate_s: company.stale_while_revalidate_s,
        }
    }

    /// Of a reply that a better one will replace: nobody needs it while that one is made.
    pub(super) fn brief(self) -> Self {
        let most = limits::BRIEF_TTL_S_MAX;
        let max_age_s = self.max_age_s.map_or(most, |seconds| seconds.min(most));
        Self { max_age_s: Some(max_age_s), stale_while_revalidate_s: 0, ..self }
    }
}

impl Freshness {
    /// Of a reply that is no picture; `None`: nobody keeps it.
    pub(super) fn in_hours(hours: Option<f64>, commands: &Commands, company: &Company) -> Self {
        Self {
            is_kept: commands.cache.client && hours.is_some(),
            max_age_s: hours.map_or(Some(0), max_age_s),
            stale_while_revalidate_s: company.stale_while_revalidate_s,
        }
    }
}

impl Meta {
    /// The same for a picture that stands for an error: nobody keeps it.
    pub(super) fn of_error(self) -> Self {
        let freshness = Freshness { is_kept: false, ..self.freshness };
        Self { freshness, etag: None, last_modified: None, ..self }
    }

    /// Whether whoever has it has the right one, unchecked: it never expires, and all clients get the same.
    pub(super) fn is_the_same_for_ever(&self) -> bool {
        self.freshness.is_kept && self.freshness.max_age_s.is_none() && self.varies_by.is_empty()
    }

    /// What the request alone tells.
    pub(super) fn of_request(commands: &Commands, target: &Target<'_>) -> Self {
        let company = &target.company;
        Self {
            mime: None,
            etag: None,
            length: None,
            freshness: Freshness::of(commands, target),
            last_modified: None,
            headers: target.headers(commands),
            ignored: commands.ignored.clone(),
            reason: None,
            saved: None,
            varies_by: decide::varies_by(commands, company),
            hints_wanted: decide::hints_wanted(commands, company),
            size: Size::new(0, 0),
            plan_key: 0,
        }
    }
}

/// A rendition before it is there: what its plan tells of it.
pub(super) struct Outline {
    plan: Arc<Plan>,
    decision: Decision,
    meta: Meta,
    /// Its source may be written just now.
    is_of_unsettled: bool,
}

impl Outline {
    pub(super) fn new(
        plan: Arc<Plan>,
        decision: Decision,
        commands: &Commands,
        target: &Target<'_>,
        (found, stamp): (&Found, Stamp),
    ) -> Self {
        let version = found.newest();
        let of_record = target.object.record.and_then(|(_, record)| record.timestamp_s);
        let meta = Meta {
            last_modified: last_modified(version, stamp, of_record).filter(|_| target.company.use_last_modified),
            size: plan.size,
            plan_key: plan.key(),
            ..Meta::of_request(commands, target)
        };
        Self { plan, decision, meta, is_of_unsettled: !found.is_settled() }
    }

    /// What a reply's headers need; `entry` is the rendition, if it is known.
    pub(super) fn meta(self, entry: Option<&Entry<Kept>>) -> Meta {
        let Self { plan, decision, meta, is_of_unsettled } = self;
        let verdict = entry.map(|entry| &entry.note.verdict);
        let known = match verdict {
            Some(verdict) => Some(verdict.served),
            None => plan.encode.candidates.is_empty().then_some(plan.encode.requested),
        };
        let reason = match verdict {
            Some(verdict) => Some(decision.format_reason.told(verdict)),
            None => Some(decision.format_reason).filter(|why| *why != FormatReason::Candidates).map(FormatReason::word),
        };
        let is_brief = is_of_unsettled || verdict.is_some_and(Verdict::is_hurried);
        // Whoever asks about such a one is told that it is right, unchecked: he must not ask.
        let has_tag = !(is_brief && meta.is_the_same_for_ever());
        Meta {
            mime: known.map(|spec| spec.mime()),
            reason,
            saved: verdict.and_then(Verdict::saved),
            length: entry.map(|entry| entry.body.len() as u64),
            etag: entry.filter(|_| has_tag).map(|entry| etag(entry.hash)),
            // The better one may have the same.
            last_modified: meta.last_modified.filter(|_| !is_brief),
            freshness: if is_brief { meta.freshness.brief() } else { meta.freshness },
            ..meta
        }
    }

    pub(super) fn rendition(self, derivative: Derivative) -> Rendition {
        let Derivative { entry, timings, engine } = derivative;
        let (bytes, verdict, decision) = (entry.body.clone(), entry.note.verdict.clone(), self.decision.clone());
        Rendition { bytes, meta: self.meta(Some(&entry)), verdict, decision, timings, engine }
    }
}

/// The newest time involved: that of the record if it says one, else of the source; or of the asset's last invalidation. None of
/// a source that has no time. One to come is now [RFC 9110 8.8.2.1].
fn last_modified(version: &Version, stamp: Stamp, of_record: Option<u64>) -> Option<SystemTime> {
    let source_ns = u64::try_from(version.modified_ns).unwrap_or(0);
    let changed = of_record.map_or(Duration::from_nanos(source_ns), Duration::from_secs);
    let newest = changed.max(Duration::from_millis(stamp.changed_ms));
    (!newest.is_zero()).then(|| (UNIX_EPOCH + newest).min(SystemTime::now()))
}

/// Seconds to live; −1 hours is for ever.
fn max_age_s(hours: f64) -> Option<u64> {
    // Checked by the configuration: 0 to a hundred years, far inside u64.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked range, not negative here")]
    (hours >= 0.0).then(|| (hours * 3600.0).round() as u64)
}

/// A strong entity tag: the bytes' own hash, in quotes.
fn etag(hash: u128) -> String {
    format!("\"{hash:032x}\"")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::EncodeSpec;

    #[test]
    fn hours_become_seconds_or_for_ever() {
        assert_eq!(max_age_s(10.0), Some(36_000));
        assert_eq!(max_age_s(0.1), Some(360));
        assert_eq!(max_age_s(0.0), Some(0));
        assert_eq!(max_age_s(-1.0), None);
    }

    #[test]
    fn what_a_better_one_will_replace_is_kept_for_a_minute_at_most() {
        for (company, brief) in [(None, 60), (Some(36_000), 60), (Some(30), 30), (Some(0), 0)] {
            let of_company = Freshness { is_kept: true, max_age_s: company, stale_while_revalidate_s: 5 };
            let of_brief = Freshness { is_kept: true, max_age_s: Some(brief), stale_while_revalidate_s: 0 };
            assert_eq!(of_company.brief(), of_brief);
        }
    }

    #[test]
    fn tags_are_strong_and_quoted() {
        // XXH3-128 of nothing, seed 0: the reference implementation's own vector.
        let kept = Kept {
            verdict: Verdict { tried: Vec::new(), served: EncodeSpec::Png, skipped: Vec::new() },
            placement: None,
        };
        assert_eq!(etag(Entry::new(kept, b"").hash), "\"99aa06d3014798d86001c324468d497f\"");
        assert_eq!(etag(10), "\"0000000000000000000000000000000a\"");
    }

    #[test]
    fn the_newest_time_is_the_last_modification() {
        let version = Version { modified_ns: 5_000_000_001, ..Version::default() };
        let at = |changed_ms| {
            let time = last_modified(&version, Stamp { id: 0, changed_ms }, None).unwrap();
            time.duration_since(UNIX_EPOCH).unwrap()
        };
        assert_eq!(at(0), Duration::from_nanos(5_000_000_001));
        assert_eq!(at(6_000), Duration::from_secs(6));
        assert_eq!(last_modified(&Version::default(), Stamp { id: 0, changed_ms: 0 }, None), None);
    }

    #[test]
    fn no_time_to_come_is_told() {
        let version = Version { modified_ns: i128::from(u64::MAX / 2), ..Version::default() };
        let time = last_modified(&version, Stamp { id: 0, changed_ms: 0 }, None).unwrap();
        assert!(time <= SystemTime::now());
    }
}
