//! What was made, counted while it is made: for the report that stands beside the files, and for the tests of the rates.
//!
//! Rates are counts over days lived here in the history, as a published rate is events over the mid-year population. Shares
//! of people are of those who are alive and registered on the reference day, or of those who were here when the last year of
//! the history began.

use super::hospital::StayKind;
use super::people::{Person, Smoking};
use super::tables::{AGES, BANDS, Sex};
use super::world::World;
use crate::day::Day;

/// Counts by sex (0 women, 1 men) and single year of age.
#[derive(Clone)]
pub struct Ages(pub Box<[[u64; AGES]; 2]>);

impl Ages {
    fn new() -> Ages {
        Ages(Box::new([[0; AGES]; 2]))
    }

    fn cell(&mut self, sex: Sex, age: i32) -> &mut u64 {
        &mut self.0[sex as usize][age.clamp(0, AGES as i32 - 1) as usize]
    }

    /// Both ages are counted.
    pub fn between(&self, sex: Option<Sex>, first: usize, last: usize) -> u64 {
        let last = last.min(AGES - 1);
        let of_sex = |by_age: &[u64; AGES]| by_age[first..=last].iter().sum::<u64>();
        match sex {
            Some(sex) => of_sex(&self.0[sex as usize]),
            None => self.0.iter().map(of_sex).sum(),
        }
    }

    pub fn all(&self) -> u64 {
        self.between(None, 0, AGES - 1)
    }
}

/// What is counted by sex and age. Events are of the history; the last three are of the reference day.
#[derive(Clone, Copy)]
pub enum Count {
    Days,
    SharedDays,
    Emergencies,
    Attendances,
    Appointments,
    Deaths,
    Items,
    Visits,
    Registered,
    Shared,
    CareHome,
}
const BY_AGE: usize = Count::CareHome as usize + 1;

/// What is counted once for all.
#[derive(Clone, Copy)]
pub enum Single {
    Palliative,
    Obese,
    Smokers,
    HereAllYear,
    /// Emergency admissions: spells, days, and those that end on the day, after two or three days, after four or five.
    EmergencyStays,
    EmergencyDays,
    SameDay,
    TwoOrThreeDays,
    FourOrFiveDays,
    Strokes,
    StrokeDays,
    HeartAttacks,
    HeartAttackDays,
    /// All stays but day cases, births and regular attenders.
    Stays,
    StayDays,
}
const SINGLE: usize = Single::StayDays as usize + 1;

/// Finest cost classes: each is about two in a hundred wide.
const COST_CLASSES: usize = 1 << 11;
const CLASSES_PER_DOUBLING: f64 = 32.0;

#[derive(Clone)]
pub struct Tally {
    by_age: Vec<Ages>,
    single: Vec<u64>,
    /// Registered people by district, sex and five-year band.
    pub districts: Vec<[[u64; BANDS]; 2]>,
    /// People with each condition, of the ages that its register counts.
    pub with_condition: Vec<u64>,
    /// People by how many of the eight priority conditions they have.
    pub priority_conditions: [u64; 9],
    /// People by emergency admissions in the last year: none, one, two, three or more.
    pub emergencies_in_year: [u64; 4],
    /// People aged 18 to 64 and 65 and over with long-term support in the last year, and with short-term support only.
    pub long_term_support: [u64; 2],
    pub short_term_support: [u64; 2],
    /// Of people whose practice shares its records: hospital, GP visits and drugs in the last year.
    pub costs: Costs,
    /// Of everybody: hospital alone.
    pub hospital_costs: Costs,
    now: Use,
}

/// What the person who is being made used in the last year of the history.
#[derive(Clone, Copy, Default)]
struct Use {
    emergencies: u32,
    hospital_pence: u64,
    other_pence: u64,
    long_term: bool,
    short_term: bool,
    obese: bool,
}

impl Tally {
    pub fn new(conditions: usize, districts: usize) -> Tally {
        Tally {
            by_age: (0..BY_AGE).map(|_| Ages::new()).collect(),
            single: vec![0; SINGLE],
            districts: vec![[[0; BANDS]; 2]; districts],
            with_condition: vec![0; conditions],
            priority_conditions: [0; 9],
            emergencies_in_year: [0; 4],
            long_term_support: [0; 2],
            short_term_support: [0; 2],
            costs: Costs::default(),
            hospital_costs: Costs::default(),
            now: Use::default(),
        }
    }

    pub fn ages(&self, what: Count) -> &Ages {
        &self.by_age[what as usize]
    }

    pub fn single(&self, what: Single) -> u64 {
        self.single[what as usize]
    }

