//! The fast engine and the slow one give the same values, on random people and every shipped model.
//!
//! Days, codes and words are drawn from narrow ranges, so that ties, window edges and empty fields happen often.

use std::collections::BTreeMap;

use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use riskstrat::code::System;
use riskstrat::day::{Day, Month};
use riskstrat::event::{AmountKind, Event, FieldKind, Streams};
use riskstrat::ingest::classify::{BLANK, IRRELEVANT, RowConcepts, ValueId, merge_concepts};
use riskstrat::measure::Attributes;
use riskstrat::measure::evaluate::Evaluator;
use riskstrat::measure::plan::{Concept, Plan, set_bit};
use riskstrat::measure::rehospitalisation;
use riskstrat::measure::slow::{Slow, SlowEvent};
use riskstrat::model::library::Library;
use riskstrat::model::{Model, Predicate, Sex};
use riskstrat::number::Micro;
use riskstrat::timeline::{Dealt, Row, Timelines};

use crate::models::{LibraryTables, library, model, streams};

struct Person {
    birth: Option<Month>,
    sex: Option<Sex>,
    number: Option<i32>,
    word: Option<&'static str>,
}

impl Attributes for Person {
    fn birth(&self) -> Option<Month> {
        self.birth
    }

    fn sex(&self) -> Option<Sex> {
        self.sex
    }

    fn number(&self, _: &str) -> Option<i32> {
        self.number
    }

    fn word(&self, _: &str) -> Option<&str> {
        self.word
    }
}

/// Values to draw each stream's fields from: those that models ask about, and others.
struct Vocabulary(BTreeMap<(String, String), Vec<String>>);

impl Vocabulary {
    fn new(streams: &Streams, library: &Library) -> Vocabulary {
        let mut values = BTreeMap::new();
        for (stream, of) in &streams.streams {
            for (field, kind) in &of.fields {
                values.insert((stream.clone(), field.clone()), values_of(kind, library));
            }
        }
        Vocabulary(values)
    }
}

fn values_of(kind: &FieldKind, library: &Library) -> Vec<String> {
    match kind {
        FieldKind::Words(words) => words.clone(),
        FieldKind::Text => ["01", "RVV", "RWF", "RPA", "XYZ", "300", "500", "502"].map(str::to_owned).into(),
        _ => {
            let systems: Vec<&str> = kind.systems().iter().map(|system| system.name()).collect();
            let mut codes = Vec::new();
            for text in library.data_files.values().filter(|text| text.file.starts_with("codelists/")) {
                let lines = text.text.lines().skip(2).filter_map(|line| line.split_once(','));
                let of_system = lines.filter(|(system, _)| systems.contains(system));
                codes.extend(of_system.filter_map(|(_, rest)| rest.split(',').next().map(str::to_owned)));
            }
            let mut normal = Vec::new();
            codes.retain_mut(|code| {
                let is_code =
                    kind.systems()[0].normalise(code.as_bytes(), &mut normal) == riskstrat::code::Normalised::Code;
                *code = String::from_utf8_lossy(&normal).into_owned();
                is_code
            });
            codes.sort();
            codes.dedup();
            codes
        }
    }
}

fn random_event(rng: &mut ChaCha8Rng, streams: &Streams, vocabulary: &Vocabulary, as_of: Day) -> SlowEvent {
    let names: Vec<&String> = streams.streams.keys().collect();
    let name = names[rng.random_range(0..names.len())];
    let stream = &streams.streams[name];
    let edges = [0, 1, 29, 30, 31, 89, 90, 91, 180, 181, 365, 366, 730, 731, -1];
    let age = if rng.random_bool(0.6) { edges[rng.random_range(0..edges.len())] } else { rng.random_range(-5..900) };
    let mut fields = BTreeMap::new();
    for field in stream.fields.keys() {
        let known = &vocabulary.0[&(name.clone(), field.clone())];
        let many = if matches!(field.as_str(), "diagnosis" | "investigation" | "procedure") {
            rng.random_range(0..4)
        } else {
            1
        };
        // A few values over and over, so that distinct counts meet repeats.
        let few = known.len().min(if rng.random_bool(0.5) { 6 } else { known.len() });
        let value = |rng: &mut ChaCha8Rng| match few == 0 || rng.random_bool(0.1) {
            true => String::new(),
            false => known[rng.random_range(0..few)].clone(),
        };
        fields.insert(field.clone(), (0..many).map(|_| value(rng)).collect());
    }
    SlowEvent {
        stream: name.clone(),
        fields,
        day: as_of.0 - age,
        days: match rng.random_range(0..4) {
            0 => 0,
            1 => Event::OPEN,
            _ => rng.random_range(0..60),
        },
        amount: if stream.amount == AmountKind::None || rng.random_bool(0.1) {
            Event::NO_AMOUNT
        } else {
            rng.random_range(0..160) * 1_000
        },
        known_after: if rng.random_bool(0.2) { rng.random_range(0..60) } else { 0 },
    }
}

