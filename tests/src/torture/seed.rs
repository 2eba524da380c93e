//! What one seed draws: a file, what the provider holds before, faults, and how the work is broken
//! off and taken up again. Drawn before anything runs, so that a seed is the same plan every time.

use std::collections::BTreeSet;

use engine::Failpoint;
use model::{MethodKind, TokenKind};
use sandbox::VendorConfig;

use super::faults;
use super::target::Target;
use crate::providers::{self, Written};

/// The most that the faults of a seed let the provider be late, in milliseconds.
pub const LATEST: u64 = 200;

/// splitmix64.
#[derive(Debug)]
pub struct Rng(u64);

impl Rng {
    pub const fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }

    /// A number of `0..n`.
    pub fn below(&mut self, n: u64) -> u64 {
        self.next() % n.max(1)
    }

    pub fn between(&mut self, least: u64, most: u64) -> u64 {
        least + self.below(most - least + 1)
    }

    pub fn percent(&mut self, share: u64) -> bool {
        self.below(100) < share
    }

    pub fn one<T: Copy>(&mut self, of: &[T]) -> T {
        let at = usize::try_from(self.below(of.len() as u64)).unwrap_or(0);
        of[at]
    }
}

/// A payment method of the file.
#[derive(Debug, Clone)]
pub struct Method {
    pub is: providers::Method,
    /// The kind of token that saves it; none of a wallet.
    pub token: Option<TokenKind>,
    /// Of its token.
    pub number: u64,
    pub default: bool,
}

/// A row of the file.
#[derive(Debug, Clone)]
pub struct Row {
    pub id: String,
    pub reference: String,
    pub method: Option<Method>,
}

/// A customer that was there before the file.
#[derive(Debug, Clone)]
pub struct Present {
    pub reference: String,
    /// Its payment methods: those of the file that the provider has already, and others.
    pub methods: Vec<providers::Method>,
    /// How many customers of this reference there are.
    pub times: usize,
    /// Whether it was deleted, and its reference stays taken.
    pub deleted: bool,
}

/// How a process begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begin {
    /// The file is imported, whatever became of the run before.
    Import,
    /// The last run is resumed; where that cannot be, as `Import`.
    Resume,
    /// The last run is cancelled, the file imported again.
    Cancel,
}

/// How it ends. A point is given with which hit of it counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// By itself.
    Through,
    /// It dies so many milliseconds after the point, with what it has in flight.
    Crash { point: Failpoint, nth: u64, after_ms: u64 },
    /// It is asked to stop there.
    Stop { point: Failpoint, nth: u64 },
    /// It stands still there, is taken for dead while the next one begins, and goes on so many
    /// milliseconds later.
    Pause { point: Failpoint, nth: u64, for_ms: u64 },
}

/// One process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stint {
    pub begin: Begin,
    pub end: End,
    /// Customers that another client creates before it begins.
    pub others: u64,
}

/// Everything a seed says.
#[derive(Debug, Clone)]
pub struct Plan {
    pub seed: u64,
    pub target: Target,
    /// The simulator.
    pub vendor: VendorConfig,
    /// Customers of others.
    pub customers: usize,
    pub rows: Vec<Row>,
    pub present: Vec<Present>,
    /// Whether fields of customers that were there are written.
    pub updates: bool,
    pub in_flight: usize,
    pub import_batch: u32,
    /// The sandbox's fault SPEC.
    pub faults: String,
    /// The most that a fault lets the provider be late, in milliseconds.
    pub latest: u64,
    /// Then the faults end, and the work is taken up until it is done.
    pub stints: Vec<Stint>,
}

impl Plan {
    pub fn draw(seed: u64, target: Target) -> Self {
        let mut rng = Rng::new(seed);
        let rows = rows(&mut rng, seed, &target);
        let present = if rng.percent(40) { present(&mut rng, &rows, &target) } else { Vec::new() };
        let (in_flight, import_batch) = (rng.one(&[1, 2, 4, 8]), rng.one(&[1, 2, 4, 8, 20]));
        let faults = faults::draw(&mut rng, &target);
        let stints = stints(&mut rng, seed, &target);
        let lag = rng.one(&[0, 0, 20, 150]);
        // What would refuse a second customer has none.
        let lenient = rng.percent(50) || present.iter().any(|there| there.times > 1);
        Self {
            seed,
            target,
            vendor: target.provider.tortured(lenient, lag),
            customers: if target.lists() { rng.one(&[0, 0, 60, 130, 250]) } else { 0 },
            rows,
            present,
            updates: target.capabilities.update_customer && rng.percent(60),
            in_flight,
            import_batch,
            faults,
            latest: LATEST,
            stints,
        }
    }

    /// The references of the file.
    pub fn references(&self) -> BTreeSet<&str> {
        self.rows.iter().map(|row| row.reference.as_str()).collect()
    }

    /// The customer that was there before the file.
    pub fn there(&self, reference: &str) -> Option<&Present> {
        self.present.iter().find(|there| there.reference == reference)
    }

    /// The file; single-use tokens are as old as `now`, in seconds.
    pub fn file(&self, now: i64) -> String {
        let (metadata, columns) = (self.target.metadata(), providers::COLUMNS);
        let tier = if metadata { "metadata.tier," } else { "" };
        let mut file = format!("row_id,reference,name,email,{tier}{columns},default\n");
        for row in &self.rows {
            let (reference, id) = (&row.reference, &row.id);
            file += &format!("{id},{reference},{},{},", name(reference), email(reference));
            file += if metadata { "gold," } else { "" };
            file += &match &row.method {
                None => ",".repeat(columns.matches(',').count() + 1),
                Some(method) => {
                    let default = if method.default { "true" } else { "" };
                    format!("{},{default}", method.cells(&self.target, now))
                }
            };
            file.push('\n');
        }
        file
    }
}

