//! The meaning of the language, in one plain loop: what a measure is over rows that were never classified.
//!
//! For tests: whatever `plan` and `evaluate` do to be fast, they have to agree with this. Nothing is shared with them
//! but the types of a model.

use std::collections::{BTreeMap, BTreeSet};

use crate::code::System;
use crate::day::Day;
use crate::event::{AmountKind, Event, Streams};
use crate::model::check::split_reference;
use crate::model::library::Library;
use crate::model::{Condition, Expression, Measure, Model, Predicate, Take};
use crate::number::Micro;

use super::Attributes;
use super::plan::Tables;

/// A row as it was read: its stream and the values of its fields, each a list since a field may have several columns.
#[derive(Debug, Clone)]
pub struct SlowEvent {
    pub stream: String,
    pub fields: BTreeMap<String, Vec<String>>,
    pub day: i32,
    pub days: u16,
    pub amount: i32,
    pub known_after: u16,
}

impl SlowEvent {
    fn end(&self) -> i64 {
        if self.days == Event::OPEN { i64::MAX } else { i64::from(self.day) + i64::from(self.days) }
    }

    fn is_known(&self, as_of: Day) -> bool {
        self.day + i32::from(self.known_after) < as_of.0
    }

    fn code(&self, field: &str, characters: usize) -> Option<String> {
        self.fields.get(field)?.iter().find(|code| !code.is_empty()).map(|code| code.chars().take(characters).collect())
    }
}

/// What the slow engine needs to know of a run.
pub struct Slow<'a> {
    pub library: &'a Library,
    pub streams: &'a Streams,
    pub tables: &'a dyn Tables,
}

