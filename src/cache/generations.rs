//! What makes old keys dead: an epoch for the whole cache, a generation for each company and asset that was ever
//! invalidated.
//!
//! A generation is the time of its invalidation, ms since 1970, or one more than the one before if the clock says less.
//! The epoch is a random number. Each process has one of its own; it takes over that of a directory that remembers one, and
//! gives its own to one that does not. So a key that was made before a directory's generations were known is the key of
//! nothing that was in it.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::{Xxh3, xxh3_128};

use crate::limits;

/// The state of one asset's derivatives: part of each of their keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Stamp {
    /// Differs from that of any other asset and from that of any other generation.
    pub id: u128,
    /// When the asset or its company was invalidated last, ms since 1970; 0: never.
    pub changed_ms: u64,
}

/// What can be invalidated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// All derivatives of a company.
    Company(String),
    /// All derivatives of one asset.
    Asset {
        /// Its company.
        company: String,
        /// Its name in the company.
        asset: String,
    },
}

/// All generations.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Generations {
    epoch: u128,
    companies: HashMap<String, Company>,
    /// Assets in all companies.
    #[serde(skip)]
    assets: usize,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Company {
    generation: u64,
    assets: HashMap<String, u64>,
}

impl Generations {
    /// A new epoch in which nothing was invalidated.
    pub(super) fn new() -> Self {
        // Keyed at random by the system, each time anew.
        let random = || u128::from(RandomState::new().hash_one(SystemTime::now()));
        Self { epoch: random() << 64 | random(), companies: HashMap::new(), assets: 0 }
    }

    pub(super) fn stamp(&self, company: &str, asset: &str) -> Stamp {
        let of_company = self.companies.get(company);
        let company_ms = of_company.map_or(0, |company| company.generation);
        let asset_ms = of_company.and_then(|company| company.assets.get(asset)).copied().unwrap_or(0);
        let mut hasher = Xxh3::new();
        hasher.update(&self.epoch.to_le_bytes());
        hasher.update(&company_ms.to_le_bytes());
        hasher.update(&asset_ms.to_le_bytes());
        // The length keeps "a" and "bc" from being "ab" and "c".
        hasher.update(&company.len().to_le_bytes());
        hasher.update(company.as_bytes());
        hasher.update(asset.as_bytes());
        Stamp { id: hasher.digest128(), changed_ms: company_ms.max(asset_ms) }
    }