    pub fn add(&mut self, other: &Tally) {
        for (mine, more) in self.by_age.iter_mut().zip(&other.by_age) {
            mine.0.as_flattened_mut().iter_mut().zip(more.0.as_flattened()).for_each(|(mine, more)| *mine += more);
        }
        for (mine, more) in self.districts.iter_mut().zip(&other.districts) {
            mine.as_flattened_mut().iter_mut().zip(more.as_flattened()).for_each(|(mine, more)| *mine += more);
        }
        self.costs.add(&other.costs);
        self.hospital_costs.add(&other.hospital_costs);
        let sum = |mine: &mut [u64], more: &[u64]| mine.iter_mut().zip(more).for_each(|(mine, more)| *mine += more);
        sum(&mut self.single, &other.single);
        sum(&mut self.with_condition, &other.with_condition);
        sum(&mut self.priority_conditions, &other.priority_conditions);
        sum(&mut self.emergencies_in_year, &other.emergencies_in_year);
        sum(&mut self.long_term_support, &other.long_term_support);
        sum(&mut self.short_term_support, &other.short_term_support);
    }

    fn event(&mut self, world: &World, person: &Person, day: Day, what: Count) {
        if day < world.reference {
            *self.by_age[what as usize].cell(person.sex, person.age_on(day)) += 1;
        }
    }

    fn count(&mut self, what: Single, times: u64) {
        self.single[what as usize] += times;
    }

    fn pay_hospital(&mut self, world: &World, day: Day, pence: i64) {
        if in_last_year(world, day) {
            self.now.hospital_pence += pence.max(0) as u64;
        }
    }

    fn pay(&mut self, world: &World, day: Day, pence: i64) {
        if in_last_year(world, day) {
            self.now.other_pence += pence.max(0) as u64;
        }
    }

    pub fn emergency(&mut self, world: &World, person: &Person, day: Day) {
        self.event(world, person, day, Count::Emergencies);
        self.now.emergencies += u32::from(in_last_year(world, day));
    }

    /// A stay of any kind: how long it was, and what its episodes cost.
    pub fn stay(&mut self, world: &World, day: Day, days: i32, kind: StayKind, pence: i64) {
        self.pay_hospital(world, day, pence);
        let days = days as u64;
        let (emergency, cause) = match kind {
            StayKind::Short => return,
            StayKind::Other => (false, None),
            StayKind::Emergency => (true, None),
            StayKind::Stroke => (true, Some((Single::Strokes, Single::StrokeDays))),
            StayKind::HeartAttack => (true, Some((Single::HeartAttacks, Single::HeartAttackDays))),
        };
        self.count(Single::Stays, 1);
        self.count(Single::StayDays, days);
        if let Some((stays, of_days)) = cause {
            self.count(stays, 1);
            self.count(of_days, days);
        }
        if emergency {
            self.count(Single::EmergencyStays, 1);
            self.count(Single::EmergencyDays, days);
            match days {
                0 => self.count(Single::SameDay, 1),
                2 | 3 => self.count(Single::TwoOrThreeDays, 1),
                4 | 5 => self.count(Single::FourOrFiveDays, 1),
                _ => {}
            }
        }
    }

    pub fn attendance(&mut self, world: &World, person: &Person, day: Day) {
        self.event(world, person, day, Count::Attendances);
        self.pay_hospital(world, day, world.prices.attendance);
    }

    pub fn appointment(&mut self, world: &World, person: &Person, day: Day) {
        self.event(world, person, day, Count::Appointments);
        self.pay_hospital(world, day, world.prices.appointment);
    }

    pub fn visit(&mut self, world: &World, person: &Person, day: Day) {
        self.event(world, person, day, Count::Visits);
        self.pay(world, day, world.prices.gp_visit);
    }

    pub fn item(&mut self, world: &World, person: &Person, day: Day, pence: i64) {
        self.event(world, person, day, Count::Items);
        self.pay(world, day, pence);
    }

    /// A body-mass index of 30 or more, written down in the last year.
    pub fn obese(&mut self, world: &World, day: Day) {
        self.now.obese |= in_last_year(world, day);
    }

    /// A service of the council that went on from one day to another.
    pub fn support(&mut self, world: &World, start: Day, end: Option<Day>, long_term: bool) {
        let last_year = Day(world.reference.0 - YEAR);
        if start < world.reference && end.is_none_or(|end| end >= last_year) {
            *(if long_term { &mut self.now.long_term } else { &mut self.now.short_term }) = true;
        }
    }

    /// Counts the person, when all of the person's records are made.
    pub fn person(&mut self, world: &World, person: &Person) {
        let now = std::mem::take(&mut self.now);
        let shares = world.places.practices[person.practice()].shares_gp_data;
        self.days_lived(world, person, shares);
        if let Some(death) = person.death.filter(|death| *death >= world.first) {
            self.event(world, person, death, Count::Deaths);
        }
        let year_began = Day(world.reference.0 - YEAR);
        if person.present.0 <= year_began && person.present.1 > year_began {
            self.count(Single::HereAllYear, 1);
            self.emergencies_in_year[now.emergencies.min(3) as usize] += 1;
            self.hospital_costs.take(now.hospital_pence);
            if shares {
                self.costs.take(now.hospital_pence + now.other_pence);
            }
        }
        let age = person.age_on(world.reference);
        if (now.long_term || now.short_term) && age >= 18 {
            let counts = if now.long_term { &mut self.long_term_support } else { &mut self.short_term_support };
            counts[usize::from(age >= 65)] += 1;
        }
        if is_registered(world, person) {
            self.registered(world, person, age, shares, now.obese);
        }
    }

