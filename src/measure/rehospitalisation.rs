//! How often each provider's patients come back as an emergency, over how often they should.
//!
//! Indirect standardisation: the expected number is what the whole area's rates by age and sex would give for the
//! provider's own mix of discharges. Worked out once a run and as-of day from the timelines; all counts are whole
//! numbers and the ratio is a fixed-point number, so it does not depend on threads.

use std::collections::BTreeMap;

use rayon::prelude::*;

use crate::day::{Day, Window};
use crate::event::Event;
use crate::model::library::Table;
use crate::model::{Condition, Expression, Measure, Model, Predicate, Sex, Take};
use crate::number::{Micro, divide_rounded};
use crate::person::Spine;
use crate::timeline::Timelines;

use super::plan::{Concept, Plan, has_bit};

/// Discharges that count, by the age of the discharge at the as-of day.
///
/// # Boundaries
/// The nearest 30 days are left out, so that every discharge has had its 30 days.
const DISCHARGES: Window = Window { after_days: 30, up_to_days: 730 };
const READMISSION_DAYS: i32 = 30;
/// With fewer expected readmissions than this, the ratio is 1.
pub const FEWEST_EXPECTED: i64 = 20;
/// 18 of five years, one from 90 on, one for people of unknown age.
const AGE_BANDS: usize = 20;
const STRATA: usize = AGE_BANDS * 3;
const UNIT: i128 = 1_000_000_000;

/// Whether any model looks its values up here.
pub fn is_needed(models: &[Model]) -> bool {
    let is_table =
        |measure: &Measure| matches!(&measure.take, Take::LookUp { table, .. } if table == Table::REHOSPITALISATION);
    models.iter().any(|model| {
        let values = model.values.iter().map(|value| &value.expression);
        values.chain(model.terms.iter().map(|term| &term.expression)).filter_map(Expression::measure).any(is_table)
    })
}

/// The predicates that have to be in the plan: any admission, and an emergency admission.
pub fn predicates() -> [Predicate; 2] {
    let emergency = BTreeMap::from([("method".to_owned(), Condition::Words(vec!["emergency".to_owned()]))]);
    let admission = |conditions| Predicate { stream: "admission".to_owned(), conditions };
    [admission(BTreeMap::new()), admission(emergency)]
}

/// One provider's line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Provider {
    pub discharges: u64,
    pub readmissions: u64,
    /// In units of 1e-9 readmissions.
    pub expected: i128,
}

impl Provider {
    pub fn ratio(&self) -> Micro {
        if self.expected < i128::from(FEWEST_EXPECTED) * UNIT {
            return Micro::ONE;
        }
        Micro(divide_rounded(i128::from(self.readmissions) * 1_000_000 * UNIT, self.expected) as i64)
    }
}

type Tally = BTreeMap<(u32, usize), (u64, u64)>;

/// The admissions of everybody, taken from the timelines once for any number of as-of days.
#[derive(Debug, Default)]
pub struct Admissions {
    /// Provider codes, in order.
    codes: Vec<Box<[u8]>>,
    /// For each concept that is an admission: its provider, and whether it is an emergency.
    kinds: Vec<Option<(u32, bool)>>,
    /// People with admissions, in order, and where theirs end in `events`.
    people: Vec<(u32, u32)>,
    events: Vec<Event>,
}

/// People, each with the end of theirs, and admissions.
type PartOfThem = (Vec<(u32, u32)>, Vec<Event>);

impl Admissions {
    /// None yet; empty too where the plan has no admissions, or does not keep their providers.
    pub fn new(plan: &Plan, concepts: &[Concept]) -> Admissions {
        let [any, emergency] = predicates();
        let (Some((stream, any)), Some((_, emergency))) = (plan.predicate(&any), plan.predicate(&emergency)) else {
            return Admissions::default();
        };
        let Some(code) = plan.code_place(stream, "provider") else { return Admissions::default() };
        let of_stream = concepts.iter().filter(|concept| concept.stream as usize == stream);
        let mut codes: Vec<Box<[u8]>> = of_stream.map(|concept| concept.codes[code].clone()).collect();
        codes.sort_unstable();
        codes.dedup();
        let kind = |concept: &Concept| {
            let is_admission = concept.stream as usize == stream && has_bit(&concept.mask, any);
            let place = || codes.binary_search(&concept.codes[code]).expect("collected above") as u32;
            is_admission.then(|| (place(), has_bit(&concept.mask, emergency)))
        };
        let kinds = concepts.iter().map(kind).collect();
        Admissions { codes, kinds, people: Vec::new(), events: Vec::new() }
    }

    /// Adds the admissions of the people of some timelines, who follow those that are there.
    pub fn take(&mut self, timelines: &Timelines) {
        if self.kinds.is_empty() {
            return;
        }
        let kinds = &self.kinds;
        // The concepts of a stream are numbered one after another.
        let first = kinds.iter().position(Option::is_some).unwrap_or(kinds.len()) as u32;
        let end = kinds.iter().rposition(Option::is_some).map_or(first, |last| last as u32 + 1);
        let is_admission =
            |event: &&Event| (first..end).contains(&event.concept) && kinds[event.concept as usize].is_some();
        let parts: Vec<PartOfThem> = timelines
            .numbers()
            .into_par_iter()
            .with_min_len(1 << 13)
            .fold(PartOfThem::default, |(mut people, mut events), person| {
                let before = events.len();
                events.extend(timelines.of(person).iter().filter(is_admission));
                if events.len() > before {
                    people.push((person, events.len() as u32));
                }
                (people, events)
            })
            .collect();
        for (people, mut events) in parts {
            let before = self.events.len() as u32;
            self.people.extend(people.into_iter().map(|(person, end)| (person, before + end)));
            self.events.append(&mut events);
        }
    }

