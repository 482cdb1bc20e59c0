//! From raw values to concepts, by look-up.
//!
//! Each distinct raw value of a field is brought to its normal form once and tried against the predicates once; after
//! that a row costs one look-up a column and one for the combination. Every thread has tables of its own; they are
//! merged into one order of concepts when all rows are read.

use std::collections::BTreeMap;

use anyhow::Result;
use arrow_array::ArrayRef;
use arrow_schema::DataType;
use hashbrown::HashTable;
use xxhash_rust::xxh3::xxh3_64;

use super::coded::Column;
use super::column::{KnownDictionary, for_each_text};
use super::layout::{self, FieldSystem};
use crate::code::{Normalised, System};
use crate::measure::plan::{Concept, Mask, StreamPlan, has_bit, set_bit};
use crate::model::check::split_reference;
use crate::model::library::{Library, Sensitive};
use crate::model::{Condition, Predicate};

/// What became of a raw value of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reading {
    Value,
    Blank,
    /// Not in the form of the field's coding system.
    Malformed,
    /// Not among the values that the layout knows.
    Unknown,
    /// A number that its dictionary lacks.
    NotInDictionary,
    /// On the list of sensitive codes: which one it was is not kept.
    Sensitive,
    /// A number that its dictionary knows, and has no code of the field's system for.
    OfAnotherSystem,
}

/// How a code is written that the normal form writes otherwise: a bit each.
pub type Spelling = u8;
pub const SMALL_LETTERS: Spelling = 1;
pub const DOT: Spelling = 2;
/// A dagger or an asterisk, which say what a disease is due to and what it shows as.
pub const MARK: Spelling = 4;

/// The number of a distinct value within one [`Values`].
pub type ValueId = u32;
/// The value of an empty cell.
pub const BLANK: ValueId = 0;

/// The distinct values of one field, as one thread has met them.
pub struct Values {
    field: layout::Field,
    /// Raw bytes to value; the bytes stand in `raw`.
    known: HashTable<(u32, u32, ValueId)>,
    raw: Vec<u8>,
    last_raw: (usize, usize, ValueId),
    /// Normal form and reading of each value.
    pub values: Vec<(Box<[u8]>, Reading)>,
    /// Whether one of them is neither a value nor blank.
    pub has_faults: bool,
    /// How each value was written; empty unless spellings are told apart.
    pub spellings: Vec<Spelling>,
    tells_spellings: bool,
    normal: BTreeMap<(Reading, Box<[u8]>, Spelling), ValueId>,
    words: BTreeMap<Vec<u8>, Box<[u8]>>,
    sensitive: Sensitive,
    buffer: Vec<u8>,
}

impl Values {
    pub fn new(field: &layout::Field, sensitive: &Sensitive) -> Values {
        let meanings = field.values.iter().flat_map(|(word, raws)| raws.iter().map(move |raw| (word, raw)));
        let mut words: BTreeMap<Vec<u8>, Box<[u8]>> =
            meanings.map(|(word, raw)| (comparable(field, raw.as_bytes()), word.as_bytes().into())).collect();
        for raw in &field.null {
            words.insert(comparable(field, raw.as_bytes()), Box::default());
        }
        Values {
            field: field.clone(),
            known: HashTable::new(),
            raw: Vec::new(),
            last_raw: (0, 0, BLANK),
            values: vec![(Box::default(), Reading::Blank)],
            has_faults: false,
            spellings: Vec::new(),
            tells_spellings: false,
            normal: BTreeMap::from([((Reading::Blank, Box::default(), 0), BLANK)]),
            words,
            sensitive: sensitive.clone(),
            buffer: Vec::new(),
        }
    }

    /// From here on a code in another spelling is another value, with the same normal form, so that rows can be counted by
    /// how their codes are written.
    pub fn tell_spellings(&mut self) {
        self.tells_spellings = true;
        self.spellings.resize(self.values.len(), 0);
    }

    /// The value of a raw cell.
    #[inline]
    pub fn of(&mut self, raw: Option<&[u8]>) -> ValueId {
        let Some(raw) = raw else { return BLANK };
        let (start, end, value) = self.last_raw;
        if &self.raw[start..end] == raw && !raw.is_empty() {
            return value;
        }
        let stored = &self.raw;
        let found = self.known.find(xxh3_64(raw), |&(start, end, _)| &stored[start as usize..end as usize] == raw);
        match found {
            Some(&(start, end, value)) => {
                self.last_raw = (start as usize, end as usize, value);
                value
            }
            None => self.meet(raw),
        }
    }

