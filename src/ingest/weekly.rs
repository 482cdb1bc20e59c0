//! What a service costs a week: the price of a unit times the units of a week, by the frequency that the row states.
//!
//! A service runs on for months and its price is per hour, week or year; what it cost in a window follows from its cost a
//! week and the days of it that lie in the window. A payment made once is told apart by its sign.

use std::collections::BTreeMap;

use anyhow::Result;

use super::classify::{ValueId, ValueReader};
use super::column;
use super::files::Batch;
use super::layout::{AmountUnit, Field, FieldSystem, WeeklyColumns};
use crate::event::Event;
use crate::model::library::Sensitive;
use crate::number::divide_rounded;

/// How a price becomes a cost a week.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rate {
    /// So many units in so many weeks.
    Units(i64, i64),
    /// Not a week's at all: the whole of it, once.
    Once,
    /// The planned units of a week.
    Planned,
}

/// Reads the columns beside the price, for one thread.
pub(super) struct WeeklyReader {
    frequency: ValueReader,
    /// Where frequency and planned units stand in what is read.
    places: [usize; 2],
    rates: BTreeMap<Box<[u8]>, Rate>,
    /// The rate of each value of the frequency.
    of_value: Vec<Rate>,
    frequencies: Vec<ValueId>,
    units: Vec<i32>,
}

impl WeeklyReader {
    pub(super) fn new(columns: &WeeklyColumns, places: [usize; 2]) -> WeeklyReader {
        let field = Field {
            name: "frequency".to_owned(),
            columns: vec![columns.frequency.clone()],
            optional: false,
            system: FieldSystem::Text,
            characters: None,
            leading_zeros_ignored: false,
            null: Vec::new(),
            others_missing: false,
            list: false,
            dictionary: None,
            entries: None,
            values: BTreeMap::new(),
        };
        let key = |frequency: &String| frequency.to_ascii_uppercase().into_bytes().into_boxed_slice();
        let units = columns
            .units_in_weeks
            .iter()
            .map(|(frequency, (units, weeks))| (key(frequency), Rate::Units(i64::from(*units), i64::from(*weeks))));
        let rates = units.chain(columns.once.iter().map(|frequency| (key(frequency), Rate::Once))).collect();
        let frequency = ValueReader::new(&field, &Sensitive::default());
        WeeklyReader { frequency, places, rates, of_value: Vec::new(), frequencies: Vec::new(), units: Vec::new() }
    }

    /// Turns the prices of a batch into costs a week, in pence; a payment made once becomes negative. Gives back how many
    /// cannot be worked out, for their planned units are missing or not a number.
    pub(super) fn apply(&mut self, batch: &Batch, wanted: &[(String, bool)], amounts: &mut [i32]) -> Result<u64> {
        let [frequency, units] = self.places;
        self.frequency.read(batch.array(frequency)?, &wanted[frequency].0, &mut self.frequencies)?;
        let values = &self.frequency.values.values;
        for (value, _) in &values[self.of_value.len()..] {
            self.of_value.push(self.rates.get(value).copied().unwrap_or(Rate::Planned));
        }
        column::read_amounts(batch.array(units)?, AmountUnit::Measured, &wanted[units].0, &mut self.units)?;
        let mut unknown = 0;
        for ((amount, value), units) in amounts.iter_mut().zip(&self.frequencies).zip(&self.units) {
            if *amount != Event::NO_AMOUNT {
                *amount = cost(*amount, self.of_value[*value as usize], *units);
                unknown += u64::from(*amount == Event::NO_AMOUNT);
            }
        }
        Ok(unknown)
    }
}

/// Pence a week, or the negative of what is paid once; negative prices count as positive.
fn cost(price: i32, rate: Rate, planned_units: i32) -> i32 {
    let price = i128::from(price).abs();
    let weekly = match rate {
        Rate::Once => -price,
        Rate::Units(units, weeks) => divide_rounded(price * i128::from(units), i128::from(weeks)),
        Rate::Planned if planned_units == Event::NO_AMOUNT => return Event::NO_AMOUNT,
        // Planned units come in thousandths.
        Rate::Planned => divide_rounded(price * i128::from(planned_units), 1_000),
    };
    weekly.clamp(-i128::from(i32::MAX), i128::from(i32::MAX)) as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_price_becomes_a_cost_a_week() {
        let none = Event::NO_AMOUNT;
        assert_eq!(cost(52_000, Rate::Units(12, 52), none), 12_000);
        assert_eq!(cost(-10_000, Rate::Units(1, 1), none), 10_000);
        assert_eq!(cost(2_050, Rate::Planned, 10_500), 21_525);
        assert_eq!(cost(2_050, Rate::Planned, none), none);
        assert_eq!(cost(35_000, Rate::Once, none), -35_000);
        assert_eq!(cost(i32::MAX, Rate::Planned, 90_000), i32::MAX);
    }
}
