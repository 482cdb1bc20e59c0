//! From a person's spells to events: one for each admission and episode, one for each distinct code and position.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use super::super::classify::{self, FieldConditions, IRRELEVANT, ValueId};
use super::super::events::Context;
use super::{
    ADMISSION, CODE, CONTINUOUS_SPELL, Cell, DIAGNOSIS, EPISODE, Episode, FieldValues, POSITION, PROCEDURE,
    SpellReader, discharge_of, follows, last_of,
};
use crate::event::Event;
use crate::measure::plan::{Concept, Mask, StreamPlan};
use crate::model::library::Library;
use crate::timeline::{Dealt, Row, Spill};

/// Where a field of one of the streams gets its values from.
///
/// Nothing comes from a later episode than the event is known from: a past as-of date must not see the future.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum From {
    /// This layout field, of the spell's first episode.
    First(usize),
    /// This layout field, of the episode itself.
    Own(usize),
    /// The one code of a `diagnosis` or `procedure` event, which is a value of this layout field.
    Code(usize),
    Position,
    Nowhere,
}

/// How the events of one stream are made.
pub(super) struct StreamEmitter {
    stream: u32,
    full: Mask,
    fields: Vec<(From, usize)>,
    /// For each field: the predicates that each value meets, without their `not`.
    masks: Vec<Vec<Mask>>,
    conditions: Vec<FieldConditions>,
}

pub(super) struct Emitter<'a> {
    context: Context<'a>,
    admission: Option<StreamEmitter>,
    pub continuous: Option<StreamEmitter>,
    episode: Option<StreamEmitter>,
    coded: Vec<CodedEmitter>,
    values: &'a FieldValues,
    /// The columns of each field, which stand beside each other.
    columns: Vec<Range<u16>>,
}

/// A stream with one event for each distinct code and position of a spell.
struct CodedEmitter {
    stream: StreamEmitter,
    field: usize,
    /// The field column that holds the code which comes first.
    first_column: usize,
}

/// The values of the field `position`.
const POSITIONS: [&str; 2] = ["primary", "secondary"];

impl<'a> Emitter<'a> {
    pub fn new(reader: &'a SpellReader, values: &'a FieldValues) -> Emitter<'a> {
        let from = |stream: &str, field: &str| match (stream, field) {
            (DIAGNOSIS, CODE) => reader.field("diagnosis").map_or(From::Nowhere, From::Code),
            (PROCEDURE, CODE) => reader.field("procedure").map_or(From::Nowhere, From::Code),
            (DIAGNOSIS, POSITION) => From::Position,
            // An episode is told by its own columns, but how the stay began by those of the first.
            (EPISODE, "method" | "source" | "patient_class") => reader.field(field).map_or(From::Nowhere, From::First),
            (EPISODE, _) => reader.field(field).map_or(From::Nowhere, From::Own),
            _ => reader.field(field).map_or(From::Nowhere, From::First),
        };
        let stream = |name: &str| {
            let number = reader.context.plan.stream(name)?;
            let plan = &reader.context.plan.streams[number];
            let sources = plan.fields.iter().map(|field| (from(name, &field.name), field.characters)).collect();
            Some(StreamEmitter::new(number, plan, sources, reader, values))
        };
        let coded = [(DIAGNOSIS, "diagnosis"), (PROCEDURE, "procedure")].into_iter().filter_map(|(name, field)| {
            let field = reader.field(field)?;
            let first_column = reader.field_columns.iter().position(|(of, _)| *of == field)?;
            Some(CodedEmitter { stream: stream(name)?, field, first_column })
        });
        let columns_of = |field: usize| {
            let place = |upto: usize| reader.field_columns.partition_point(|(of, _)| *of < upto) as u16;
            place(field)..place(field + 1)
        };
        Emitter {
            context: reader.context,
            admission: stream(ADMISSION),
            continuous: stream(CONTINUOUS_SPELL),
            episode: stream(EPISODE),
            coded: coded.collect(),
            values,
            columns: (0..reader.layout.fields.len()).map(columns_of).collect(),
        }
    }
}

