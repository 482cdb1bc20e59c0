//! Long-term conditions: how common they are, in whom, and since when.
//!
//! The chance that someone has a condition is `1 − exp(−Λ (1 − s + s f))`, where `f` is the person's frailty, `s` the part of
//! the rate that follows it, and `Λ` belongs to sex, age and deprivation. Over a gamma frailty with mean 1 this has a closed
//! form, so `Λ` is solved for the prevalence that is wanted: clustering moves, the prevalence stays.

use super::draw::Draw;
use super::places::Places;
use super::tables::{AGES, Msoa, Row, Sex, interpolate, number, rows, text};
use crate::day::Day;

/// Chance of having or getting a condition within a year, over the chance of having it.
const NEW_CASES_SHARE: f64 = 0.07;
/// A tenth of deprivation in the middle.
const MIDDLING: u8 = 5;
const MOST_PREVALENT: f64 = 0.92;

const PRIORITY: [&str; 8] = [
    "depression",
    "cancer",
    "diabetes",
    "coronary_heart_disease",
    "stroke_tia",
    "copd",
    "dementia",
    "chronic_kidney_disease",
];

pub struct Condition {
    pub name: String,
    /// Code of the register that it is scaled to, where there is one.
    pub register: String,
    /// Mean years since its start.
    pub years: f64,
    pub group: String,
    pub resolved_group: String,
    pub resolved_share: f64,
    pub icd10: Vec<String>,
    /// Part of the rate that follows the person's frailty.
    pub shared: f64,
    pub min_age: i32,
    /// One of the eight that people are counted by in the clustering table.
    pub priority: bool,
    /// Prevalence by sex and age at middling deprivation.
    prevalence: [[f64; AGES]; 2],
    by_decile: [f64; 10],
}

/// A condition that a person has: its position in the list, and since when.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Onset {
    pub condition: usize,
    pub since: Day,
    pub resolved: Option<Day>,
}

pub struct Conditions {
    pub list: Vec<Condition>,
    pub shape: f64,
}

impl Conditions {
    /// Reads the conditions and scales each to its prevalence in the areas' population.
    pub fn load(places: &Places, shape: f64) -> Conditions {
        let population = Population::of(&places.areas);
        let registers = rows(include_str!("tables/qof.csv"));
        let list = rows(include_str!("tables/conditions.csv"))
            .iter()
            .map(|row| Condition::scaled(row, &registers, &population))
            .collect();
        Conditions { list, shape }
    }

    pub fn position(&self, name: &str) -> Option<usize> {
        self.list.iter().position(|condition| condition.name == name)
    }

    /// The chance of a condition in someone of middling deprivation.
    pub fn chance(&self, condition: usize, sex: Sex, age: i32, frailty: f64) -> f64 {
        let condition = &self.list[condition];
        let prevalence = condition.prevalence_at(sex, age, MIDDLING);
        let rate = if prevalence > 0.0 { rate_for(prevalence, condition.shared, self.shape) } else { 0.0 };
        1.0 - (-rate * (1.0 - condition.shared + condition.shared * frailty)).exp()
    }

    /// The conditions of someone who reaches `age` on `until` with the given frailty, in order of the list.
    ///
    /// `end` is the last day on which a new condition may start; days after `until` bring new cases only.
    pub fn of_person(&self, who: &Bearer, draw: &mut Draw) -> Vec<Onset> {
        let mut found = Vec::new();
        for (position, condition) in self.list.iter().enumerate() {
            let prevalence = condition.prevalence_at(who.sex, who.age, who.decile);
            if prevalence <= 0.0 {
                continue;
            }
            let rate = rate_for(prevalence, condition.shared, self.shape);
            let own = 1.0 - condition.shared + condition.shared * who.frailty;
            let since = if draw.unit() < 1.0 - (-rate * own).exp() {
                Some(start(condition, who, draw))
            } else if who.end > who.until && draw.chance(prevalence * NEW_CASES_SHARE * own) {
                Some(Day(draw.between(who.until.0 + 1, who.end.0)))
            } else {
                None
            };
            if let Some(since) = since {
                let resolves = since < who.until && draw.chance(condition.resolved_share);
                let resolved = resolves.then(|| Day(draw.between(since.0 + 1, who.until.0)));
                found.push(Onset { condition: position, since, resolved });
            }
        }
        found
    }
}

