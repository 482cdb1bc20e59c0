//! What an event does to the measures that it counts for.

use super::super::plan::{Act, Operation, set_bit};
use super::nodes::Read;
use super::{Evaluator, NEVER, Scratch};
use crate::day::Day;
use crate::event::Event;

impl Evaluator<'_> {
    #[inline]
    pub(super) fn take(&self, event: &Event, operations: &[Operation], as_of: Day, scratch: &mut Scratch) {
        for operation in operations {
            if operation.is_by_month() {
                self.count_in_month(operation, event, scratch);
                continue;
            }
            if operation.asks & Operation::ASKS != 0 && !self.is_asked_for(event, operation, &scratch.windows) {
                continue;
            }
            set_bit(&mut scratch.touched, usize::from(operation.measure));
            self.act(operation, event, as_of, scratch);
        }
    }

    /// Whether an event has the amount and the day that an operation asks for.
    #[inline]
    pub(super) fn is_asked_for(&self, event: &Event, operation: &Operation, windows: &[(i32, i32)]) -> bool {
        let measure = operation.measure as usize;
        let (min, max) = self.operations.amounts[measure];
        let (first, last) = windows[self.operations.window_of[measure] as usize];
        (operation.asks & Operation::AMOUNT == 0 || (min..=max).contains(&event.amount))
            && (operation.asks & Operation::WINDOW == 0 || (first..=last).contains(&event.day))
    }

    #[inline]
    pub(super) fn act(&self, operation: &Operation, event: &Event, as_of: Day, scratch: &mut Scratch) {
        let (measure, place) = (operation.measure as usize, operation.place as usize);
        let seen = &mut scratch.seen[measure];
        match operation.act {
            Act::Count | Act::Any | Act::Sum | Act::Distinct | Act::Weight => {
                self.act_as_count(operation, event, 1, scratch);
            }
            Act::Days => seen.sum += days_within(event, scratch.windows[self.operations.window_of[measure] as usize]),
            Act::Cost => seen.sum += cost_within(event, scratch.windows[self.operations.window_of[measure] as usize]),
            Act::Latest if event.amount != Event::NO_AMOUNT => {
                // Of several on one day, the largest.
                if event.day > seen.last || i64::from(event.amount) > seen.sum {
                    seen.sum = event.amount.into();
                }
                seen.last = event.day;
            }
            // `sum` is the highest amount of the last day, `count` that of the day with an amount before it.
            Act::LatestTwo if event.amount != Event::NO_AMOUNT => {
                if event.day == seen.last {
                    seen.sum = seen.sum.max(event.amount.into());
                } else {
                    seen.count = if seen.last == NEVER { Event::NO_AMOUNT } else { seen.sum as i32 };
                    (seen.last, seen.sum) = (event.day, event.amount.into());
                }
            }
            Act::Latest | Act::LatestTwo => {}
            Act::Last => seen.last = event.day,
            Act::DistinctDays => {
                seen.sum += i64::from(event.day != seen.last);
                seen.last = event.day;
            }
            Act::MaxPerMonth => {
                let month = scratch.months.of(event.day).0;
                if month != seen.last {
                    (seen.last, seen.count) = (month, 0);
                }
                seen.count += i32::from(stamp(&mut scratch.stamps[place], scratch.round << 16 | month as u64));
                seen.sum = seen.sum.max(seen.count.into());
            }
            Act::LookUp => {
                // Of several on one day, the last in code order.
                if event.day > seen.last || i64::from(operation.place) > seen.sum {
                    seen.sum = operation.place.into();
                }
                seen.last = event.day;
            }
            Act::Resolved => (seen.sum, seen.count) = (event.day.into(), 1),
            Act::LastIs | Act::LastIsNot => {
                let is_one = operation.act == Act::LastIs;
                seen.sum = i64::from(is_one || (event.day == seen.last && seen.sum == 1));
                seen.last = event.day;
            }
            Act::Open => {
                if event.end_day().is_none_or(|end| end > as_of.0) {
                    seen.sum = 1;
                }
            }
        }
    }

    /// Counts an event so many times more for a measure that follows from which events count.
    #[inline]
    pub(super) fn act_as_count(&self, operation: &Operation, event: &Event, times: i32, scratch: &mut Scratch) {
        let place = operation.place as usize;
        let seen = &mut scratch.seen[usize::from(operation.measure)];
        let mut first_or_last = || {
            let held = &mut scratch.held[place];
            if times > 0 && *held == 0 {
                scratch.held_places.push(operation.place);
            }
            *held = held.checked_add_signed(times).expect("what leaves had come");
            i64::from(*held == u32::from(times > 0)) * i64::from(times)
        };
        match operation.act {
            Act::Count | Act::Any => seen.sum += i64::from(times),
            Act::Sum if event.amount == Event::NO_AMOUNT => {}
            Act::Sum => {
                seen.sum += i64::from(times) * i64::from(event.amount);
                seen.count += times;
            }
            Act::Distinct => seen.sum += first_or_last(),
            Act::Weight => seen.sum += first_or_last() * self.operations.weights[place],
            _ => unreachable!("other measures are worked out anew"),
        }
    }

    /// Counts an event in its month, unless its code was counted there.
    pub(super) fn count_in_month(&self, operation: &Operation, event: &Event, scratch: &mut Scratch) {
        let measure = usize::from(operation.measure);
        let (min, max) = self.operations.amounts[measure];
        if operation.asks & Operation::AMOUNT != 0 && !(min..=max).contains(&event.amount) {
            return;
        }
        let Read::MaxOfMonths(slot) = self.readings[measure].read else { unreachable!("it counts by month") };
        set_bit(&mut scratch.touched, measure);
        let month = scratch.months.of(event.day).0;
        let stamp = scratch.months_round << 16 | month as u64;
        let known = &mut scratch.stamps[operation.place as usize];
        if *known >= stamp {
            scratch.is_disordered |= *known > stamp;
            return;
        }
        *known = stamp;
        let months = &mut scratch.months_of[slot as usize];
        match months.iter_mut().rev().find(|(known, _)| *known == month) {
            Some((_, codes)) => *codes += 1,
            None => months.push((month, 1)),
        }
    }
}

/// Whether this is the first time this round.
fn stamp(known: &mut u64, round: u64) -> bool {
    let is_first = *known != round;
    *known = round;
    is_first
}

/// What an interval costs between two days, both included, in sevenths of a penny.
fn cost_within(event: &Event, (first, last): (i32, i32)) -> i64 {
    match i64::from(event.amount) {
        _ if event.amount == Event::NO_AMOUNT => 0,
        once if once < 0 => -7 * once * i64::from((first..=last).contains(&event.day)),
        weekly => weekly * days_within(event, (first, last)),
    }
}

/// Days of the interval from its first day up to before its end, that lie in the window.
fn days_within(event: &Event, (first, last): (i32, i32)) -> i64 {
    let end = event.end_day().unwrap_or(i32::MAX);
    (i64::from(end.min(last.saturating_add(1))) - i64::from(event.day.max(first))).max(0)
}