    #[cold]
    fn meet(&mut self, raw: &[u8]) -> ValueId {
        let (normal, reading) = self.normalise(raw);
        let next = self.values.len() as ValueId;
        let spelling = if self.tells_spellings && reading == Reading::Value { self.spelling_of(raw) } else { 0 };
        let value = *self.normal.entry((reading, normal.clone(), spelling)).or_insert(next);
        if value == next {
            self.values.push((normal, reading));
            if self.tells_spellings {
                self.spellings.push(spelling);
            }
            self.has_faults |= self.is_fault(value);
        }
        let start = self.raw.len();
        self.raw.extend_from_slice(raw);
        let stored = &self.raw;
        let hash = |&(start, end, _): &(u32, u32, ValueId)| xxh3_64(&stored[start as usize..end as usize]);
        self.known.insert_unique(xxh3_64(raw), (start as u32, self.raw.len() as u32, value), hash);
        value
    }

    /// How many cells hold one of the words that the layout reads as none.
    ///
    /// # Errors
    /// A column type that holds no words.
    pub fn stand_for_none(&self, array: &ArrayRef, name: &str) -> Result<u64> {
        let (mut cells, field) = (0, &self.field);
        if !field.null.is_empty() {
            let is_none = |text: &[u8]| field.null.iter().any(|none| text.eq_ignore_ascii_case(none.as_bytes()));
            for_each_text(&super::column::plain(array)?, name, |text| {
                cells += u64::from(text.is_some_and(|text| is_none(text.trim_ascii())));
            })?;
        }
        Ok(cells)
    }

    /// Whether something is to be said of a row with this value before its concept is asked for.
    pub fn is_fault(&self, value: ValueId) -> bool {
        !matches!(self.values[value as usize].1, Reading::Value | Reading::Blank)
    }

    fn spelling_of(&self, raw: &[u8]) -> Spelling {
        let raw = raw.trim_ascii();
        let is_marked = code_system(self.field.system) == Some(System::Icd10)
            && matches!(raw.last(), Some(b'A' | b'D' | b'a' | b'd'));
        let bit = |is_so: bool, bit: Spelling| if is_so { bit } else { 0 };
        bit(raw.iter().any(u8::is_ascii_lowercase), SMALL_LETTERS)
            | bit(raw.contains(&b'.'), DOT)
            | bit(is_marked, MARK)
    }

    fn normalise(&mut self, raw: &[u8]) -> (Box<[u8]>, Reading) {
        let compared = comparable(&self.field, raw);
        if compared.is_empty() {
            return (Box::default(), Reading::Blank);
        }
        if let Some(word) = self.words.get(&compared) {
            let reading = if word.is_empty() { Reading::Blank } else { Reading::Value };
            return (word.clone(), reading);
        }
        let Some(system) = code_system(self.field.system) else {
            let kept = compared.len().min(self.field.characters.unwrap_or(usize::MAX));
            return match self.field.system {
                FieldSystem::Words if self.field.others_missing => (Box::default(), Reading::Blank),
                FieldSystem::Words => (Box::default(), Reading::Unknown),
                _ => (compared[..kept].into(), Reading::Value),
            };
        };
        let code = match &self.field.entries {
            None => raw,
            Some(dictionary) => match dictionary.code_of(raw.trim_ascii()) {
                Some(b"") => return (Box::default(), Reading::OfAnotherSystem),
                Some(code) => code,
                None => return (Box::default(), Reading::NotInDictionary),
            },
        };
        match system.normalise(code, &mut self.buffer) {
            Normalised::Code if self.sensitive.has(system, &self.buffer) => (Box::default(), Reading::Sensitive),
            Normalised::Code => {
                let kept = self.buffer.len().min(self.field.characters.unwrap_or(usize::MAX));
                (self.buffer[..kept].into(), Reading::Value)
            }
            Normalised::Blank => (Box::default(), Reading::Blank),
            Normalised::Malformed => (Box::default(), Reading::Malformed),
        }
    }
}