/// The same few medicines month after month, some of them known only after those of the months that follow.
fn repeat_prescriptions(rng: &mut ChaCha8Rng, as_of: Day) -> Vec<SlowEvent> {
    let codes = ["0212000B0AAABAB", "0601022B0AAAVAV", "0403030D0AAAAAA", "0301011R0AAAPAP"];
    let prescription = |rng: &mut ChaCha8Rng| SlowEvent {
        stream: "prescription".to_owned(),
        fields: BTreeMap::from([("code".to_owned(), vec![codes[rng.random_range(0..codes.len())].to_owned()])]),
        day: as_of.0 - rng.random_range(0..150),
        days: 0,
        amount: Event::NO_AMOUNT,
        known_after: [0, 0, 0, 35, 70][rng.random_range(0..5)],
    };
    (0..rng.random_range(3..20)).map(|_| prescription(rng)).collect()
}

/// The concepts of slow events, by the classifier that batches go through.
struct Classifier<'a> {
    plan: &'a Plan,
    library: &'a Library,
    tables: Vec<RowConcepts>,
    values: Vec<Box<[u8]>>,
}

impl<'a> Classifier<'a> {
    fn new(plan: &'a Plan, library: &'a Library, streams: &Streams) -> Classifier<'a> {
        let table = |(number, stream): (usize, &riskstrat::measure::plan::StreamPlan)| {
            let system = |field: &str| -> Option<System> {
                streams.streams[&stream.name].fields[field].systems().first().copied()
            };
            let systems: Vec<_> = stream.fields.iter().map(|field| system(&field.name)).collect();
            RowConcepts::new(number, stream, &systems)
        };
        let tables = plan.streams.iter().enumerate().map(table).collect();
        Classifier { plan, library, tables, values: vec![Box::default()] }
    }

    fn concept(&mut self, event: &SlowEvent) -> Option<(usize, u32)> {
        let stream = self.plan.stream(&event.stream)?;
        let mut row = Vec::new();
        let mut columns = Vec::new();
        for (place, field) in self.plan.streams[stream].fields.iter().enumerate() {
            for value in event.fields.get(&field.name).into_iter().flatten() {
                let known = self.values.iter().position(|known| &**known == value.as_bytes());
                row.push(known.unwrap_or_else(|| {
                    self.values.push(value.as_bytes().into());
                    self.values.len() - 1
                }) as ValueId);
                columns.push(place);
            }
        }
        assert_eq!(BLANK, 0, "an empty value is blank");
        let values = &self.values;
        let concept =
            self.tables[stream].work_out(&row, &columns, &|_, value| values[value as usize].clone(), self.library);
        (concept != IRRELEVANT).then_some((stream, concept))
    }
}