    /// The line of every provider as known on a day, by provider code.
    ///
    /// # Missing
    /// People of unknown age or sex are strata of their own.
    pub fn providers(&self, spine: &Spine, as_of: Day) -> BTreeMap<String, Provider> {
        let of = |place: usize| {
            let from = if place == 0 { 0 } else { self.people[place - 1].1 };
            &self.events[from as usize..self.people[place].1 as usize]
        };
        let tally = (0..self.people.len())
            .into_par_iter()
            .with_min_len(1 << 13)
            .fold(Tally::new, |mut tally, place| {
                tally_person(&self.kinds, spine, of(place), self.people[place].0, as_of, &mut tally);
                tally
            })
            .reduce(Tally::new, add);
        standardise(&self.codes, &tally)
    }
}

/// The line of every provider, by provider code, from the timelines of everybody.
pub fn providers(
    plan: &Plan,
    concepts: &[Concept],
    spine: &Spine,
    timelines: &Timelines,
    as_of: Day,
) -> BTreeMap<String, Provider> {
    let mut admissions = Admissions::new(plan, concepts);
    admissions.take(timelines);
    admissions.providers(spine, as_of)
}

fn tally_person(
    kinds: &[Option<(u32, bool)>],
    spine: &Spine,
    events: &[Event],
    person: u32,
    as_of: Day,
    tally: &mut Tally,
) {
    for event in events.iter().filter(|event| event.is_known_on(as_of.0)) {
        let Some((provider, _)) = kinds[event.concept as usize] else { continue };
        let Some(end) = event.end_day().filter(|end| DISCHARGES.holds(as_of.0 - end)) else { continue };
        if spine.deaths[person as usize].is_some_and(|death| death.0 <= end) {
            continue;
        }
        let is_readmitted = events.iter().any(|later| {
            let days = later.day - end;
            let is_later = later.day > event.day && (0..=READMISSION_DAYS).contains(&days);
            is_later && later.is_known_on(as_of.0) && matches!(kinds[later.concept as usize], Some((_, true)))
        });
        let (discharges, readmissions) = tally.entry((provider, stratum(spine, person, Day(end)))).or_default();
        *discharges += 1;
        *readmissions += u64::from(is_readmitted);
    }
}

/// Five-year age bands up to 90 and over, by sex.
fn stratum(spine: &Spine, person: u32, day: Day) -> usize {
    let age =
        spine.births[person as usize].map_or(AGE_BANDS as i32 - 1, |birth| birth.age_years_on(day).clamp(0, 90) / 5);
    let sex = match spine.sexes[person as usize] {
        Some(Sex::Male) => 0,
        Some(Sex::Female) => 1,
        None => 2,
    };
    (age as usize).min(AGE_BANDS - 1) * 3 + sex
}

fn add(mut one: Tally, two: Tally) -> Tally {
    for (key, (discharges, readmissions)) in two {
        let sums = one.entry(key).or_default();
        *sums = (sums.0 + discharges, sums.1 + readmissions);
    }
    one
}

fn standardise(codes: &[impl AsRef<[u8]>], tally: &Tally) -> BTreeMap<String, Provider> {
    let mut strata = [(0u64, 0u64); STRATA];
    for ((_, stratum), (discharges, readmissions)) in tally {
        strata[*stratum].0 += discharges;
        strata[*stratum].1 += readmissions;
    }
    let mut providers: BTreeMap<String, Provider> = BTreeMap::new();
    for ((provider, stratum), (discharges, readmissions)) in tally {
        let (all, all_readmitted) = strata[*stratum];
        let expected = divide_rounded(i128::from(*discharges) * i128::from(all_readmitted) * UNIT, i128::from(all));
        let name = String::from_utf8_lossy(codes[*provider as usize].as_ref()).into_owned();
        let line = providers.entry(name).or_insert(Provider { discharges: 0, readmissions: 0, expected: 0 });
        line.discharges += discharges;
        line.readmissions += readmissions;
        line.expected += expected;
    }
    providers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_is_observed_over_what_the_areas_rates_would_give() {
        // Stratum 0: 300 discharges, 60 readmitted: 20 %. Stratum 3: 100 discharges, 50 readmitted: 50 %.
        // A has 100 and 100: expected 100 x 0.2 + 100 x 0.5 = 70; observed 35 + 50 = 85; ratio 85 / 70 = 1.214286.
        // B has 200 and none: expected 40; observed 25; ratio 0.625.
        let tally = Tally::from([((0, 0), (100, 35)), ((0, 3), (100, 50)), ((1, 0), (200, 25))]);
        let providers = standardise(&[b"A", b"B"], &tally);
        assert_eq!(providers["A"].ratio().to_string(), "1.214286");
        assert_eq!(providers["B"].ratio().to_string(), "0.625");
    }

    #[test]
    fn with_fewer_than_twenty_expected_the_ratio_is_one() {
        let line = |expected| Provider { discharges: 50, readmissions: 40, expected };
        assert_eq!(line(20 * UNIT - 1).ratio(), Micro::ONE);
        assert_eq!(line(20 * UNIT).ratio(), Micro::whole(2));
    }
}
