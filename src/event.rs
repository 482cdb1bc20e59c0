//! Streams and events: what the rows of all sources become.
//!
//! A stream is a name and its fields, given by layouts: nothing here lists them. An [`Event`] is sixteen bytes: its
//! day, its concept and two numbers. The concept says what the row is, as far as any model asks.

use std::collections::BTreeMap;

use crate::code::System;

/// One thing that happened to a person.
///
/// # Units
/// `day`: days since 1970-01-01. `days`: length of stay or of service; [`Event::OPEN`] means it goes on. `amount`:
/// pence, or a measured value in thousandths, as its stream says. `known_after`: days from the event to its recording.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(C)]
pub struct Event {
    pub day: i32,
    pub concept: u32,
    pub amount: i32,
    pub days: u16,
    pub known_after: u16,
}

impl Event {
    pub const OPEN: u16 = u16::MAX;
    /// What `amount` holds where the row has no amount; no measured value is this small.
    pub const NO_AMOUNT: i32 = i32::MIN;

    /// The first day after the interval, or `None` where it goes on.
    pub fn end_day(&self) -> Option<i32> {
        (self.days != Event::OPEN).then(|| self.day + i32::from(self.days))
    }

    /// One number that orders events: by day, concept, amount, days and recording. Comparing it takes no branch.
    #[inline]
    pub fn key(&self) -> u128 {
        const SIGN: u32 = 1 << 31;
        let (day, amount) = (self.day as u32 ^ SIGN, self.amount as u32 ^ SIGN);
        let later = u128::from(self.days) << 16 | u128::from(self.known_after);
        u128::from(day) << 96 | u128::from(self.concept) << 64 | u128::from(amount) << 32 | later
    }

    /// The event with this [`Event::key`].
    #[inline]
    pub fn of_key(key: u128) -> Event {
        const SIGN: u32 = 1 << 31;
        let word = |bits: u32| (key >> bits) as u32;
        let (day, amount) = ((word(96) ^ SIGN) as i32, (word(32) ^ SIGN) as i32);
        Event { day, concept: word(64), amount, days: (word(0) >> 16) as u16, known_after: word(0) as u16 }
    }

    /// Whether it had happened and been recorded before the day.
    #[inline]
    pub fn is_known_on(&self, day: i32) -> bool {
        self.day + i32::from(self.known_after) < day
    }
}

impl Ord for Event {
    #[inline]
    fn cmp(&self, other: &Event) -> std::cmp::Ordering {
        self.key().cmp(&other.key())
    }
}

impl PartialOrd for Event {
    #[inline]
    fn partial_cmp(&self, other: &Event) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// What an event's `amount` counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AmountKind {
    None,
    Pence,
    /// Of intervals: pence for each week; negative, pence once, on the first day.
    PencePerWeek,
    Thousandths,
}

/// What a field of a stream may hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FieldKind {
    /// One of these words, in order.
    Words(Vec<String>),
    /// Any text, told apart as it stands.
    Text,
    /// A code of this system.
    Code(System),
    /// A code of any of these systems: the layouts of different sources differ.
    Codes(Vec<System>),
}

impl FieldKind {
    pub fn systems(&self) -> &[System] {
        match self {
            FieldKind::Code(system) => std::slice::from_ref(system),
            FieldKind::Codes(systems) => systems,
            FieldKind::Words(_) | FieldKind::Text => &[],
        }
    }

    /// What a field holds when two layouts fill it.
    fn merged(&self, other: &FieldKind) -> FieldKind {
        match (self, other) {
            (FieldKind::Words(one), FieldKind::Words(two)) => {
                let mut words: Vec<_> = one.iter().chain(two).cloned().collect();
                words.sort();
                words.dedup();
                FieldKind::Words(words)
            }
            (FieldKind::Text, _) | (_, FieldKind::Text) => FieldKind::Text,
            (one, two) => {
                let mut systems = [one.systems(), two.systems()].concat();
                systems.sort();
                systems.dedup();
                if let [system] = systems[..] { FieldKind::Code(system) } else { FieldKind::Codes(systems) }
            }
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stream {
    pub fields: BTreeMap<String, FieldKind>,
    pub amount: AmountKind,
    pub is_interval: bool,
    /// Fields that may hold several codes in one event, which therefore cannot be told apart by code.
    pub several: std::collections::BTreeSet<String>,
    /// Each practice sends its own part, or does not; else the feed covers everybody.
    pub by_practice: bool,
}

/// The streams that layouts provide, by name, and what the register says of a person.
#[derive(Debug, Clone, Default)]
pub struct Streams {
    pub streams: BTreeMap<String, Stream>,
    /// Numbers about a person, such as `imd_score`.
    pub numbers: Vec<String>,
    /// Words about a person, such as `ethnicity`.
    pub words: Vec<String>,
}

impl Streams {
    /// Adds a stream, or what another layout adds to it.
    pub fn add(&mut self, name: &str, stream: Stream) {
        let Some(known) = self.streams.get_mut(name) else {
            self.streams.insert(name.to_owned(), stream);
            return;
        };
        for (field, kind) in stream.fields {
            let merged = known.fields.get(&field).map_or(kind.clone(), |known| known.merged(&kind));
            known.fields.insert(field, merged);
        }
        known.is_interval |= stream.is_interval;
        known.by_practice |= stream.by_practice;
        known.several.extend(stream.several);
        if known.amount == AmountKind::None {
            known.amount = stream.amount;
        }
    }

    pub fn add_person_columns<'a>(
        &mut self,
        numbers: impl Iterator<Item = &'a String>,
        words: impl Iterator<Item = &'a String>,
    ) {
        self.numbers.extend(numbers.cloned());
        self.words.extend(words.cloned());
        for names in [&mut self.numbers, &mut self.words] {
            names.sort();
            names.dedup();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Event;

    #[test]
    fn an_event_comes_back_from_its_key_and_keys_are_in_the_order_of_events() {
        let numbers = [i32::MIN, -1, 0, 1, i32::MAX];
        let mut events = Vec::new();
        for day in numbers {
            for concept in [0, 7, u32::MAX] {
                for amount in numbers {
                    let days = [(0, 0), (0, Event::OPEN), (1, 2), (Event::OPEN, 0)];
                    events.extend(days.map(|(days, known_after)| Event { day, concept, amount, days, known_after }));
                }
            }
        }
        let of = |event: &Event| (event.day, event.concept, event.amount, event.days, event.known_after);
        assert!(events.is_sorted_by_key(of) && events.is_sorted_by_key(Event::key));
        assert!(events.iter().all(|event| Event::of_key(event.key()) == *event));
    }
}