#[test]
fn the_fast_and_the_slow_engine_agree_on_random_people_and_every_shipped_model() {
    let library = library();
    let streams = streams(&library);
    let models: Vec<Model> = library.models.keys().map(|id| model(&library, &streams, id)).collect();
    let plan = Plan::new(&models, &[], &streams);
    let vocabulary = Vocabulary::new(&streams, &library);
    let as_of = Day::parse(b"2016-03-01").unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(41);
    let people = 250;
    let mut slow_events: Vec<Vec<SlowEvent>> = Vec::new();
    let mut persons: Vec<Person> = Vec::new();
    for _ in 0..people {
        let many = rng.random_range(0..80);
        let mut events: Vec<SlowEvent> =
            (0..many).map(|_| random_event(&mut rng, &streams, &vocabulary, as_of)).collect();
        if rng.random_bool(0.4) {
            events.extend(repeat_prescriptions(&mut rng, as_of));
        }
        slow_events.push(events);
        persons.push(random_person(&mut rng));
    }
    let mut classifier = Classifier::new(&plan, &library, &streams);
    let mut rows: Vec<(usize, Row)> = Vec::new();
    for (person, events) in slow_events.iter().enumerate() {
        for event in events {
            if let Some((stream, concept)) = classifier.concept(event) {
                let event = Event {
                    day: event.day,
                    concept,
                    amount: event.amount,
                    days: event.days,
                    known_after: event.known_after,
                };
                rows.push((stream, Row { person: person as u32, event }));
            }
        }
    }
    let tables: Vec<&[_]> = classifier.tables.iter().map(|table| &table.concepts[..]).collect();
    let (concepts, places) = merge_concepts(&tables);
    let chunk = rows.into_iter().map(|(stream, mut row)| {
        row.event.concept = places[stream][row.event.concept as usize];
        row
    });
    let timelines = Timelines::build(people, vec![(chunk.collect::<Dealt>(), None)]);
    let operations = plan.operations(&concepts, &library, &LibraryTables(&library));
    let evaluator = Evaluator::new(&plan, &operations);
    let mut scratch = evaluator.scratch();
    let tables = LibraryTables(&library);
    let slow = Slow { library: &library, streams: &streams, tables: &tables };
    let reaches: Vec<i32> = concepts.iter().map(|concept| plan.reach_days(concept)).collect();
    let can_anchor = operations.can_anchor();
    let alone: Vec<Plan> = (0..models.len()).map(|number| plan.alone(number)).collect();
    let operations_alone: Vec<_> =
        alone.iter().map(|plan| plan.operations(&concepts, &library, &LibraryTables(&library))).collect();
    let alone: Vec<_> = alone.iter().zip(&operations_alone).map(|(plan, of)| Evaluator::new(plan, of)).collect();
    let mut scratches: Vec<_> = alone.iter().map(Evaluator::scratch).collect();
    let (mut not_zero, mut passed_over, mut without_profile) = (0, 0, 0);
    for day in [as_of, Day(as_of.0 - 1), Day(as_of.0 + 30), Day(as_of.0 - 400)] {
        for (person, attributes) in persons.iter().enumerate() {
            evaluator.evaluate(timelines.of(person as u32), attributes, day, &mut scratch);
            for (model, planned) in models.iter().zip(&plan.models) {
                let expected = slow.terms(model, &slow_events[person], attributes, day);
                for ((term, node), expected) in model.terms.iter().zip(&planned.terms).zip(expected) {
                    let got = scratch.values[*node];
                    assert_eq!(got, expected, "model {}, term {}, person {person}, {day}", model.id, term.name);
                    not_zero += usize::from(got.is_true());
                }
            }
            // Nor does it matter whom a scratch was used for before.
            let mut fresh = evaluator.scratch();
            evaluator.evaluate(timelines.of(person as u32), attributes, day, &mut fresh);
            assert!(fresh.values == scratch.values, "person {person}, {day}");
            // What no model looks back to changes nothing when it is gone, nor does where anchors are looked for.
            let all = timelines.of(person as u32);
            let reaches_back = |event: &&Event| match reaches[event.concept as usize] {
                i32::MAX => true,
                days => event.day >= day.0 - days,
            };
            let kept: Vec<Event> = all.iter().filter(reaches_back).copied().collect();
            let anchors: Vec<Event> = kept.iter().filter(|event| can_anchor(event)).copied().collect();
            let expected = scratch.values.clone();
            evaluator.evaluate_anchored(&kept, &anchors, attributes, day, &mut scratch);
            let differs = scratch.values.iter().zip(&expected).position(|(kept, all)| kept != all);
            assert_eq!(differs.map(|node| &plan.nodes[node]), None, "person {person}, {day}");
            // A model's terms are the same where nothing else is worked out.
            for (number, (evaluator, scratch)) in alone.iter().zip(&mut scratches).enumerate() {
                evaluator.evaluate_anchored(&kept, &anchors, attributes, day, scratch);
                let values = |plan: &Plan, of: &[Micro], model: usize| -> Vec<Micro> {
                    plan.models[model].terms.iter().map(|&node| of[node]).collect()
                };
                let together = values(&plan, &expected, number);
                assert_eq!(values(evaluator.plan, &scratch.values, 0), together, "model {number}, person {person}");
            }
            passed_over += all.len() - kept.len();
            without_profile += usize::from(scratch.profile() == evaluator.profiles.len());
        }
    }
    let moved = follow(&evaluator, &timelines, &persons, as_of);
    assert!(moved > 10_000, "values move from day to day: {moved}");
    assert!(not_zero > 20_000, "the random people set terms off: {not_zero}");
    assert!(without_profile > 5, "some are not born yet or older than anybody: {without_profile}");
    assert!(passed_over > 500, "some events are too old to matter: {passed_over}");
}