/// Whom conditions are drawn for.
pub struct Bearer {
    pub sex: Sex,
    pub age: i32,
    pub decile: u8,
    pub frailty: f64,
    pub birth: Day,
    pub until: Day,
    pub end: Day,
}

impl Condition {
    fn scaled(row: &Row, registers: &[Row], population: &Population) -> Condition {
        let name = text(row, "name").to_owned();
        let min_age = number(row, "min_age") as i32;
        let wanted = match text(row, "qof") {
            "" => number(row, "prevalence"),
            code => {
                let register = registers.iter().find(|register| text(register, "qof_code") == code);
                number(register.expect("a condition's register is in the table"), "kent_medway_prevalence")
            }
        };
        let resolved_share = number(row, "resolved_share");
        // Those in whom it has resolved are off the register, and come on top of it.
        let wanted = wanted / (1.0 - resolved_share);
        let points: Vec<(f64, f64)> =
            (0..10).map(|tens| (f64::from(tens * 10 + 5), number(row, &format!("a{}", tens * 10 + 5)))).collect();
        let female = number(row, "female").sqrt();
        let ratio = number(row, "deprivation");
        // The tenths run from the ratio's square root to its inverse, in equal steps of the logarithm.
        let by_decile = std::array::from_fn(|decile| ratio.powf(0.5 - decile as f64 / 9.0));
        let mut prevalence = [[0.0; AGES]; 2];
        for (sex, by_age) in prevalence.iter_mut().enumerate() {
            let of_sex = if sex == Sex::Female as usize { female } else { 1.0 / female };
            for (age, cell) in by_age.iter_mut().enumerate() {
                *cell = interpolate(&points, age as f64) * of_sex;
            }
        }
        let scale = scale_to(wanted, min_age, &prevalence, &by_decile, population);
        prevalence.iter_mut().flatten().for_each(|cell| *cell *= scale);
        Condition {
            priority: PRIORITY.contains(&name.as_str()),
            name,
            register: text(row, "qof").to_owned(),
            years: number(row, "years"),
            group: text(row, "group").to_owned(),
            resolved_group: text(row, "resolved_group").to_owned(),
            resolved_share,
            icd10: text(row, "icd10").split(';').map(str::to_owned).collect(),
            shared: number(row, "shared"),
            min_age,
            prevalence,
            by_decile,
        }
    }

    fn prevalence_at(&self, sex: Sex, age: i32, decile: u8) -> f64 {
        let age = age.clamp(0, AGES as i32 - 1) as usize;
        (self.prevalence[sex as usize][age] * self.by_decile[usize::from(decile) - 1]).min(MOST_PREVALENT)
    }
}

/// The factor that brings the mean over the population from the youngest age that counts to what is wanted.
fn scale_to(
    wanted: f64,
    min_age: i32,
    shape: &[[f64; AGES]; 2],
    by_decile: &[f64; 10],
    population: &Population,
) -> f64 {
    let mean = |scale: f64| {
        let (mut cases, mut people) = (0.0, 0.0);
        for (sex, by_age) in population.0.iter().enumerate() {
            for (age, deciles) in by_age.iter().enumerate().skip(min_age as usize) {
                for (decile, weight) in deciles.iter().enumerate() {
                    cases += weight * (scale * shape[sex][age] * by_decile[decile]).min(MOST_PREVALENT);
                    people += weight;
                }
            }
        }
        cases / people
    };
    // The cap bends the line a little, so a few steps of proportion are taken.
    let mut scale = wanted / mean(1e-6) * 1e-6;
    for _ in 0..8 {
        scale *= wanted / mean(scale);
    }
    scale
}