/// A raw value in the form in which the layout's values are compared: trimmed, capitals, cut to the field's length.
fn comparable(field: &layout::Field, raw: &[u8]) -> Vec<u8> {
    let mut compared = raw.trim_ascii().to_ascii_uppercase();
    if field.system == FieldSystem::Words {
        compared.truncate(field.characters.unwrap_or(usize::MAX));
    }
    if field.leading_zeros_ignored {
        let zeros = compared.iter().take_while(|byte| **byte == b'0').count().min(compared.len().saturating_sub(1));
        compared.drain(..zeros);
    }
    compared
}

pub fn code_system(system: FieldSystem) -> Option<System> {
    match system {
        FieldSystem::Words | FieldSystem::Text => None,
        FieldSystem::Icd10 => Some(System::Icd10),
        FieldSystem::Opcs4 => Some(System::Opcs4),
        FieldSystem::Snomed => Some(System::Snomed),
        FieldSystem::Read2 => Some(System::Read2),
        FieldSystem::Ctv3 => Some(System::Ctv3),
        FieldSystem::Bnf => Some(System::Bnf),
        FieldSystem::Dmd => Some(System::Dmd),
    }
}

/// Reads one column of a field into values.
pub struct ValueReader {
    pub values: Values,
    dictionary: KnownDictionary<ValueId>,
    places: Vec<u32>,
}

impl ValueReader {
    pub fn new(field: &layout::Field, sensitive: &Sensitive) -> ValueReader {
        let (dictionary, places) = (KnownDictionary::default(), Vec::new());
        ValueReader { values: Values::new(field, sensitive), dictionary, places }
    }

    /// The value of each row.
    ///
    /// # Errors
    /// A column type that holds no codes; damaged data.
    pub fn read_column(&mut self, column: &Column, name: &str, out: &mut Vec<ValueId>) -> Result<()> {
        let Column::Coded(coded) = column else { return self.read(column.array()?, name, out) };
        out.clear();
        coded.keys(&mut self.places)?;
        let values = &mut self.values;
        let of_places = self.dictionary.learn(coded.values(), |distinct, worked_out| {
            for_each_text(distinct, name, |text| worked_out.push(values.of(text)))
        })?;
        out.extend(self.places.iter().map(|place| of_places.get(*place as usize).copied().unwrap_or(BLANK)));
        Ok(())
    }

    /// As [`ValueReader::read_column`], of an array.
    ///
    /// # Errors
    /// A column type that holds no codes.
    pub fn read(&mut self, array: &ArrayRef, name: &str, out: &mut Vec<ValueId>) -> Result<()> {
        out.clear();
        let values = &mut self.values;
        match array.data_type() {
            DataType::Dictionary(..) => self.dictionary.each_row(array, BLANK, out, |distinct, worked_out| {
                for_each_text(distinct, name, |text| worked_out.push(values.of(text)))
            }),
            _ => for_each_text(array, name, |text| out.push(values.of(text))),
        }
    }
}

/// The conditions that a stream's predicates put on one field, tried against one value at a time.
pub struct FieldConditions {
    system: Option<System>,
    /// Predicate, and the condition without its `not`.
    conditions: Vec<(usize, Condition)>,
    /// Predicates that put no condition on this field.
    free: Mask,
    /// Predicates whose condition is a `not`.
    negated: Mask,
}

impl FieldConditions {
    pub fn new(name: &str, system: Option<System>, predicates: &[Predicate]) -> FieldConditions {
        let words = predicates.len().div_ceil(64).max(1);
        let (mut free, mut negated) = (empty_mask(words), empty_mask(words));
        let mut conditions = Vec::new();
        for (number, predicate) in predicates.iter().enumerate() {
            match predicate.conditions.get(name) {
                None => set_bit(&mut free, number),
                Some(Condition::Not(inner)) => {
                    set_bit(&mut negated, number);
                    conditions.push((number, (**inner).clone()));
                }
                Some(condition) => conditions.push((number, condition.clone())),
            }
        }
        FieldConditions { system, conditions, free, negated }
    }

    /// The predicates whose condition, without its `not`, this value meets.
    pub fn met_by(&self, value: &[u8], library: &Library) -> Mask {
        let mut mask = empty_mask(self.free.len());
        let mut tried = Tried { value, system: self.system, library, on_lists: Vec::new() };
        for (number, condition) in &self.conditions {
            if !value.is_empty() && tried.meets(condition) {
                set_bit(&mut mask, *number);
            }
        }
        mask
    }