/// The name that the file has for a reference.
pub fn name(reference: &str) -> String {
    format!("Name {reference}")
}

/// The e-mail that the file has for a reference.
pub fn email(reference: &str) -> String {
    format!("{reference}@example.com")
}

impl Method {
    /// Its cells of a row of the file.
    fn cells(&self, target: &Target, now: i64) -> String {
        let Self { is, token, number, .. } = self;
        Written::new(target.provider, is.clone(), *token, *number, now).cells()
    }

    /// What tells it from the other methods of its customer.
    pub fn facts(&self) -> String {
        facts(&self.is)
    }
}

/// What tells a payment method from the others of its customer.
pub fn facts(method: &providers::Method) -> String {
    match method {
        providers::Method::Card { last4, month, year } => format!("card {last4} {month}/{year}"),
        providers::Method::Bank { last4 } => format!("bank {last4}"),
        providers::Method::Wallet { chain_id, address } => format!("wallet {chain_id} {address}"),
    }
}

fn rows(rng: &mut Rng, seed: u64, target: &Target) -> Vec<Row> {
    let wanted = rng.between(30, 80);
    let (mut together, mut apart): (Vec<Row>, Vec<Row>) = (Vec::new(), Vec::new());
    let (kinds, mut customer) = (target.kinds(), 0);
    while ((together.len() + apart.len()) as u64) < wanted {
        customer += 1;
        let reference = format!("S{seed}-{customer}");
        let stands_apart = rng.percent(25);
        let methods = if kinds.is_empty() { 0 } else { rng.below(target.most_methods() + 1) };
        let default = target.defaults() && rng.percent(60);
        let default = default.then(|| rng.below(methods));
        let mut taken = BTreeSet::new();
        for no in 0..methods.max(1) {
            let method = (methods > 0).then(|| {
                let kind = rng.one(&kinds);
                let number = another(rng, &mut taken);
                let default = default == Some(no);
                method(rng, target, kind, number, customer * 10 + no, default)
            });
            let row = Row { id: format!("r{customer}-{no}"), reference: reference.clone(), method };
            if stands_apart && no > 0 { apart.push(row) } else { together.push(row) }
        }
    }
    for row in apart {
        let at = rng.below(together.len() as u64 + 1);
        together.insert(usize::try_from(at).unwrap_or(0), row);
    }
    together
}

fn method(
    rng: &mut Rng,
    target: &Target,
    kind: MethodKind,
    number: u32,
    token: u64,
    default: bool,
) -> Method {
    let is = providers::Method::numbered(kind, number);
    let kinds = is.token_kinds(&target.capabilities);
    Method { token: rng.one(&kinds), is, number: token, default }
}

/// A number below 9000 that no other method of the customer has.
fn another(rng: &mut Rng, taken: &mut BTreeSet<u64>) -> u32 {
    loop {
        let number = rng.below(9000);
        if taken.insert(number) {
            return u32::try_from(number).unwrap_or(0);
        }
    }
}

fn present(rng: &mut Rng, rows: &[Row], target: &Target) -> Vec<Present> {
    let references: BTreeSet<&str> = rows.iter().map(|row| row.reference.as_str()).collect();
    let (kinds, mut present) = (target.kinds(), Vec::new());
    for reference in references {
        if !rng.percent(20) {
            continue;
        }
        let of_file = rows.iter().filter(|row| row.reference == reference);
        let mut methods: Vec<_> =
            of_file.filter_map(|row| Some(row.method.as_ref()?.is.clone())).collect();
        methods.retain(|_| rng.percent(40));
        if !kinds.is_empty() && rng.percent(30) {
            let number = 9000 + u32::try_from(rng.below(1000)).unwrap_or(0);
            methods.push(providers::Method::numbered(rng.one(&kinds), number));
        }
        methods.truncate(usize::try_from(target.most_methods()).unwrap_or(0));
        let times = if target.lists() && rng.percent(10) { 2 } else { 1 };
        let deleted = target.keeps_references() && rng.percent(30);
        present.push(Present { reference: reference.to_owned(), methods, times, deleted });
    }
    present
}

fn stints(rng: &mut Rng, seed: u64, target: &Target) -> Vec<Stint> {
    let mut stints = Vec::new();
    for no in 0..rng.between(1, 3) {
        let begin = match rng.below(10) {
            _ if no == 0 => Begin::Import,
            0..5 => Begin::Resume,
            5..8 => Begin::Import,
            _ => Begin::Cancel,
        };
        // The first ones in turn, so that no point is left out.
        let point = match usize::try_from(seed) {
            Ok(seed) if no == 0 => Failpoint::ALL[seed % Failpoint::ALL.len()],
            _ => rng.one(&Failpoint::ALL),
        };
        let nth = rng.between(1, if is_of_every_call(point) { 16 } else { 1 });
        let end = match rng.below(10) {
            0..6 => End::Crash { point, nth, after_ms: rng.one(&[0, 0, 1, 3, 10, 30]) },
            6 => End::Stop { point, nth },
            7..9 => End::Pause { point, nth, for_ms: rng.between(20, 900) },
            _ => End::Through,
        };
        let others = if target.lists() && no > 0 { rng.one(&[0, 0, 0, 1, 5, 120]) } else { 0 };
        stints.push(Stint { begin, end, others });
    }
    stints
}

/// Whether a run comes to a point with every few calls that change something, and not only once
/// or twice.
pub const fn is_of_every_call(point: Failpoint) -> bool {
    matches!(
        point,
        Failpoint::BeforeIntent
            | Failpoint::AfterIntent
            | Failpoint::InFlight
            | Failpoint::AfterAnswer
            | Failpoint::AfterOutcome
    )
}
