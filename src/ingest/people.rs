//! A column of pseudonyms as numbers on the spine: the link between sources.

use anyhow::Result;
use arrow_array::ArrayRef;

use super::coded::{Column, Damaged, Keyed};
use super::column::{KnownDictionary, for_each_text, for_some_texts};
use crate::person::{Found, Spine, key_of};

/// A person's number, or one of the three below.
pub const UNKNOWN: u32 = u32::MAX;
pub const OPTED_OUT: u32 = u32::MAX - 1;
pub const NOBODY: u32 = u32::MAX - 2;

/// Reads a column of pseudonyms into numbers on the spine.
#[derive(Default)]
pub struct PersonReader {
    last: Vec<u8>,
    last_key: Option<u128>,
    dictionary: KnownDictionary<u32>,
    keys: Vec<Option<u128>>,
    places: Vec<u32>,
}

fn number_of(found: Found) -> u32 {
    match found {
        Found::Person(person) => person,
        Found::OptedOut => OPTED_OUT,
        Found::Unknown => UNKNOWN,
    }
}

impl PersonReader {
    /// The person of each row.
    ///
    /// # Errors
    /// A column of a type that holds no pseudonyms; damaged data.
    pub fn read(&mut self, column: &Column, name: &str, spine: &Spine, out: &mut Vec<u32>) -> Result<()> {
        out.clear();
        let Some(keyed) = column.keyed() else {
            self.keys.clear();
            for_each_text(column.array()?, name, |text| self.add_key(text))?;
            self.look_keys_up(spine, out);
            return Ok(());
        };
        self.by_dictionary(keyed, name, spine, |places| keyed.keys(places), out)
    }

    /// The person of each of these rows, which are in order.
    ///
    /// # Errors
    /// A column of a type that holds no pseudonyms; damaged data.
    pub fn read_some(
        &mut self,
        column: &Column,
        name: &str,
        spine: &Spine,
        rows: &[u32],
        out: &mut Vec<u32>,
    ) -> Result<()> {
        out.clear();
        let Some(keyed) = column.keyed() else {
            self.keys.clear();
            match column {
                Column::Plain(plain) => for_each_text(&plain.some(rows)?, name, |text| self.add_key(text))?,
                _ => for_some_texts(column.array()?, name, rows, |text| self.add_key(text))?,
            }
            self.look_keys_up(spine, out);
            return Ok(());
        };
        self.by_dictionary(keyed, name, spine, |places| keyed.keys_of(rows, places), out)
    }

    fn by_dictionary(
        &mut self,
        keyed: Keyed,
        name: &str,
        spine: &Spine,
        read: impl FnOnce(&mut Vec<u32>) -> Result<(), Damaged>,
        out: &mut Vec<u32>,
    ) -> Result<()> {
        let (mut dictionary, mut places) = (std::mem::take(&mut self.dictionary), std::mem::take(&mut self.places));
        read(&mut places)?;
        let find_all = |distinct: &ArrayRef, found: &mut Vec<u32>| self.find_all(distinct, name, spine, found);
        let people = dictionary.learn(keyed.values(), find_all)?;
        out.extend(places.iter().map(|place| people.get(*place as usize).copied().unwrap_or(NOBODY)));
        (self.dictionary, self.places) = (dictionary, places);
        Ok(())
    }

    /// The person of each of these pseudonyms, which are all different. Keys come first and then the look-ups, so that
    /// the processor waits for several of them at once.
    fn find_all(&mut self, distinct: &ArrayRef, name: &str, spine: &Spine, out: &mut Vec<u32>) -> Result<()> {
        self.keys.clear();
        for_each_text(distinct, name, |text| {
            let text = text.filter(|text| !text.trim_ascii().is_empty());
            self.keys.push(text.map(key_of));
        })?;
        self.look_keys_up(spine, out);
        Ok(())
    }

    fn look_keys_up(&self, spine: &Spine, out: &mut Vec<u32>) {
        out.extend(self.keys.iter().map(|key| key.map_or(NOBODY, |key| number_of(spine.find(key)))));
    }

    /// Adds the key of a text, which is often that of the text before it.
    fn add_key(&mut self, text: Option<&[u8]>) {
        let text = text.unwrap_or_default();
        if text != self.last {
            self.last.clear();
            self.last.extend_from_slice(text);
            self.last_key = (!text.trim_ascii().is_empty()).then(|| key_of(text));
        }
        self.keys.push(self.last_key);
    }
}