impl StreamEmitter {
    fn new(
        number: usize,
        plan: &StreamPlan,
        fields: Vec<(From, usize)>,
        reader: &SpellReader,
        values: &FieldValues,
    ) -> StreamEmitter {
        let library: &Library = reader.context.library;
        let layout_field = |from: From| match from {
            From::First(place) | From::Own(place) | From::Code(place) => Some(place),
            From::Position | From::Nowhere => None,
        };
        let conditions: Vec<FieldConditions> = plan
            .fields
            .iter()
            .zip(&fields)
            .map(|(field, (from, _))| {
                let system =
                    layout_field(*from).and_then(|place| classify::code_system(reader.layout.fields[place].system));
                FieldConditions::new(&field.name, system, &plan.predicates)
            })
            .collect();
        let masks = conditions
            .iter()
            .zip(&fields)
            .map(|(conditions, (from, _))| match (from, layout_field(*from)) {
                (From::Position, _) => {
                    POSITIONS.iter().map(|word| conditions.met_by(word.as_bytes(), library)).collect()
                }
                (_, Some(place)) => {
                    values.values[place].iter().map(|value| conditions.met_by(value, library)).collect()
                }
                (_, None) => Vec::new(),
            })
            .collect();
        StreamEmitter { stream: number as u32, full: classify::full_mask(plan), fields, masks, conditions }
    }
}

/// Rows and concepts that one thread makes of spells.
pub(super) struct Part {
    pub concepts: Vec<Concept>,
    numbers: BTreeMap<Concept, u32>,
    /// By concept: the first day that some date of the run looks back to.
    first_days: Vec<i32>,
    /// Concepts by what they were worked out from.
    known: hashbrown::HashMap<Vec<ValueId>, u32>,
    /// The same of coded events: by what is said besides the code, which is the same for all codes of a spell, then by
    /// code and position.
    besides_codes: hashbrown::HashMap<Vec<ValueId>, u32>,
    of_codes: hashbrown::HashMap<(u32, ValueId, u32), u32>,
    key: Vec<ValueId>,
    pub rows: Dealt,
    codes: Vec<(ValueId, u32, i32)>,
    /// Used episodes of each person, in no stated order.
    pub rows_of_people: Vec<(u32, u32)>,
    pub copies: u64,
}

impl Part {
    pub fn new(spill: Option<&Arc<Spill>>) -> Part {
        Part {
            concepts: Vec::new(),
            numbers: BTreeMap::new(),
            first_days: Vec::new(),
            known: hashbrown::HashMap::new(),
            besides_codes: hashbrown::HashMap::new(),
            of_codes: hashbrown::HashMap::new(),
            key: Vec::new(),
            rows: Dealt::spilling(spill),
            codes: Vec::new(),
            rows_of_people: Vec::new(),
            copies: 0,
        }
    }

