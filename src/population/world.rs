//! Everything that is the same for all people: dates, places, rates, conditions and the lists that codes are drawn from.

use std::sync::Arc;

use super::calendar::{FinancialYear, Submission, financial_years, submissions};
use super::conditions::{Conditions, Population};
use super::defects::Outages;
use super::further::{Further, further};
use super::gp::GpCodes;
use super::hospital::{Cause, Elective, causes, electives};
use super::mental_health;
use super::outpatients::{Specialty, specialties};
use super::people::DEATH_FOLLOWS_FRAILTY;
use super::places::Places;
use super::prescriptions::Pharmacy;
use super::prices::Prices;
use super::residence::Residence;
use super::size::Size;
use super::tables::{AGES, Rates, Sex};
use super::tally::Tally;
use super::turnover::Turnover;
use super::{Defects, Request};
use crate::day::Day;

pub struct World {
    pub seed: u64,
    pub people: u32,
    pub first: Day,
    /// The day after the history: the first of the follow-up year.
    pub reference: Day,
    pub last: Day,
    pub financial_years: Vec<FinancialYear>,
    pub submissions: Vec<Submission>,
    pub outages: Outages,
    /// Whether faults are planted.
    pub faulty: bool,
    pub frailty_shape: f64,
    pub places: Places,
    pub practice_codes: Arc<Vec<String>>,
    pub rates: Rates,
    pub conditions: Conditions,
    pub causes: Vec<Cause>,
    pub electives: Vec<Elective>,
    pub further: Vec<Further>,
    pub specialties: Vec<Specialty>,
    pub codes: GpCodes,
    pub pharmacy: Pharmacy,
    /// Position of dementia among the conditions: care homes follow it.
    pub dementia: usize,
    pub kidney_disease: Option<usize>,
    pub learning_disability: Option<usize>,
    pub cancer: Option<usize>,
    pub osteoporosis: Option<usize>,
    /// Position of each illness that the mental-health trust sees.
    pub mental_illnesses: Vec<Option<usize>>,
    pub residence: Residence,
    pub prices: Prices,
    /// Running totals of each area's women and then men by age band.
    pub age_sex_totals: Vec<Vec<f64>>,
    pub turnover: Turnover,
    /// Emergency admissions by tenth of deprivation over the county's mean, by sex and age.
    deprivation: Vec<[[f64; AGES]; 2]>,
    /// Rows that will be made, about.
    pub expected_rows: u64,
    /// GP rows without meaning for any model, for one visit.
    pub fillers_per_visit: f64,
}

impl World {
    pub fn new(request: &Request) -> World {
        let places = Places::new(request.seed, request.people);
        let rates = Rates::load();
        let conditions = Conditions::load(&places, request.frailty_shape);
        let population = Population::of(&places.areas);
        let position = |name: &str| conditions.position(name);
        let (causes, electives, specialties) = (causes(&position), electives(&position), specialties(&position));
        let further = further(&position);
        let pharmacy = Pharmacy::load(&position);
        let codes = GpCodes::load(&conditions);
        let history = years(request.first_day, Day(request.last_day.0 + 1));
        let follow_up = f64::from(request.follow_up_days) / super::people::DAYS_PER_YEAR;
        let turnover = Turnover::new(&rates, &population, history, follow_up);
        let dementia = position("dementia").expect("dementia is among the conditions");
        let residence = Residence::new(&rates, &conditions, &population, dementia);
        let reference = Day(request.last_day.0 + 1);
        let last = Day(request.last_day.0 + request.follow_up_days as i32);
        let financial_years = financial_years(request.first_day, last);
        let size = Size::of(request, &places);
        let faulty = request.defects != Defects::None;
        let outages = outages(request, &places, reference);
        World {
            seed: request.seed,
            people: request.people,
            first: request.first_day,
            reference,
            last,
            submissions: submissions(&financial_years, faulty),
            outages,
            faulty,
            financial_years,
            frailty_shape: request.frailty_shape,
            kidney_disease: position("chronic_kidney_disease"),
            learning_disability: position("learning_disability"),
            cancer: position("cancer"),
            osteoporosis: position("osteoporosis"),
            prices: Prices::load(),
            dementia,
            residence,
            mental_illnesses: mental_health::positions(&position),
            age_sex_totals: age_sex_totals(&places),
            turnover,
            deprivation: deprivation(&rates, &population),
            fillers_per_visit: size.fillers_per_visit,
            expected_rows: size.rows,
            practice_codes: Arc::new(places.practices.iter().map(|practice| practice.code.clone()).collect()),
            places,
            rates,
            conditions,
            causes,
            electives,
            further,
            specialties,
            codes,
            pharmacy,
        }
    }