    /// Takes from `row` the predicates that this field's values rule out.
    ///
    /// # Missing
    /// A field without any value meets no condition, not even a `not`.
    pub fn narrow<'a>(&self, values: impl Iterator<Item = &'a [u64]>, row: &mut [u64]) {
        let mut any = empty_mask(self.free.len());
        let mut has_value = false;
        for mask in values {
            has_value = true;
            any.iter_mut().zip(mask).for_each(|(any, mask)| *any |= mask);
        }
        for (place, row) in row.iter_mut().enumerate() {
            let constrained = if has_value { any[place] ^ self.negated[place] } else { 0 };
            *row &= constrained | self.free[place];
        }
    }
}

pub fn empty_mask(words: usize) -> Mask {
    vec![0; words].into_boxed_slice()
}

/// All predicates of a stream.
pub fn full_mask(plan: &StreamPlan) -> Mask {
    let mut mask = empty_mask(plan.predicates.len().div_ceil(64).max(1));
    (0..plan.predicates.len()).for_each(|bit| set_bit(&mut mask, bit));
    mask
}

/// A value that many conditions are tried on.
struct Tried<'a> {
    value: &'a [u8],
    system: Option<System>,
    library: &'a Library,
    /// The code lists so far, and which categories of each the value falls into: models ask one by one for the categories
    /// of a list, and a code that is not on it is in none.
    on_lists: Vec<(&'a str, Vec<u32>)>,
}

impl<'a> Tried<'a> {
    fn meets(&mut self, condition: &'a Condition) -> bool {
        let value = self.value;
        match condition {
            Condition::Words(words) => words.iter().any(|word| word.as_bytes() == value),
            Condition::Prefix(prefixes) => prefixes.iter().any(|prefix| value.starts_with(prefix.as_bytes())),
            Condition::Not(inner) => !self.meets(inner),
            Condition::In(references) => references.iter().any(|reference| {
                let (list, category) = split_reference(reference);
                let library = self.library;
                let found = self.categories_on(list);
                let is_in = |name: &str| library.code_lists[list].category(name).is_some_and(|of| found.contains(&of));
                !found.is_empty() && category.is_none_or(is_in)
            }),
        }
    }

    fn categories_on(&mut self, list: &'a str) -> &[u32] {
        let known = self.on_lists.iter().position(|(known, _)| *known == list);
        let place = known.unwrap_or_else(|| {
            let found = self.system.map(|system| self.library.code_lists[list].categories_of(system, self.value));
            self.on_lists.push((list, found.unwrap_or_default()));
            self.on_lists.len() - 1
        });
        &self.on_lists[place].1
    }
}

/// Which concept the rows of one stream are, for one thread.
pub struct RowConcepts {
    stream: u32,
    fields: Vec<FieldConditions>,
    /// Characters that a concept keeps of each field's code; 0 for none.
    characters: Vec<usize>,
    full: Mask,
    /// For each field, the mask of each value, once it was asked for.
    masks: Vec<Vec<Option<Mask>>>,
    by_values: HashTable<(u32, u32, u32)>,
    keys: Vec<ValueId>,
    last: (u32, u32, u32),
    /// In order of first meeting.
    pub concepts: Vec<Concept>,
    numbers: BTreeMap<Concept, u32>,
}

/// The concept of a row that no model asks about.
pub const IRRELEVANT: u32 = u32::MAX;

impl RowConcepts {
    /// For a stream whose fields have these coding systems, in the order of the stream plan's fields.
    pub fn new(stream: usize, plan: &StreamPlan, systems: &[Option<System>]) -> RowConcepts {
        let fields = plan.fields.iter().zip(systems);
        RowConcepts {
            stream: stream as u32,
            fields: fields
                .map(|(field, system)| FieldConditions::new(&field.name, *system, &plan.predicates))
                .collect(),
            characters: plan.fields.iter().map(|field| field.characters).collect(),
            full: full_mask(plan),
            masks: vec![Vec::new(); plan.fields.len()],
            by_values: HashTable::new(),
            keys: Vec::new(),
            last: (0, 0, IRRELEVANT),
            concepts: Vec::new(),
            numbers: BTreeMap::new(),
        }
    }