/// Whoever is followed from day to day has on each day the values of somebody who is looked at for the first time, whether
/// the days are far apart or near, and no value is another that nobody says has moved. How many moved.
fn follow(evaluator: &Evaluator, timelines: &Timelines, persons: &[Person], as_of: Day) -> usize {
    let plan = evaluator.plan;
    let days =
        [-900, -400, -200, -199, -170, -31, -1, 0, 1, 2, 30, 31, 61, 92, 400, 800].map(|days| Day(as_of.0 + days));
    let (mut followed, mut fresh) = (evaluator.scratch_for(days.len()), evaluator.scratch());
    let mut moved = 0;
    for (person, attributes) in persons.iter().enumerate() {
        let events = timelines.of(person as u32);
        let mut before: Vec<Micro> = Vec::new();
        for (number, day) in days.into_iter().enumerate() {
            let moment = evaluator.moment_with(day, evaluator.operations.look_ups.clone(), number);
            match number {
                0 => evaluator.begin::<true>(events, events, attributes, &moment, &mut followed),
                _ => evaluator.move_on(events, events, attributes, &moment, &mut followed),
            }
            evaluator.evaluate(events, attributes, day, &mut fresh);
            let differs = followed.values.iter().zip(&fresh.values).position(|(followed, fresh)| followed != fresh);
            assert_eq!(differs.map(|node| &plan.nodes[node]), None, "person {person}, {day}");
            assert!(followed.profile() == fresh.profile() && followed.changed().eq(fresh.changed()), "person {person}");
            for (model, planned) in plan.models.iter().enumerate() {
                let nodes = planned.terms.iter().chain(&planned.requires);
                let others = nodes.filter(|&&node| before.get(node).is_some_and(|then| *then != fresh.values[node]));
                let others = others.count();
                assert!(others == 0 || followed.has_moved(model), "model {model}, person {person}, {day}");
                moved += others;
            }
            before.clone_from(&fresh.values);
        }
    }
    moved
}

/// Windows of the Combined Predictive Model: bronchodilators up to 730 days back, medicines in a month up to 90 and the
/// month that the first of them lies in. Readmission ratios look at all admissions, whatever windows models have on them.
#[test]
fn an_event_reaches_as_far_back_as_the_furthest_window_that_it_can_count_in() {
    let library = library();
    let streams = streams(&library);
    let models = [model(&library, &streams, "cpm"), model(&library, &streams, "person_facts")];
    let reach = |plan: &Plan, stream: &str, wanted: &dyn Fn(&Predicate) -> bool| {
        let stream = plan.stream(stream).unwrap();
        let predicates = &plan.streams[stream].predicates;
        let mut mask = vec![0; predicates.len().div_ceil(64)].into_boxed_slice();
        let met = predicates.iter().enumerate().filter(|(_, predicate)| wanted(predicate));
        met.for_each(|(bit, _)| set_bit(&mut mask, bit));
        assert!(mask.iter().any(|word| *word != 0), "some predicate is wanted");
        plan.reach_days(&Concept { stream: stream as u32, mask, codes: Box::new([]) })
    };
    let alone = Plan::new(&models[..1], &[], &streams);
    let text = |predicate: &Predicate| format!("{:?}", predicate.conditions);
    assert_eq!(reach(&alone, "prescription", &|predicate| text(predicate).contains("bronchodilator")), 730);
    assert_eq!(reach(&alone, "prescription", &|predicate| text(predicate).contains("Prefix")), 90 + 31);
    assert_eq!(reach(&alone, "prescription", &|_| true), 730);
    let [any, emergency] = rehospitalisation::predicates();
    let without = Plan::new(&models, &[any.clone(), emergency.clone()], &streams);
    for admission in [any, emergency] {
        assert_eq!(reach(&without, "admission", &|predicate| *predicate == admission), i32::MAX);
    }
}

fn random_person(rng: &mut ChaCha8Rng) -> Person {
    let sexes = [None, Some(Sex::Male), Some(Sex::Female)];
    Person {
        birth: rng.random_bool(0.9).then(|| Month::new(1890 + (rng.next_u32() % 127) as i32, 1 + rng.next_u32() % 12)),
        sex: sexes[rng.random_range(0..3)],
        number: rng.random_bool(0.8).then(|| rng.random_range(0..90) * 1_000),
        word: [None, Some("A"), Some("J")][rng.random_range(0..3)],
    }
}