impl Slow<'_> {
    /// The values of a model's terms, before and after their steps.
    pub fn terms(&self, model: &Model, events: &[SlowEvent], person: &dyn Attributes, as_of: Day) -> Vec<Micro> {
        let mut named: Vec<Micro> = Vec::new();
        for value in &model.values {
            let worked_out = self.expression(&value.expression, &named, events, person, as_of);
            named.push(worked_out);
        }
        model.terms.iter().map(|term| self.expression(&term.expression, &named, events, person, as_of)).collect()
    }

    fn expression(
        &self,
        expression: &Expression,
        named: &[Micro],
        events: &[SlowEvent],
        person: &dyn Attributes,
        as_of: Day,
    ) -> Micro {
        let mut leaf = |leaf: &Expression| match leaf {
            Expression::Measure(measure) => self.measure(measure, events, as_of),
            other => person.value(other, as_of),
        };
        expression.evaluate(&mut leaf, &|place| named[place])
    }

    /// One measure over all rows of a person.
    pub fn measure(&self, measure: &Measure, events: &[SlowEvent], as_of: Day) -> Micro {
        let known: Vec<&SlowEvent> = events.iter().filter(|event| event.is_known(as_of)).collect();
        let Some(reference) = self.reference(measure, &known, as_of) else {
            return super::evaluate::nothing_seen(&measure.take);
        };
        let of = |predicate: &Predicate, in_window: &dyn Fn(&SlowEvent) -> bool| -> Vec<&SlowEvent> {
            let meets = |event: &&&SlowEvent| self.meets(event, predicate) && in_window(event);
            known.iter().filter(meets).copied().collect()
        };
        let in_window = |event: &SlowEvent| measure.window.holds(reference - event.day);
        let in_range = |event: &&SlowEvent| measure.amount.is_none_or(|(min, max)| (min..=max).contains(&event.amount));
        let events: Vec<_> = of(&measure.events, &in_window).into_iter().filter(in_range).collect();
        let last_day = events.iter().map(|event| event.day).max();
        let on_last_day = || events.iter().filter(|event| Some(event.day) == last_day);
        let amounts =
            || events.iter().map(|event| event.amount).filter(|amount| *amount != Event::NO_AMOUNT).map(i64::from);
        let distinct = |field: &str, characters| {
            events.iter().filter_map(|event| event.code(field, characters)).collect::<BTreeSet<_>>().len() as i64
        };
        match &measure.take {
            Take::Count => Micro::whole(events.len() as i64),
            Take::Any => Micro::flag(!events.is_empty()),
            Take::Sum => self.in_unit(measure, amounts().sum()),
            Take::Mean => self.in_unit(measure, amounts().sum()).over(Micro::whole(amounts().count() as i64)),
            Take::SinceLast => last_day.map_or(Micro::MISSING, |day| Micro::whole((reference - day).into())),
            Take::DistinctDays => {
                Micro::whole(events.iter().map(|event| event.day).collect::<BTreeSet<_>>().len() as i64)
            }
            Take::Distinct { field, characters } => Micro::whole(distinct(field, *characters)),
            Take::LookUp { field, table, otherwise } => {
                let coded = events.iter().filter_map(|event| Some((event.day, event.code(field, usize::MAX)?)));
                match coded.max() {
                    Some((_, code)) => self.tables.value(table, &code).unwrap_or(*otherwise),
                    None => Micro::MISSING,
                }
            }
            Take::LastIs { also } => Micro::flag(on_last_day().any(|event| self.meets(event, also))),
            Take::Latest => {
                let valued: Vec<_> = events.iter().filter(|event| event.amount != Event::NO_AMOUNT).collect();
                let last = valued.iter().map(|event| (event.day, event.amount)).max();
                last.map_or(Micro::MISSING, |(_, amount)| self.in_unit(measure, amount.into()))
            }
            Take::HighestOfLastTwo => {
                let mut by_day: BTreeMap<i32, i32> = BTreeMap::new();
                for event in events.iter().filter(|event| event.amount != Event::NO_AMOUNT) {
                    let highest = by_day.entry(event.day).or_insert(event.amount);
                    *highest = event.amount.max(*highest);
                }
                let last_two: Vec<i32> = by_day.into_values().rev().take(2).collect();
                match last_two[..] {
                    [last, before] => self.in_unit(measure, last.max(before).into()),
                    _ => Micro::MISSING,
                }
            }
            Take::Unresolved { resolved } => {
                let resolved = of(resolved, &in_window).iter().map(|event| event.day).max();
                Micro::flag(last_day.is_some_and(|day| resolved.is_none_or(|resolved| day >= resolved)))
            }
            Take::Days => {
                let all = of(&measure.events, &|_| true);
                Micro::whole(all.iter().map(|event| self.days_within(event, measure, reference, as_of)).sum())
            }
            Take::Cost => {
                let cost = |event: &&SlowEvent| match event.amount {
                    Event::NO_AMOUNT => 0,
                    once if once < 0 => -7 * i64::from(once) * i64::from(in_window(event)),
                    weekly => i64::from(weekly) * self.days_within(event, measure, reference, as_of),
                };
                super::evaluate::in_pence(of(&measure.events, &|_| true).iter().map(cost).sum())
            }
            Take::Open => {
                Micro::flag(of(&measure.events, &|_| true).iter().any(|event| event.end() > i64::from(as_of.0)))
            }
            Take::WeightsOnce { field, list } => {
                let list = &self.library.code_lists[list];
                let codes = events.iter().filter_map(|event| event.code(field, usize::MAX));
                let categories: BTreeSet<u32> = codes
                    .flat_map(|code| {
                        System::ALL.into_iter().flat_map(move |system| list.categories_of(system, code.as_bytes()))
                    })
                    .collect();
                let weight = |category: &u32| list.categories[*category as usize].weight.unwrap_or_default().to_micro();
                categories.iter().map(weight).fold(Micro::ZERO, Micro::plus)
            }
            Take::MaxPerMonthOfDistinct { field, characters } => {
                let first = Day(reference.saturating_sub(measure.window.up_to_days)).month();
                let last = Day(reference - measure.window.after_days - 1).month();
                let touched = of(&measure.events, &|event| (first..=last).contains(&Day(event.day).month()));
                let mut months: BTreeMap<_, BTreeSet<String>> = BTreeMap::new();
                for event in touched {
                    months.entry(Day(event.day).month()).or_default().extend(event.code(field, *characters));
                }
                Micro::whole(months.values().map(BTreeSet::len).max().unwrap_or(0) as i64)
            }
        }
    }

    fn days_within(&self, event: &SlowEvent, measure: &Measure, reference: i32, as_of: Day) -> i64 {
        let days = i64::from(event.day)..event.end().min(as_of.0.into());
        days.filter(|day| measure.window.holds(reference - *day as i32)).count() as i64
    }

    fn reference(&self, measure: &Measure, known: &[&SlowEvent], as_of: Day) -> Option<i32> {
        let Some(anchor) = &measure.before else { return Some(as_of.0) };
        let is_anchor = |event: &&&SlowEvent| {
            let since = i64::from(as_of.0) - event.end();
            self.meets(event, &anchor.events) && (since <= 0 || anchor.ended.holds(since as i32))
        };
        known.iter().filter(is_anchor).map(|event| event.day).max()
    }

    fn in_unit(&self, measure: &Measure, sum: i64) -> Micro {
        match self.streams.streams[&measure.events.stream].amount {
            AmountKind::Thousandths => Micro::thousandths(sum),
            _ => Micro::whole(sum),
        }
    }

    fn meets(&self, event: &SlowEvent, predicate: &Predicate) -> bool {
        event.stream == predicate.stream
            && predicate.conditions.iter().all(|(field, condition)| {
                let values = event.fields.get(field).map_or(&[][..], |values| values);
                let values: Vec<_> = values.iter().filter(|value| !value.is_empty()).collect();
                match condition {
                    // None of the values is, and there is one.
                    Condition::Not(inner) => !values.is_empty() && !values.iter().any(|value| self.holds(inner, value)),
                    _ => values.iter().any(|value| self.holds(condition, value)),
                }
            })
    }

    fn holds(&self, condition: &Condition, value: &str) -> bool {
        match condition {
            Condition::Words(words) => words.iter().any(|word| word == value),
            Condition::Prefix(prefixes) => prefixes.iter().any(|prefix| value.starts_with(prefix)),
            Condition::Not(inner) => !self.holds(inner, value),
            Condition::In(references) => references.iter().any(|reference| {
                let (list, category) = split_reference(reference);
                let list = &self.library.code_lists[list];
                let mut found = System::ALL.into_iter().flat_map(|system| list.categories_of(system, value.as_bytes()));
                found.any(|place| category.is_none_or(|name| list.categories[place as usize].name == name))
            }),
        }
    }
}
