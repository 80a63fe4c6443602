//! A hashed timer wheel: arming and cancelling cost the same few nanoseconds for one entry and for a million.
//!
//! Time is cut into ticks. An entry hangs in the slot of its tick, modulo the number of slots; a slot may
//! hold entries of later rounds. Deadlines are rounded up to a tick, so nothing fires early.

use std::time::Duration;

use crate::clock::Monotonic;

/// Names an armed entry. A key of an entry that fired or was cancelled is stale and does nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    index: u32,
    generation: u32,
}

/// Entries of type `T` by deadline.
#[derive(Debug)]
pub struct Wheel<T> {
    tick_ms: u64,
    slots: Vec<Slot>,
    entries: Vec<Entry<T>>,
    free: Vec<u32>,
    /// All ticks up to this one have fired.
    done_tick: u64,
    armed: usize,
}

#[derive(Debug, Clone)]
struct Slot {
    members: Vec<u32>,
    /// No member is due before this tick. It may be too early after a cancellation, never too late.
    earliest_tick: u64,
}

#[derive(Debug)]
struct Entry<T> {
    generation: u32,
    /// Where it hangs, if it is armed.
    place: Option<Place>,
    payload: Option<T>,
}

#[derive(Debug, Clone, Copy)]
struct Place {
    tick: u64,
    /// Position among the slot's members.
    position: u32,
}

impl<T> Wheel<T> {
    /// A wheel with `slots` slots (a power of two) of `tick` each.
    #[must_use]
    pub fn new(tick: Duration, slots: usize) -> Self {
        assert!(slots.is_power_of_two(), "slots are found by masking");
        Self {
            tick_ms: u64::try_from(tick.as_millis()).unwrap_or(u64::MAX).max(1),
            slots: vec![Slot { members: Vec::new(), earliest_tick: u64::MAX }; slots],
            entries: Vec::new(),
            free: Vec::new(),
            done_tick: 0,
            armed: 0,
        }
    }

    /// How many entries are armed.
    #[must_use]
    pub fn len(&self) -> usize {
        self.armed
    }