    fn days_lived(&mut self, world: &World, person: &Person, shares: bool) {
        for (from, to, age) in person.years_of_age() {
            let days = (to.min(world.reference).0 - from.0).max(0) as u64;
            *self.by_age[Count::Days as usize].cell(person.sex, age) += days;
            if shares {
                *self.by_age[Count::SharedDays as usize].cell(person.sex, age) += days;
            }
        }
    }

    fn registered(&mut self, world: &World, person: &Person, age: i32, shares: bool, obese: bool) {
        let day = world.reference;
        let mut by_age = |what: Count| *self.by_age[what as usize].cell(person.sex, age) += 1;
        by_age(Count::Registered);
        if shares {
            by_age(Count::Shared);
        }
        if person.care_home_from.is_some_and(|from| from <= day) {
            by_age(Count::CareHome);
        }
        let band = (age.max(0) as usize / 5).min(BANDS - 1);
        self.districts[world.places.district(person.area)][person.sex as usize][band] += 1;
        let mut priority = 0;
        for (index, condition) in world.conditions.list.iter().enumerate() {
            if person.has(index, day) {
                self.with_condition[index] += u64::from(age >= condition.min_age);
                priority += usize::from(condition.priority);
            }
        }
        self.priority_conditions[priority.min(8)] += 1;
        self.count(Single::Palliative, u64::from(person.palliative_from.is_some_and(|from| from < day)));
        self.count(Single::Obese, u64::from(obese && age >= 18 && shares));
        self.count(Single::Smokers, u64::from(person.smoking == Smoking::Current && age >= 18));
    }
}

/// People and pence by class of what they cost.
#[derive(Clone)]
pub struct Costs(Vec<(u64, u64)>);

impl Default for Costs {
    fn default() -> Self {
        Costs(vec![(0, 0); COST_CLASSES])
    }
}

impl Costs {
    fn take(&mut self, pence: u64) {
        let class = (((pence + 1) as f64).log2() * CLASSES_PER_DOUBLING) as usize;
        let (people, sum) = &mut self.0[class.min(COST_CLASSES - 1)];
        *people += 1;
        *sum += pence;
    }

    fn add(&mut self, other: &Costs) {
        for (mine, more) in self.0.iter_mut().zip(&other.0) {
            *mine = (mine.0 + more.0, mine.1 + more.1);
        }
    }

    /// The part of all cost that falls on the dearest people, given their share.
    pub fn share_of_top(&self, share: f64) -> f64 {
        let (people, pence) = self.0.iter().fold((0, 0), |sum, class| (sum.0 + class.0, sum.1 + class.1));
        let mut wanted = people as f64 * share;
        let mut of_top = 0.0;
        for &(people, pence) in self.0.iter().rev().filter(|class| class.0 > 0) {
            let taken = (people as f64).min(wanted);
            of_top += pence as f64 * taken / people as f64;
            wanted -= taken;
        }
        of_top / (pence as f64).max(1.0)
    }
}

const YEAR: i32 = 365;

fn in_last_year(world: &World, day: Day) -> bool {
    day < world.reference && day.0 >= world.reference.0 - YEAR
}

/// Alive, and with a practice, on the reference day.
fn is_registered(world: &World, person: &Person) -> bool {
    let day = world.reference;
    let with_practice = person
        .registrations
        .iter()
        .any(|registration| registration.start < day && registration.end.is_none_or(|end| end >= day));
    with_practice && person.death.is_none_or(|death| death >= day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dearest_bear_their_part() {
        let (mut costs, mut others) = (Costs::default(), Costs::default());
        (0..95).for_each(|_| costs.take(1_000));
        (0..5).for_each(|_| others.take(19_000));
        costs.add(&others);
        assert_eq!(costs.share_of_top(0.05), 0.5);
        assert_eq!(costs.share_of_top(1.0), 1.0);
    }

    #[test]
    fn tallies_of_parts_add_up() {
        let (mut first, mut second) = (Tally::new(2, 1), Tally::new(2, 1));
        *first.by_age[0].cell(Sex::Male, 200) += 3;
        *second.by_age[0].cell(Sex::Male, 105) += 4;
        second.with_condition[1] = 2;
        first.add(&second);
        assert_eq!((first.ages(Count::Days).all(), first.with_condition[1]), (7, 2));
    }
}
