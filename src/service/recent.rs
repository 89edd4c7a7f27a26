//! A bounded memory of what was used of late.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};

/// At most `entries_max` values by their keys. Two generations: what is used moves to the young one; when that is half
/// the bound, it becomes the old one and the old one is forgotten. So each use costs one look-up or two, never a search
/// for what to forget.
#[derive(Debug)]
pub(super) struct Recent<K, V> {
    generation_max: usize,
    generations: Mutex<Generations<K, V>>,
}

#[derive(Debug)]
struct Generations<K, V> {
    young: HashMap<K, V>,
    old: HashMap<K, V>,
}

impl<K: Eq + Hash + Clone, V: Clone> Recent<K, V> {
    pub(super) fn new(entries_max: usize) -> Self {
        let generations = Mutex::new(Generations { young: HashMap::new(), old: HashMap::new() });
        Self { generation_max: (entries_max / 2).max(1), generations }
    }

    pub(super) fn get(&self, key: &K) -> Option<V> {
        let mut generations = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(value) = generations.young.get(key) {
            return Some(value.clone());
        }
        let (key, value) = generations.old.remove_entry(key)?;
        generations.insert(key, value.clone(), self.generation_max);
        Some(value)
    }

    pub(super) fn insert(&self, key: K, value: V) {
        let mut generations = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        generations.old.remove(&key);
        generations.insert(key, value, self.generation_max);
    }
}

impl<K: Eq + Hash, V> Generations<K, V> {
    fn insert(&mut self, key: K, value: V, generation_max: usize) {
        if self.young.len() >= generation_max && !self.young.contains_key(&key) {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_what_is_used_and_never_more_than_its_bound() {
        let recent = Recent::new(8);
        recent.insert(0, "often");
        for key in 1..100 {
            recent.insert(key, "once");
            assert_eq!(recent.get(&0), Some("often"), "after {key}");
            let generations = recent.generations.lock().unwrap();
            assert!(generations.young.len() + generations.old.len() <= 8);
        }
        assert_eq!(recent.get(&1), None);
        assert_eq!(recent.get(&99), Some("once"));
        recent.insert(99, "twice");
        assert_eq!(recent.get(&99), Some("twice"));
    }
}