    pub fn emit<'e>(&mut self, emitter: &Emitter, spell: &[Episode], content: &impl Fn(&Episode) -> &'e [Cell]) {
        let (first, person) = (&spell[0], spell[0].person);
        let day = first.admission;
        let discharged = discharge_of(spell);
        let stay = (discharged - day).clamp(0, i32::from(Event::OPEN) - 1) as u16;
        let known_after = |until: i32| (until - day).clamp(0, i32::from(u16::MAX)) as u16;
        let event = |concept, days, known_after| Event { day, concept, amount: Event::NO_AMOUNT, days, known_after };
        let amount = total(spell.iter().map(|episode| episode.amount));
        let first_cells = content(first);
        if let Some(stream) = &emitter.admission {
            let cells = Cells { first: first_cells, own: first_cells, code: None };
            let concept = self.concept(emitter, stream, &cells);
            if concept != IRRELEVANT {
                let admission = event(concept, stay, known_after(first.end));
                self.push(emitter, person, Event { amount, ..admission });
            }
        }
        if let Some(stream) = &emitter.episode {
            for episode in spell {
                let cells = Cells { first: first_cells, own: content(episode), code: None };
                let concept = self.concept(emitter, stream, &cells);
                if concept != IRRELEVANT {
                    let days = (episode.end - episode.start).clamp(0, i32::from(Event::OPEN) - 1) as u16;
                    self.push(emitter, person, event(concept, days, known_after(episode.end)));
                }
            }
        }
        for coded in &emitter.coded {
            self.collect_codes(emitter, coded, spell, content);
            let besides = self.besides_code(emitter, &coded.stream, first_cells);
            let mut codes = std::mem::take(&mut self.codes);
            for (code, position, until) in codes.drain(..) {
                let concept = match self.of_codes.get(&(besides, code, position)) {
                    Some(concept) => *concept,
                    None => {
                        let cells = Cells { first: first_cells, own: first_cells, code: Some((code, position)) };
                        let concept = self.concept(emitter, &coded.stream, &cells);
                        self.of_codes.insert((besides, code, position), concept);
                        concept
                    }
                };
                if concept != IRRELEVANT {
                    self.push(emitter, person, event(concept, 0, known_after(until)));
                }
            }
            self.codes = codes;
        }
    }

    /// One event for each continuous spell: what its first spell says, from its first day to the last discharge.
    pub fn emit_continuous<'e>(
        &mut self,
        emitter: &Emitter,
        stream: &StreamEmitter,
        mut spells: Vec<&[Episode]>,
        content: &impl Fn(&Episode) -> &'e [Cell],
    ) {
        let place = |spell: &[Episode]| (spell[0].admission, spell[0].start, last_of(spell).end, spell[0].key);
        spells.sort_by(|one, two| place(one).cmp(&place(two)).then_with(|| content(&one[0]).cmp(content(&two[0]))));
        for stay in spells.chunk_by(|before, next| follows(before, next)) {
            let first = &stay[0][0];
            let cells = Cells { first: content(first), own: content(first), code: None };
            let concept = self.concept(emitter, stream, &cells);
            if concept != IRRELEVANT {
                let day = first.admission;
                let discharged = stay.iter().map(|spell| discharge_of(spell)).max().expect("a stay has a spell");
                let amounts = stay.iter().copied().flatten().map(|episode| episode.amount);
                let event = Event {
                    day,
                    concept,
                    amount: total(amounts),
                    days: (discharged - day).clamp(0, i32::from(Event::OPEN) - 1) as u16,
                    known_after: (first.end - day).clamp(0, i32::from(u16::MAX)) as u16,
                };
                self.push(emitter, first.person, event);
            }
        }
    }

    /// The distinct codes and positions of a spell, and when the first episode with each had ended: a code is not
    /// known before.
    fn collect_codes<'e>(
        &mut self,
        emitter: &Emitter,
        coded: &CodedEmitter,
        spell: &[Episode],
        content: &impl Fn(&Episode) -> &'e [Cell],
    ) {
        for episode in spell {
            for cell in of_columns(content(episode), &emitter.columns[coded.field]) {
                let position = u32::from(usize::from(cell.column) != coded.first_column);
                self.codes.push((cell.value, position, episode.end));
            }
        }
        self.codes.sort_unstable();
        self.codes.dedup_by_key(|(code, position, _)| (*code, *position));
    }

    /// Keeps an event, or counts it where no date of the run looks back to it.
    fn push(&mut self, emitter: &Emitter, person: u32, event: Event) {
        let known = self.first_days.len();
        self.first_days.extend(self.concepts[known..].iter().map(|concept| emitter.context.first_day_of(concept)));
        match event.day < self.first_days[event.concept as usize] {
            true => self.rows.pass_over(event.concept),
            false => self.rows.push(Row { person, event }),
        }
    }

    /// A number for what a spell says of its coded events besides their codes.
    fn besides_code(&mut self, emitter: &Emitter, stream: &StreamEmitter, first_cells: &[Cell]) -> u32 {
        let cells = Cells { first: first_cells, own: first_cells, code: None };
        let mut key = std::mem::take(&mut self.key);
        key.clear();
        key.push(stream.stream);
        for (from, _) in &stream.fields {
            cells.of(*from, &emitter.columns, &mut key);
            key.push(ValueId::MAX);
        }
        let next = self.besides_codes.len() as u32;
        let number = match self.besides_codes.get(&key) {
            Some(number) => *number,
            None => *self.besides_codes.entry(key.clone()).or_insert(next),
        };
        self.key = key;
        number
    }

    /// The concept of one event, looked up by the values that decide it.
    fn concept(&mut self, emitter: &Emitter, stream: &StreamEmitter, cells: &Cells) -> u32 {
        let mut key = std::mem::take(&mut self.key);
        key.clear();
        key.push(stream.stream);
        for ((from, characters), masks) in stream.fields.iter().zip(&stream.masks) {
            let start = key.len();
            cells.of(*from, &emitter.columns, &mut key);
            // Of several values, those that no predicate asks about decide nothing, but for being there.
            if *characters == 0 && key.len() > start + 1 {
                let is_asked = |value: &ValueId| masks[*value as usize].iter().any(|word| *word != 0);
                let first = key[start];
                let mut kept = start;
                for place in start..key.len() {
                    if is_asked(&key[place]) {
                        key[kept] = key[place];
                        kept += 1;
                    }
                }
                key.truncate(kept);
                if kept == start {
                    key.push(first);
                }
            }
            key.push(ValueId::MAX);
        }
        let concept = match self.known.get(&key) {
            Some(concept) => *concept,
            None => {
                let concept = self.work_out(emitter, stream, &key);
                self.known.insert(key.clone(), concept);
                concept
            }
        };
        self.key = key;
        concept
    }

    fn work_out(&mut self, emitter: &Emitter, stream: &StreamEmitter, key: &[ValueId]) -> u32 {
        let mut by_field = key[1..].split(|value| *value == ValueId::MAX);
        let mut mask = stream.full.clone();
        let mut codes: Vec<Box<[u8]>> = Vec::new();
        for ((from, characters), (masks, conditions)) in
            stream.fields.iter().zip(stream.masks.iter().zip(&stream.conditions))
        {
            let found = by_field.next().expect("the key has a part for each field");
            conditions.narrow(found.iter().map(|value| &*masks[*value as usize]), &mut mask);
            if *characters > 0 {
                codes.push(match (found.first(), *from) {
                    (Some(value), from) => {
                        let field = match from {
                            From::First(field) | From::Own(field) | From::Code(field) => Some(field),
                            From::Position | From::Nowhere => None,
                        };
                        let code = field.map_or(&[][..], |field| &emitter.values.values[field][*value as usize]);
                        code[..code.len().min(*characters)].into()
                    }
                    (None, _) => Box::default(),
                });
            }
        }
        if mask.iter().all(|word| *word == 0) {
            return IRRELEVANT;
        }
        let concept = Concept { stream: stream.stream, mask, codes: codes.into_boxed_slice() };
        if let Some(number) = self.numbers.get(&concept) {
            return *number;
        }
        let number = self.concepts.len() as u32;
        self.concepts.push(concept.clone());
        self.numbers.insert(concept, number);
        number
    }
}