    /// Emergency admissions in a tenth of deprivation over the county's mean at that age.
    pub fn deprivation(&self, decile: u8, sex: Sex, age: i32) -> f64 {
        self.deprivation[usize::from(decile) - 1][sex as usize][age.clamp(0, AGES as i32 - 1) as usize]
    }

    pub fn new_tally(&self) -> Tally {
        Tally::new(self.conditions.list.len(), Places::district_names().count())
    }

    /// Mean over people of an age on a day of a rate of which a part follows frailty.
    pub fn mean_tempered(&self, follows: f64, sex: Sex, age: i32, day: Day) -> f64 {
        1.0 - follows + follows * self.mean_frailty(sex, age, years(day, self.reference))
    }

    /// How much frailer people of an age were, some years before the reference day, than those who reach it.
    ///
    /// Those who died on the way were frailer than the rest, so rates of earlier years are divided by this.
    pub fn mean_frailty(&self, sex: Sex, age: i32, years_to_reference: f64) -> f64 {
        if years_to_reference <= 0.0 {
            return 1.0;
        }
        let whole = years_to_reference.floor();
        let lives = |year: i32| 1.0 - self.rates.deaths.at(sex, age + year);
        let of_part_year = lives(whole as i32).powf(years_to_reference - whole);
        let survives = (0..whole as i32).map(lives).product::<f64>() * of_part_year;
        let frailty_of_dead = 1.0 + DEATH_FOLLOWS_FRAILTY / self.frailty_shape;
        survives + (1.0 - survives) * frailty_of_dead
    }
}

fn outages(request: &Request, places: &Places, reference: Day) -> Outages {
    let practices = places.practices.iter().enumerate().filter(|(_, practice)| practice.shares_gp_data);
    let sharing: Vec<u32> = practices.map(|(index, _)| index as u32).collect();
    Outages::new(request.seed, request.defects, &sharing, request.first_day, reference)
}

/// Years between two days, the second not counted.
pub fn years(from: Day, to: Day) -> f64 {
    f64::from(to.0 - from.0) / super::people::DAYS_PER_YEAR
}

fn age_sex_totals(places: &Places) -> Vec<Vec<f64>> {
    let running = |area: &super::tables::Msoa| {
        let mut sum = 0.0;
        let totals = area.people.iter().flatten().map(|people| {
            sum += people;
            sum
        });
        totals.collect()
    };
    places.areas.iter().map(running).collect()
}

fn deprivation(rates: &Rates, population: &Population) -> Vec<[[f64; AGES]; 2]> {
    let mut factors = vec![[[0.0; AGES]; 2]; 10];
    for sex in [Sex::Female, Sex::Male] {
        for age in 0..AGES {
            let at = |decile: usize| rates.emergency_by_fifth[decile / 2].at(sex, age as i32);
            let people = &population.0[sex as usize][age];
            let total: f64 = people.iter().sum();
            let mean = people.iter().enumerate().map(|(decile, count)| count * at(decile)).sum::<f64>() / total;
            for (decile, factor) in factors.iter_mut().enumerate() {
                factor[sex as usize][age] = at(decile) / mean;
            }
        }
    }
    factors
}