    /// True if no entry is armed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.armed == 0
    }

    /// Arms an entry. A deadline that has passed fires at the next [`Wheel::expire`].
    pub fn arm(&mut self, deadline: Monotonic, payload: T) -> Key {
        let tick = deadline.0.div_ceil(self.tick_ms).max(self.done_tick + 1);
        let index = self.free.pop().unwrap_or_else(|| {
            self.entries.push(Entry { generation: 0, place: None, payload: None });
            u32::try_from(self.entries.len() - 1).unwrap_or(u32::MAX)
        });
        let slot_index = self.slot_of(tick);
        let slot = &mut self.slots[slot_index];
        let position = u32::try_from(slot.members.len()).unwrap_or(u32::MAX);
        slot.members.push(index);
        slot.earliest_tick = slot.earliest_tick.min(tick);
        let entry = &mut self.entries[index as usize];
        entry.place = Some(Place { tick, position });
        entry.payload = Some(payload);
        self.armed += 1;
        Key { index, generation: entry.generation }
    }

    /// Takes an entry out before it fires. None if it has fired or was cancelled before.
    pub fn cancel(&mut self, key: Key) -> Option<T> {
        let entry = self.entries.get(key.index as usize)?;
        if entry.generation != key.generation {
            return None;
        }
        let place = entry.place?;
        Some(self.remove(key.index, place))
    }

    /// When the worker has to look again: the earliest moment at which an entry may be due.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Monotonic> {
        if self.armed == 0 {
            return None;
        }
        let tick = self.slots.iter().map(|slot| slot.earliest_tick).min()?;
        Some(Monotonic(tick.saturating_mul(self.tick_ms)))
    }

    /// Moves everything that is due at `now` into `fired`, earliest tick first.
    pub fn expire(&mut self, now: Monotonic, fired: &mut Vec<T>) {
        let now_tick = now.0 / self.tick_ms;
        if now_tick <= self.done_tick {
            return;
        }
        let mut due: Vec<(u64, u32)> = Vec::new();
        for slot_index in 0..self.slots.len() {
            if self.slots[slot_index].earliest_tick <= now_tick {
                self.collect_due(slot_index, now_tick, &mut due);
            }
        }
        due.sort_unstable();
        for (_, index) in due {
            if let Some(place) = self.entries[index as usize].place {
                fired.push(self.remove(index, place));
            }
        }
        self.done_tick = now_tick;
    }

    fn collect_due(&mut self, slot_index: usize, now_tick: u64, due: &mut Vec<(u64, u32)>) {
        let mut earliest = u64::MAX;
        for &index in &self.slots[slot_index].members {
            let Some(place) = self.entries[index as usize].place else { continue };
            if place.tick <= now_tick {
                due.push((place.tick, index));
            } else {
                earliest = earliest.min(place.tick);
            }
        }
        self.slots[slot_index].earliest_tick = earliest;
    }

    fn remove(&mut self, index: u32, place: Place) -> T {
        let slot_index = self.slot_of(place.tick);
        let slot = &mut self.slots[slot_index];
        slot.members.swap_remove(place.position as usize);
        if let Some(&moved) = slot.members.get(place.position as usize)
            && let Some(moved_place) = &mut self.entries[moved as usize].place
        {
            moved_place.position = place.position;
        }
        let slot = &mut self.slots[slot_index];
        if slot.members.is_empty() {
            slot.earliest_tick = u64::MAX;
        }
        let entry = &mut self.entries[index as usize];
        entry.place = None;
        entry.generation = entry.generation.wrapping_add(1);
        self.free.push(index);
        self.armed -= 1;
        entry.payload.take().expect("an armed entry has a payload")
    }

    fn slot_of(&self, tick: u64) -> usize {
        let mask = self.slots.len() as u64 - 1;
        usize::try_from(tick & mask).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn wheel() -> Wheel<u64> {
        Wheel::new(Duration::from_millis(10), /*slots*/ 8)
    }

    fn expire(wheel: &mut Wheel<u64>, now_ms: u64) -> Vec<u64> {
        let mut fired = Vec::new();
        wheel.expire(Monotonic(now_ms), &mut fired);
        fired
    }

    #[test]
    fn nothing_fires_early_and_order_is_by_time() {
        let mut wheel = wheel();
        wheel.arm(Monotonic(25), /*payload*/ 25);
        wheel.arm(Monotonic(11), /*payload*/ 11);
        assert_eq!(wheel.next_deadline(), Some(Monotonic(20)));
        assert!(expire(&mut wheel, /*now_ms*/ 19).is_empty());
        assert_eq!(expire(&mut wheel, /*now_ms*/ 20), [11]);
        assert!(expire(&mut wheel, /*now_ms*/ 29).is_empty());
        assert_eq!(expire(&mut wheel, /*now_ms*/ 30), [25]);
        assert!(wheel.is_empty() && wheel.next_deadline().is_none());
    }

    #[test]
    fn an_entry_of_a_later_round_stays() {
        let mut wheel = wheel();
        wheel.arm(Monotonic(1_800_000), /*payload*/ 1);
        assert_eq!(wheel.next_deadline(), Some(Monotonic(1_800_000)), "no wakeup once per round");
        assert!(expire(&mut wheel, /*now_ms*/ 1_799_999).is_empty());
        assert_eq!(expire(&mut wheel, /*now_ms*/ 1_800_000), [1]);
    }

    #[test]
    fn a_stale_key_does_nothing() {
        let mut wheel = wheel();
        let first = wheel.arm(Monotonic(10), /*payload*/ 1);
        assert_eq!(wheel.cancel(first), Some(1));
        let second = wheel.arm(Monotonic(10), /*payload*/ 2);
        assert_eq!(wheel.cancel(first), None);
        assert_eq!(expire(&mut wheel, /*now_ms*/ 10), [2]);
        assert_eq!(wheel.cancel(second), None);
    }

    #[test]
    fn a_deadline_in_the_past_fires_at_the_next_look() {
        let mut wheel = wheel();
        assert!(expire(&mut wheel, /*now_ms*/ 500).is_empty());
        wheel.arm(Monotonic(3), /*payload*/ 1);
        assert_eq!(expire(&mut wheel, /*now_ms*/ 510), [1]);
    }

    /// Random arms, cancels and moves of time against an ordered map as the model.
    #[test]
    fn it_behaves_like_an_ordered_map() {
        for seed in 1..=50_u64 {
            let mut random = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
            let mut next = |below: u64| {
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                random % below
            };
            let (mut wheel, mut model, mut keys) = (wheel(), BTreeMap::new(), Vec::new());
            let mut now = 0;
            for step in 0..400 {
                match next(10) {
                    0..=5 => {
                        let deadline = now + next(400);
                        let tick = deadline.div_ceil(10).max(now / 10 + 1);
                        keys.push((wheel.arm(Monotonic(deadline), step), tick, step));
                        model.insert((tick, step), step);
                    }
                    6..=7 if !keys.is_empty() => {
                        let at = usize::try_from(next(keys.len() as u64)).expect("small");
                        let (key, tick, step) = keys.swap_remove(at);
                        assert_eq!(wheel.cancel(key), model.remove(&(tick, step)), "seed {seed}");
                    }
                    _ => {
                        now += next(120);
                        let mut fired = expire(&mut wheel, now);
                        let later = model.split_off(&(now / 10 + 1, 0));
                        let mut due: Vec<u64> = std::mem::replace(&mut model, later).into_values().collect();
                        fired.sort_unstable();
                        due.sort_unstable();
                        assert_eq!(fired, due, "seed {seed} at {now}");
                    }
                }
                assert_eq!(wheel.len(), model.len(), "seed {seed}");
                let expected = model.keys().next().map(|&(tick, _)| tick * 10);
                let found = wheel.next_deadline().map(|at| at.0);
                assert!(found <= expected && found.is_some() == expected.is_some(), "seed {seed}");
            }
        }
    }
}