/// `Λ` such that `1 − E[exp(−Λ (1 − s + s f))]` is the prevalence, for a gamma `f` of mean 1 and the given shape.
fn rate_for(prevalence: f64, shared: f64, shape: f64) -> f64 {
    let mut rate = prevalence;
    for _ in 0..40 {
        let spread = 1.0 + rate * shared / shape;
        let without = (-rate * (1.0 - shared) - shape * spread.ln()).exp();
        let slope = without * (1.0 - shared + shared / spread);
        let step = (without - (1.0 - prevalence)) / slope;
        rate += step;
        if step.abs() < 1e-9 * rate {
            break;
        }
    }
    rate
}

/// When a condition began that is present on the day.
fn start(condition: &Condition, who: &Bearer, draw: &mut Draw) -> Day {
    let days = draw.exponential(condition.years * 365.25) as i32 + 1;
    let earliest = who.birth.0 + (f64::from(condition.min_age.min(who.age)) * 365.25) as i32;
    let since = who.until.0 - days;
    if since > earliest { Day(since) } else { Day(draw.between(earliest + 1, who.until.0)) }
}

/// People by sex, single year of age and tenth of deprivation.
pub struct Population(pub Box<[[[f64; 10]; AGES]; 2]>);

impl Population {
    pub fn of(areas: &[Msoa]) -> Population {
        let mut weights = Box::new([[[0.0; 10]; AGES]; 2]);
        for area in areas {
            let mut deciles = [0.0; 10];
            for lsoa in &area.lsoas {
                deciles[usize::from(lsoa.decile) - 1] += 1.0 / area.lsoas.len() as f64;
            }
            for (sex, bands) in area.people.iter().enumerate() {
                for (age, by_decile) in weights[sex].iter_mut().enumerate() {
                    let people = bands[(age / 5).min(bands.len() - 1)] * share_of_band(age);
                    by_decile.iter_mut().zip(deciles).for_each(|(weight, share)| *weight += people * share);
                }
            }
        }
        Population(weights)
    }
}

/// First age of the open band, and how fast its ages thin out.
pub const OPEN_BAND_FROM: usize = 90;
pub const OPEN_BAND_MEAN_YEARS: f64 = 3.2;

/// Share of its five-year band that is of a single year of age.
fn share_of_band(age: usize) -> f64 {
    if age < OPEN_BAND_FROM {
        return 0.2;
    }
    let stays = (-1.0 / OPEN_BAND_MEAN_YEARS).exp();
    let year = (age - OPEN_BAND_FROM) as i32;
    let reached = stays.powi(year);
    if age == AGES - 1 { reached } else { reached * (1.0 - stays) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_gives_back_the_prevalence_over_a_gamma_frailty() {
        for (prevalence, shared, shape) in [(0.01, 0.5, 0.5), (0.3, 0.7, 0.5), (0.85, 0.3, 1.0), (0.92, 0.9, 0.4)] {
            let rate = rate_for(prevalence, shared, shape);
            let without = (-rate * (1.0 - shared)).exp() * (1.0 + rate * shared / shape).powf(-shape);
            assert!((1.0 - without - prevalence).abs() < 1e-9, "{prevalence} {shared} {shape}");
        }
    }

    #[test]
    fn conditions_are_scaled_to_their_registers() {
        let places = Places::new(1, 20_000);
        let conditions = Conditions::load(&places, 0.5);
        let population = Population::of(&places.areas);
        let diabetes = &conditions.list[conditions.position("diabetes").unwrap()];
        let scale = scale_to(0.06994 / 0.98, 17, &diabetes.prevalence, &diabetes.by_decile, &population);
        assert!((scale - 1.0).abs() < 1e-6);
    }
}