/// The cells of a spell that an event of it can draw on.
struct Cells<'a> {
    first: &'a [Cell],
    own: &'a [Cell],
    code: Option<(ValueId, u32)>,
}

impl Cells<'_> {
    /// Adds the values of a field to `out`.
    fn of(&self, from: From, columns: &[Range<u16>], out: &mut Vec<ValueId>) {
        let mut add = |cells: &[Cell], field: usize| {
            out.extend(of_columns(cells, &columns[field]).iter().map(|cell| cell.value));
        };
        match from {
            From::First(field) => add(self.first, field),
            From::Own(field) => add(self.own, field),
            From::Code(_) => out.extend(self.code.map(|(code, _)| code)),
            From::Position => out.extend(self.code.map(|(_, position)| position)),
            From::Nowhere => {}
        }
    }
}

/// The cells of some columns; cells are in the order of theirs.
fn of_columns<'c>(cells: &'c [Cell], columns: &Range<u16>) -> &'c [Cell] {
    let rest = &cells[cells.partition_point(|cell| cell.column < columns.start)..];
    &rest[..rest.iter().take_while(|cell| cell.column < columns.end).count()]
}

/// Amounts added up, where there are any.
fn total(amounts: impl Iterator<Item = i32>) -> i32 {
    let known = amounts.filter(|amount| *amount != Event::NO_AMOUNT);
    known.reduce(i32::saturating_add).unwrap_or(Event::NO_AMOUNT)
}