    /// The concept of a row, from the values of its columns: `columns` names the field that each belongs to.
    pub fn of(
        &mut self,
        row: &[ValueId],
        columns: &[usize],
        values: &dyn Fn(usize, ValueId) -> Box<[u8]>,
        library: &Library,
    ) -> u32 {
        let (start, end, concept) = self.last;
        if end > start && &self.keys[start as usize..end as usize] == row {
            return concept;
        }
        let keys = &self.keys;
        let found = self.by_values.find(hash_of(row), |&(start, end, _)| &keys[start as usize..end as usize] == row);
        if let Some(found) = found {
            self.last = *found;
            return found.2;
        }
        let concept = self.work_out(row, columns, values, library);
        let start = self.keys.len() as u32;
        self.keys.extend_from_slice(row);
        let keys = &self.keys;
        let entry = (start, keys.len() as u32, concept);
        self.by_values
            .insert_unique(hash_of(row), entry, |&(start, end, _)| hash_of(&keys[start as usize..end as usize]));
        self.last = entry;
        concept
    }

    /// As [`RowConcepts::of`], worked out anew.
    #[cold]
    pub fn work_out(
        &mut self,
        row: &[ValueId],
        columns: &[usize],
        values: &dyn Fn(usize, ValueId) -> Box<[u8]>,
        library: &Library,
    ) -> u32 {
        let mut mask = self.full.clone();
        let mut codes = Vec::new();
        for field in 0..self.fields.len() {
            let cells = || {
                columns.iter().zip(row).enumerate().filter(move |(_, (of, value))| **of == field && **value != BLANK)
            };
            for (column, (_, value)) in cells() {
                let known = &mut self.masks[field];
                if known.len() <= *value as usize {
                    known.resize(*value as usize + 1, None);
                }
                if known[*value as usize].is_none() {
                    known[*value as usize] = Some(self.fields[field].met_by(&values(column, *value), library));
                }
            }
            let has_content = |column: usize, value: ValueId| !values(column, value).is_empty();
            let met = cells().filter(|(column, (_, value))| has_content(*column, **value));
            let met =
                met.map(|(_, (_, value))| self.masks[field][*value as usize].as_deref().expect("worked out above"));
            self.fields[field].narrow(met, &mut mask);
            if self.characters[field] > 0 {
                let first = cells().map(|(column, (_, value))| values(column, *value)).find(|code| !code.is_empty());
                let code = first.unwrap_or_default();
                codes.push(code[..code.len().min(self.characters[field])].into());
            }
        }
        self.number(mask, codes.into_boxed_slice())
    }

    /// The number of a concept, or [`IRRELEVANT`] where no predicate holds.
    fn number(&mut self, mask: Mask, codes: Box<[Box<[u8]>]>) -> u32 {
        if mask.iter().all(|word| *word == 0) {
            return IRRELEVANT;
        }
        let concept = Concept { stream: self.stream, mask, codes };
        let next = self.concepts.len() as u32;
        let number = *self.numbers.entry(concept.clone()).or_insert(next);
        if number == next {
            self.concepts.push(concept);
        }
        number
    }
}

/// Numbers are small and few bits of them differ: each is spread over the word, and the last step mixes the high bits
/// into the low ones, by which the table is entered.
#[inline]
fn hash_of(row: &[ValueId]) -> u64 {
    const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
    let mix = |hash: u64, value: &ValueId| (hash.rotate_left(23) ^ u64::from(*value)).wrapping_mul(ODD);
    let hash = row.iter().fold(ODD, mix);
    hash ^ hash >> 32
}

/// All concepts of a run in one order, and for each table where its concepts went.
pub fn merge_concepts(tables: &[&[Concept]]) -> (Vec<Concept>, Vec<Vec<u32>>) {
    let mut all: Vec<&Concept> = tables.iter().flat_map(|table| table.iter()).collect();
    all.sort();
    all.dedup();
    let place = |concept: &Concept| all.binary_search(&concept).expect("every concept was collected") as u32;
    let places = tables.iter().map(|table| table.iter().map(place).collect()).collect();
    (all.into_iter().cloned().collect(), places)
}

/// The names of the predicates that a concept meets, for explanations and tests.
pub fn predicates_met<'a>(concept: &'a Concept, plan: &'a StreamPlan) -> impl Iterator<Item = &'a Predicate> {
    plan.predicates.iter().enumerate().filter(|(bit, _)| has_bit(&concept.mask, *bit)).map(|(_, predicate)| predicate)
}
