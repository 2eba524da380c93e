//! What one seed draws: a file, what the provider holds before, faults, and how the work is broken
//! off and taken up again. Drawn before anything runs, so that a seed is the same plan every time.

use std::collections::BTreeSet;

use engine::Failpoint;

/// The most that a fault lets the provider be late, in milliseconds.
pub const LATEST: u64 = 200;

/// The provider's endpoints that an import changes something by.
pub const WRITES: [&str; 4] = ["create_customer", "add_method", "set_default", "bulk_import"];

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
    pub bank: bool,
    /// Swapped for a permanent one by the call that saves it, and then spent.
    pub proxynized: bool,
    pub token: String,
    pub last4: String,
    pub month: u64,
    pub year: u64,
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
    pub methods: Vec<Method>,
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
}

/// Everything a seed says.
#[derive(Debug, Clone)]
pub struct Plan {
    pub seed: u64,
    pub rows: Vec<Row>,
    pub present: Vec<Present>,
    pub in_flight: usize,
    pub import_batch: u32,
    /// The sandbox's fault SPEC.
    pub faults: String,
    /// Then the faults end, and the work is taken up until it is done.
    pub stints: Vec<Stint>,
}

impl Plan {
    pub fn draw(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let rows = rows(&mut rng, seed);
        let present = if rng.percent(40) { present(&mut rng, &rows) } else { Vec::new() };
        Self {
            seed,
            rows,
            present,
            in_flight: rng.one(&[1, 2, 4, 8]),
            import_batch: rng.one(&[1, 2, 4, 8, 20]),
            faults: faults(&mut rng),
            stints: stints(&mut rng, seed),
        }
    }

    /// The file; single-use tokens are as old as `now`, in seconds.
    pub fn file(&self, now: i64) -> String {
        let mut file = String::from(
            "row_id,reference,name,email,method,token,token_kind,last4,exp_month,exp_year,\
             account_type,routing_number,default\n",
        );
        for row in &self.rows {
            let (reference, id) = (&row.reference, &row.id);
            file += &format!("{id},{reference},Name {reference},{reference}@example.com,");
            match &row.method {
                None => file += ",,,,,,,,\n",
                Some(method) => file += &method.cells(now),
            }
        }
        file
    }
}

impl Method {
    /// Its cells of a row of the file.
    fn cells(&self, now: i64) -> String {
        let (token, kind) = if self.proxynized {
            (format!("pxt_{now}_{}", self.token), "proxynized")
        } else {
            (self.token.clone(), "processor")
        };
        let default = if self.default { "true" } else { "" };
        if self.bank {
            let last4 = &self.last4;
            format!("bank_account,{token},{kind},{last4},,,checking,110000000,{default}\n")
        } else {
            let Self { last4, month, year, .. } = self;
            format!("card,{token},{kind},{last4},{month},{year},,,{default}\n")
        }
    }

    /// What tells it from the other methods of its customer.
    pub fn facts(&self) -> String {
        if self.bank {
            format!("bank {}", self.last4)
        } else {
            format!("card {} {}/{}", self.last4, self.month, self.year)
        }
    }
}

fn rows(rng: &mut Rng, seed: u64) -> Vec<Row> {
    let wanted = rng.between(30, 80);
    let (mut together, mut apart): (Vec<Row>, Vec<Row>) = (Vec::new(), Vec::new());
    let mut customer = 0;
    while ((together.len() + apart.len()) as u64) < wanted {
        customer += 1;
        let reference = format!("S{seed}-{customer}");
        let stands_apart = rng.percent(25);
        let methods = rng.below(4);
        let default = rng.percent(60).then(|| rng.below(methods));
        let mut taken = BTreeSet::new();
        for no in 0..methods.max(1) {
            let method = (methods > 0).then(|| Method {
                bank: rng.percent(30),
                proxynized: rng.percent(25),
                token: format!("tok_{seed}_{customer}_{no}"),
                last4: last4(rng, &mut taken),
                month: rng.between(1, 12),
                year: rng.between(2030, 2034),
                default: default == Some(no),
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

/// Four digits that no other method of the customer has.
fn last4(rng: &mut Rng, taken: &mut BTreeSet<u64>) -> String {
    loop {
        let digits = rng.below(9000);
        if taken.insert(digits) {
            return format!("{digits:04}");
        }
    }
}

fn present(rng: &mut Rng, rows: &[Row]) -> Vec<Present> {
    let references: BTreeSet<&str> = rows.iter().map(|row| row.reference.as_str()).collect();
    let mut present = Vec::new();
    for reference in references {
        if !rng.percent(20) {
            continue;
        }
        let of_file = rows.iter().filter(|row| row.reference == reference);
        let mut methods: Vec<Method> = of_file.filter_map(|row| row.method.clone()).collect();
        methods.retain(|_| rng.percent(40));
        if rng.percent(30) {
            methods.push(Method {
                bank: false,
                proxynized: false,
                token: String::new(),
                last4: format!("9{:03}", rng.below(1000)),
                month: 1,
                year: 2031,
                default: false,
            });
        }
        present.push(Present { reference: reference.to_owned(), methods });
    }
    present
}

/// About one call in ten goes wrong, at each endpoint by four of these.
fn faults(rng: &mut Rng) -> String {
    let reads = ["find_customer", "get_customer", "list_methods", "token"];
    let mut rules = Vec::new();
    for endpoint in reads.iter().chain(&WRITES) {
        let mut kinds: Vec<String> = [
            "drop_before",
            "drop_after",
            "cut_body",
            "status(500)",
            "status(503)",
            "status(502,html)",
            "garbage_body",
            "throttle",
        ]
        .map(str::to_owned)
        .to_vec();
        kinds.push(format!("delay_ms({})", rng.one(&[20, 150, LATEST])));
        kinds.push(format!("delay_after_ms({})", rng.one(&[20, 150, 400])));
        if WRITES.contains(endpoint) {
            kinds.push("status_after(500)".into());
            kinds.push("status_after(503)".into());
            for _ in 0..3 {
                kinds.push(format!("late_execution_ms({})", rng.between(20, LATEST)));
            }
        }
        if *endpoint == "bulk_import" {
            kinds.extend(["missing_index", "repeat_index", "foreign_index"].map(str::to_owned));
        }
        for no in 0..4 {
            let at = usize::try_from(rng.below(kinds.len() as u64)).unwrap_or(0);
            let kind = kinds.swap_remove(at);
            rules.push(format!("{endpoint}-{no}@{endpoint}:2.5%={kind}"));
        }
    }
    rules.join(",")
}

fn stints(rng: &mut Rng, seed: u64) -> Vec<Stint> {
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
        stints.push(Stint { begin, end });
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
