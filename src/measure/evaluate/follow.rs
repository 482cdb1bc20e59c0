//! From one as-of day of a person to a later one.

use super::super::Attributes;
use super::super::plan::{Operation, has_bit, set_bit};
use super::{Evaluator, Moment, NOTHING, Scratch, ones};
use crate::day::Day;
use crate::event::Event;

/// Where an event of the person at hand stands at the last as-of day.
#[derive(Debug, Clone, Copy)]
pub(super) struct Aged {
    /// The first later as-of day on which it does something else.
    pub(super) until: i32,
    /// [`NOT_YET`] of what had not happened or was not known.
    pub(super) age: u16,
    /// Whether it counts for a measure that is worked out anew, and for one for which that is done on each day.
    pub(super) is_anew: bool,
    pub(super) is_restless: bool,
}

pub(super) const NOT_YET: u16 = u16::MAX;

impl Aged {
    pub(super) fn not_yet(event: &Event) -> Aged {
        let until = event.day.saturating_add(i32::from(event.known_after)).saturating_add(1);
        Aged { until, age: NOT_YET, is_anew: false, is_restless: false }
    }
}

impl Evaluator<'_> {
    /// Fills `scratch.values` for a later as-of day of a person who is followed, with the same events.
    pub fn move_on(
        &self,
        events: &[Event],
        anchors_among: &[Event],
        person: &impl Attributes,
        moment: &Moment,
        scratch: &mut Scratch,
    ) {
        let as_of = moment.as_of;
        scratch.moved.fill(0);
        scratch.moved_models = 0;
        scratch.is_new = false;
        scratch.flipped.clear();
        self.place_windows(anchors_among, moment, scratch);
        let mut is_restless = false;
        for (place, event) in events.iter().enumerate() {
            if scratch.aged[place].until <= as_of.0 {
                self.age(event, place, as_of, scratch);
            }
            is_restless |= scratch.aged[place].is_restless;
        }
        self.work_out_anew(events, is_restless, as_of, scratch);
        if std::mem::take(&mut scratch.is_disordered) {
            self.count_months_anew(events, scratch);
        }
        for (moved, (touched, read_anew)) in scratch.moved.iter_mut().zip(scratch.touched.iter().zip(&self.read_anew)) {
            *moved |= touched & read_anew;
        }
        if self.profile(person, moment) == Some(scratch.profile) {
            scratch.open.fill(0);
            self.open_measures(|scratch| &scratch.moved, scratch);
            self.finish(person, moment, scratch);
        } else {
            self.forget_nodes(scratch);
            self.take_profile(person, moment, scratch);
            self.open_all(scratch);
            self.finish(person, moment, scratch);
            scratch.mark_as_new();
        }
    }

    /// Where an event stands that has this age.
    #[inline]
    pub(super) fn aged(&self, event: &Event, age: usize) -> Aged {
        let (until, asks) = self.operations.until(event, age);
        Aged {
            until,
            age: age as u16,
            is_anew: asks & Operation::ANEW != 0,
            is_restless: asks & Operation::RESTLESS != 0,
        }
    }

    /// Lets an event do what it does on this as-of day, in place of what it did on the one before.
    pub(super) fn age(&self, event: &Event, place: usize, as_of: Day, scratch: &mut Scratch) {
        let before = match scratch.aged[place].age {
            NOT_YET => &[],
            age => self.operations.of(event.concept, age.into()),
        };
        let age = self.operations.age_of(as_of.0 - event.day).expect("it is known, so that it has happened");
        let now = self.operations.of(event.concept, age);
        scratch.aged[place] = self.aged(event, age);
        // Both are stretches of what the concept ever does, in one order.
        let (mut before, mut now) = (before, now);
        loop {
            match (before, now) {
                ([left, rest @ ..], [other, others @ ..]) if left == other => (before, now) = (rest, others),
                ([left, rest @ ..], _) if !now.contains(left) => {
                    self.count(event, left, -1, scratch);
                    before = rest;
                }
                (_, [entered, others @ ..]) => {
                    self.count(event, entered, 1, scratch);
                    now = others;
                }
                ([left, rest @ ..], []) => {
                    self.count(event, left, -1, scratch);
                    before = rest;
                }
                ([], []) => break,
            }
        }
    }

    /// Counts an event once more, or once less, for a measure that follows from which events count.
    pub(super) fn count(&self, event: &Event, operation: &Operation, times: i32, scratch: &mut Scratch) {
        let measure = usize::from(operation.measure);
        if operation.is_by_month() {
            if times > 0 {
                self.count_in_month(operation, event, scratch);
            }
            return;
        }
        if operation.is_anew() {
            return set_bit(&mut scratch.again, measure);
        }
        if !self.is_asked_for(event, operation, &scratch.windows) {
            return;
        }
        set_bit(&mut scratch.touched, measure);
        set_bit(&mut scratch.moved, measure);
        self.act_as_count(operation, event, times, scratch);
    }

    /// Works out the measures that do not follow from what they were: those of which other events count, and the restless
    /// ones, where there is `any`.
    pub(super) fn work_out_anew(&self, events: &[Event], mut any: bool, as_of: Day, scratch: &mut Scratch) {
        for word in 0..scratch.again.len() {
            any |= scratch.again[word] != 0;
            let again = (scratch.again[word] | self.restless[word]) & scratch.touched[word];
            scratch.again[word] |= self.restless[word];
            scratch.moved[word] |= again;
            ones(&[again]).for_each(|bit| scratch.seen[word * 64 + bit] = NOTHING);
        }
        if any {
            scratch.round += 1;
            for (place, event) in events.iter().enumerate() {
                let Aged { age, is_anew: true, .. } = scratch.aged[place] else { continue };
                for operation in self.operations.of(event.concept, age.into()) {
                    let measure = usize::from(operation.measure);
                    if has_bit(&scratch.again, measure) && self.is_asked_for(event, operation, &scratch.windows) {
                        set_bit(&mut scratch.touched, measure);
                        set_bit(&mut scratch.moved, measure);
                        self.act(operation, event, as_of, scratch);
                    }
                }
            }
        }
        scratch.again.fill(0);
    }

    /// Counts months from all events, where they did not come in order.
    pub(super) fn count_months_anew(&self, events: &[Event], scratch: &mut Scratch) {
        scratch.round += 1;
        scratch.months_round = scratch.round;
        scratch.months_of.iter_mut().for_each(Vec::clear);
        for (place, event) in events.iter().enumerate() {
            let age = scratch.aged[place].age;
            let operations = if age == NOT_YET { &[] } else { self.operations.of(event.concept, age.into()) };
            for operation in operations.iter().filter(|operation| operation.is_by_month()) {
                self.count_in_month(operation, event, scratch);
            }
        }
    }
}