    /// New generations for all targets.
    pub(super) fn bump(&mut self, targets: &[Target]) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
        self.bump_at(targets, u64::try_from(now).unwrap_or(u64::MAX));
    }

    fn bump_at(&mut self, targets: &[Target], now_ms: u64) {
        for target in targets {
            let (Target::Company(name) | Target::Asset { company: name, .. }) = target;
            let company = self.companies.entry(name.clone()).or_default();
            match target {
                Target::Asset { asset, .. } if self.assets < limits::ASSET_GENERATIONS_MAX => {
                    let generation = company.assets.entry(asset.clone()).or_insert_with(|| {
                        self.assets += 1;
                        0
                    });
                    *generation = now_ms.max(*generation + 1);
                }
                // One asset too many to remember: its whole company, then, which is more than was asked but never less.
                Target::Asset { .. } | Target::Company(_) => {
                    // Dead with their company: their generations need not be remembered.
                    let newest = company.assets.values().copied().max().unwrap_or(0).max(company.generation);
                    self.assets -= company.assets.len();
                    company.assets = HashMap::new();
                    company.generation = now_ms.max(newest + 1);
                }
            }
        }
    }

    /// Joins what a directory remembers: its epoch, and the newest generation of each. What was bumped here meanwhile is
    /// newer than all that the directory knows of it.
    pub(super) fn join(&mut self, remembered: Self) {
        let here = std::mem::replace(self, remembered);
        for (name, company) in here.companies {
            for (asset, generation) in company.assets {
                self.bump_at(&[Target::Asset { company: name.clone(), asset }], generation);
            }
            if company.generation > 0 {
                self.bump_at(&[Target::Company(name)], company.generation);
            }
        }
    }

    /// As a file: a hash, a line break, and what it is the hash of.
    pub(super) fn to_text(&self) -> String {
        // Numbers and strings alone, so that it cannot fail; an empty text would read as damaged.
        let json = serde_json::to_string(self).unwrap_or_default();
        format!("{:032x}\n{json}", xxh3_128(json.as_bytes()))
    }

    /// What [`Self::to_text`] wrote; `None`: damaged.
    pub(super) fn from_text(text: &str) -> Option<Self> {
        let (hash, json) = text.split_once('\n')?;
        if hash != format!("{:032x}", xxh3_128(json.as_bytes())) {
            return None;
        }
        let mut read: Self = serde_json::from_str(json).ok()?;
        read.assets = read.companies.values().map(|company| company.assets.len()).sum();
        Some(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asset(company: &str, asset: &str) -> Target {
        Target::Asset { company: company.to_owned(), asset: asset.to_owned() }
    }

    #[test]
    fn a_bump_changes_its_targets_and_nothing_else() {
        let mut generations = Generations::new();
        let stamps = |g: &Generations| [("Co", "a"), ("Co", "b"), ("Do", "a")].map(|(c, a)| g.stamp(c, a).id);
        let fresh = stamps(&generations);
        assert!(fresh[0] != fresh[1] && fresh[1] != fresh[2] && fresh[0] != fresh[2]);
        assert_eq!(generations.stamp("Co", "a").changed_ms, 0);

        generations.bump_at(&[asset("Co", "a")], 1000);
        let one = stamps(&generations);
        assert_eq!((fresh[0] == one[0], fresh[1] == one[1], fresh[2] == one[2]), (false, true, true));
        assert_eq!(generations.stamp("Co", "a").changed_ms, 1000);

        generations.bump_at(&[Target::Company(String::from("Co"))], 900);
        let all = stamps(&generations);
        assert_eq!((one[0] == all[0], one[1] == all[1], one[2] == all[2]), (false, false, true));
        assert_eq!(generations.stamp("Co", "b").changed_ms, 1001, "the clock went back, the generation did not");
        // The same again is a generation of its own.
        generations.bump_at(&[asset("Co", "a"), asset("Co", "a")], 900);
        assert_ne!(stamps(&generations)[0], all[0]);
    }

    #[test]
    fn what_was_written_is_read_and_damage_is_noticed() {
        let mut generations = Generations::new();
        generations.bump_at(&[asset("Co", "line\nbreak \"é"), Target::Company(String::from("Do"))], 5);
        let text = generations.to_text();
        assert_eq!(Generations::from_text(&text), Some(generations));
        for cut in (0..text.len()).filter(|&cut| text.is_char_boundary(cut)) {
            assert_eq!(Generations::from_text(&text[..cut]), None, "cut to {cut}");
        }
        assert_eq!(Generations::from_text(&text.replace(":5", ":6")), None);
    }

    #[test]
    fn joining_keeps_the_epoch_of_the_directory_and_revives_nothing() {
        let mut directory = Generations::new();
        directory.bump_at(&[asset("Co", "a"), asset("Co", "c")], 5000);
        let mut process = Generations::new();
        let before = process.stamp("Co", "b");
        process.bump_at(&[asset("Co", "a"), asset("Co", "b"), Target::Company(String::from("Do"))], 4000);
        process.join(directory.clone());
        assert_eq!(process.epoch, directory.epoch);
        assert!(process.stamp("Co", "a").changed_ms > 5000, "a bump here is newer than what the directory knew");
        assert_eq!(process.stamp("Co", "b").changed_ms, 4000);
        assert_eq!(process.stamp("Co", "c"), directory.stamp("Co", "c"));
        assert_eq!(process.stamp("Do", "x").changed_ms, 4000);
        assert_ne!(before.id, process.stamp("Co", "b").id);
        assert_ne!(before.id, directory.stamp("Co", "b").id, "what was begun before the directory was open is dead");
    }

    #[test]
    fn too_many_assets_cost_their_company() {
        let mut generations = Generations::new();
        let many: Vec<_> = (0..=limits::ASSET_GENERATIONS_MAX).map(|i| asset("Co", &i.to_string())).collect();
        let other = generations.stamp("Co", "other");
        generations.bump_at(&many[..many.len() - 1], 1);
        assert_eq!(generations.stamp("Co", "other"), other);
        let first = generations.stamp("Co", "0");
        generations.bump_at(&many[many.len() - 1..], 2);
        assert_eq!(generations.assets, 0);
        for name in ["0", "other"] {
            assert_eq!(generations.stamp("Co", name).changed_ms, 2, "{name}");
        }
        assert_ne!(generations.stamp("Co", "0"), first);
    }
}
