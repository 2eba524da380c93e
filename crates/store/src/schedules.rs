//! Schedules: which slot of which was taken by whom, and what came of it.
//!
//! A slot is a time at which a schedule is due. The unique row of (schedule, slot) lets one process
//! alone start it; a lease on that row says that its process is alive, by the database's clock.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use model::{AccountName, RunId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::records::words;
use crate::{Owner, StoreError};

words! {
    /// What became of a slot.
    FireState {
        /// A process is at work on it, or was and is gone: its lease tells.
        Running = "running",
        /// Its job ended well.
        Done = "done",
        /// Its job ended, with differences or declined rows over the threshold.
        Differences = "differences",
        /// Its job failed, or ended with only part of its work done.
        Failed = "failed",
        /// Its process was asked to stop while it was at work; what it began is resumable.
        Stopped = "stopped",
        /// Its process is gone, and nobody took it up again.
        Lost = "lost",
        /// It was not started.
        Skipped = "skipped",
    }
}

impl FireState {
    /// Whether the job did all that it was to do.
    #[must_use]
    pub const fn is_good(self) -> bool {
        matches!(self, Self::Done | Self::Differences)
    }
}

words! {
    /// Why a slot was not started.
    SkipReason {
        /// Nothing ran when it was due.
        Missed = "missed",
        /// The run of an earlier slot was at work still.
        StillRunning = "still_running",
        /// Somebody had paused the schedule.
        Paused = "paused",
    }
}

words! {
    /// What an alert is about.
    AlertKind {
        /// A scheduled job failed, or was not finished.
        Failed = "failed",
        /// A scheduled job ended with differences or declined rows over its threshold.
        Differences = "differences",
        /// A schedule has had no good run for longer than it should.
        Overdue = "overdue",
    }
}

/// A schedule as the store knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScheduleRow {
    /// Its name in the configuration.
    pub name: String,
    /// When it is due, as the configuration said it last.
    pub line: String,
    /// Whether somebody paused it.
    pub paused: bool,
    /// The last slot that was decided; what is due is behind it.
    pub last_slot: Timestamp,
}

/// A slot that was decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FireRow {
    /// The schedule.
    pub schedule: String,
    /// When it was due; of one that was started by hand, when it was asked for.
    pub slot: Timestamp,
    /// Whether a person started it.
    pub by_hand: bool,
    /// Where it stands.
    pub state: FireState,
    /// The word for why it was skipped or failed.
    pub reason: Option<String>,
    /// The same for people.
    pub message: Option<String>,
    /// The run that its job was; of several the last.
    pub run: Option<RunId>,
    /// How many times it was begun.
    pub attempt: i64,
    /// Who began it last.
    pub owner: Option<String>,
    /// Whether that process is alive: its lease has not run out.
    pub alive: bool,
    /// When it was begun first.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
}

/// The right to work on a slot, and to say what came of it: void once somebody else has begun it.
#[derive(Clone, PartialEq, Eq)]
pub struct Fire {
    /// The schedule.
    pub schedule: String,
    /// The slot.
    pub slot: Timestamp,
    /// Whether a person started it.
    pub by_hand: bool,
    /// How many times it was begun, this time included.
    pub attempt: i64,
    pub(crate) owner: String,
}

impl Fire {
    /// What its runs name as their cause.
    #[must_use]
    pub fn cause(&self) -> String {
        format!("schedule {} {}", self.schedule, self.slot)
    }
}

impl fmt::Debug for Fire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fire({} {} #{})", self.schedule, self.slot, self.attempt)
    }
}

/// Slots of a schedule that are due, to be decided together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueSlots {
    /// The schedule.
    pub schedule: String,
    /// The last slot that was decided when these were found: nobody else must have decided since.
    pub after: Timestamp,
    /// Those that nothing is started for.
    pub missed: Vec<Timestamp>,
    /// The one to start.
    pub start: Option<Timestamp>,
}

/// What became of [`DueSlots`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Taken {
    /// This one is ours to work on.
    Started(Fire),
    /// None is started: the last was skipped for this.
    Skipped(SkipReason),
    /// Another process decided them.
    Elsewhere,
}

/// What there is of a slot that was left unfinished.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Left {
    /// Nothing, or somebody is at work on it.
    Nothing,
    /// It is ours to work on.
    TakenUp(Fire),
    /// It was begun too often: it is lost now.
    GivenUp(Timestamp),
}

/// Something that people are to be told, once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alert {
    /// What makes it the same alert: raised again under this key, it is not told again.
    pub key: String,
    /// What it is about.
    pub kind: AlertKind,
    /// The schedule.
    pub schedule: String,
    /// The run, if there was one.
    pub run: Option<String>,
    /// What happened, for people.
    pub message: String,
    /// When.
    pub raised_at: Timestamp,
}

/// What the scheduler asks of a database.
#[async_trait]
pub trait Schedules: Send + Sync {
    /// Writes down the schedules of the configuration, each a name and when it is due. A new one,
    /// or one that is due at other times than before, begins now: none of its earlier slots is due.
    /// What they are, in the same order.
    async fn know_schedules(
        &self,
        schedules: &[(String, String)],
        now: Timestamp,
    ) -> Result<Vec<ScheduleRow>, StoreError>;

    /// Pauses a schedule, or lets it go on; whether there is one of this name.
    async fn pause_schedule(&self, name: &str, paused: bool) -> Result<bool, StoreError>;

    /// Decides slots: writes a row for each, and says whether one of them is ours. Not while a run
    /// of the schedule is at work; one whose process is gone is written down as lost.
    async fn take_slots(
        &self,
        due: &DueSlots,
        owner: &Owner,
        lease: Duration,
        now: Timestamp,
    ) -> Result<Taken, StoreError>;

    /// Begins a schedule by hand, whether it is paused or not; `None` while a run of it is at work.
    async fn start_by_hand(
        &self,
        schedule: &str,
        owner: &Owner,
        lease: Duration,
        now: Timestamp,
    ) -> Result<Option<Fire>, StoreError>;

    /// Takes up again the last slot of a schedule that was begun, if its process is gone or was
    /// stopped, no person had started it, and it was begun fewer than `most` times. One whose
    /// process was gone as many times is written down as lost.
    async fn take_up_again(
        &self,
        schedule: &str,
        owner: &Owner,
        lease: Duration,
        most: i64,
        now: Timestamp,
    ) -> Result<Left, StoreError>;

    /// Holds on to a slot; false once it is somebody else's.
    async fn hold_fire(&self, fire: &Fire, lease: Duration) -> Result<bool, StoreError>;

    /// Writes what came of a slot; false when it is somebody else's by now.
    async fn end_fire(
        &self,
        fire: &Fire,
        end: &FireEnd,
        now: Timestamp,
    ) -> Result<bool, StoreError>;

    /// The slots of a schedule that were decided, the latest first.
    async fn fires(&self, schedule: &str, most: u32) -> Result<Vec<FireRow>, StoreError>;

    /// A schedule's last good run, by the cron line or by hand.
    async fn last_good(&self, schedule: &str) -> Result<Option<FireRow>, StoreError>;

    /// The first slot of a schedule that was decided.
    async fn first_slot(&self, schedule: &str) -> Result<Option<Timestamp>, StoreError>;

    /// The runs that name this as their cause, the oldest first.
    async fn runs_caused_by(&self, cause: &str) -> Result<Vec<RunId>, StoreError>;

    /// The imports at an account of an input with this SHA-256 (hex), dry runs left out, the latest
    /// first.
    async fn imports_of(
        &self,
        account: &AccountName,
        sha256: &str,
        most: u32,
    ) -> Result<Vec<RunId>, StoreError>;

    /// Writes an alert down to be sent; false if it was raised before.
    async fn raise_alert(&self, alert: &Alert) -> Result<bool, StoreError>;

    /// Takes alerts that are to be sent now, the oldest first; those that are not heard are due
    /// again after `pause`, then after twice as long, up to thirty times.
    async fn take_alerts(&self, most: u32, pause: Duration) -> Result<Vec<Alert>, StoreError>;

    /// An alert has been heard: it is not sent again.
    async fn alert_sent(&self, key: &str, now: Timestamp) -> Result<(), StoreError>;
}

/// How the work on a slot ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FireEnd {
    /// Where it stands then.
    pub state: FireState,
    /// The word for why, if it is not done.
    pub reason: Option<String>,
    /// The same for people.
    pub message: Option<String>,
    /// The run that its job was; of several the last.
    pub run: Option<RunId>,
}

// Texts for both databases. The first statement of a transaction writes the schedule's row, so that
// the next process waits for it.

pub(crate) const KNOW: &str = "INSERT INTO schedules (name, line, paused, last_slot) \
     VALUES ($1, $2, 0, $3) ON CONFLICT (name) DO UPDATE SET \
     last_slot = CASE WHEN schedules.line = excluded.line THEN schedules.last_slot \
         WHEN schedules.last_slot > excluded.last_slot THEN schedules.last_slot \
         ELSE excluded.last_slot END, \
     line = excluded.line RETURNING name, line, paused, last_slot";
pub(crate) const PAUSE: &str = "UPDATE schedules SET paused = $2 WHERE name = $1";
pub(crate) const ADVANCE: &str = "UPDATE schedules SET last_slot = $3 \
     WHERE name = $1 AND last_slot = $2 RETURNING paused";
pub(crate) const LOCK: &str = "UPDATE schedules SET paused = paused WHERE name = $1";
pub(crate) const AT_WORK: &str = "SELECT COUNT(*) FROM fires \
     WHERE schedule = $1 AND state = 'running' AND lease_until >= $2";
pub(crate) const LOSE: &str = "UPDATE fires SET state = 'lost', owner = NULL, lease_until = 0, \
     ended_at = $2, message = 'it was not finished when a later slot was due' \
     WHERE schedule = $1 AND state IN ('running', 'stopped')";
pub(crate) const SKIP: &str = "INSERT INTO fires (schedule, slot, state, reason, message, at) \
     VALUES ($1, $2, 'skipped', $3, $4, $5) ON CONFLICT (schedule, slot) DO NOTHING";
pub(crate) const START: &str = "INSERT INTO fires (schedule, slot, state, by_hand, attempt, owner, \
     lease_until, started_at, at) VALUES ($1, $2, 'running', $3, 1, $4, $5, $6, $6) \
     ON CONFLICT (schedule, slot) DO NOTHING";
pub(crate) const LEFT: &str = "SELECT slot, attempt, state, lease_until FROM fires \
     WHERE schedule = $1 AND by_hand = 0 AND state <> 'skipped' ORDER BY slot DESC LIMIT 1";
pub(crate) const AGAIN: &str = "UPDATE fires SET state = 'running', attempt = attempt + 1, \
     owner = $3, lease_until = $4, reason = NULL, message = NULL, ended_at = NULL \
     WHERE schedule = $1 AND slot = $2 RETURNING attempt";
pub(crate) const GIVE_UP: &str = "UPDATE fires SET state = 'lost', owner = NULL, lease_until = 0, \
     ended_at = $3, reason = 'gone', message = $4 WHERE schedule = $1 AND slot = $2";
pub(crate) const HOLD: &str = "UPDATE fires SET lease_until = $5 WHERE schedule = $1 AND slot = $2 \
     AND owner = $3 AND attempt = $4 AND state = 'running'";
pub(crate) const END: &str = "UPDATE fires SET state = $5, reason = $6, message = $7, run = $8, \
     ended_at = $9, lease_until = 0 WHERE schedule = $1 AND slot = $2 \
     AND owner = $3 AND attempt = $4 AND state = 'running'";
macro_rules! fires {
    ($rest:literal) => {
        concat!(
            "SELECT schedule, slot, by_hand, state, reason, message, run, attempt, owner, \
             lease_until, started_at, ended_at FROM fires WHERE schedule = $1 ",
            $rest
        )
    };
}
pub(crate) const FIRES: &str = fires!("ORDER BY slot DESC LIMIT $2");
pub(crate) const LAST_GOOD: &str =
    fires!("AND state IN ('done', 'differences') ORDER BY slot DESC LIMIT $2");
pub(crate) const FIRST_SLOT: &str = "SELECT MIN(slot) FROM fires WHERE schedule = $1";
pub(crate) const CAUSED_BY: &str = "SELECT id FROM runs WHERE cause = $1 ORDER BY created_at, id";
pub(crate) const IMPORTS_OF: &str = "SELECT id FROM runs WHERE account = $1 AND input_hash = $2 \
     AND job = 'import' AND writing = 1 ORDER BY created_at DESC, id DESC LIMIT $3";
pub(crate) const RAISE: &str = "INSERT INTO alerts (key, kind, schedule, run, message, raised_at, \
     tries, next_try_at) VALUES ($1, $2, $3, $4, $5, $6, 0, 0) ON CONFLICT (key) DO NOTHING";
/// Later and later: after so long, twice as long, up to thirty times.
pub(crate) const TAKE_ALERTS: &str = "UPDATE alerts SET tries = tries + 1, \
     next_try_at = $1 + $2 * CASE WHEN tries < 30 THEN tries + 1 ELSE 30 END WHERE key IN (SELECT key FROM alerts WHERE sent_at IS NULL AND next_try_at <= $1 \
         ORDER BY next_try_at LIMIT $3) AND sent_at IS NULL AND next_try_at <= $1 \
     RETURNING key, kind, schedule, run, message, raised_at";
pub(crate) const ALERT_SENT: &str = "UPDATE alerts SET sent_at = $2 WHERE key = $1";

/// What a person reads of a slot that was skipped.
pub(crate) fn why(reason: SkipReason, instead: Option<Timestamp>) -> String {
    match (reason, instead) {
        (SkipReason::Missed, Some(slot)) => {
            format!("nothing ran when it was due; the run of {slot} makes it up")
        }
        (SkipReason::Missed, None) => "nothing ran when it was due".to_owned(),
        (SkipReason::StillRunning, _) => "the run of an earlier slot was at work still".to_owned(),
        (SkipReason::Paused, _) => "the schedule was paused".to_owned(),
    }
}

#[cfg(test)]
pub(crate) const STATEMENTS: &[&str] = &[
    KNOW,
    PAUSE,
    ADVANCE,
    LOCK,
    AT_WORK,
    LOSE,
    SKIP,
    START,
    LEFT,
    AGAIN,
    GIVE_UP,
    HOLD,
    END,
    FIRES,
    LAST_GOOD,
    FIRST_SLOT,
    CAUSED_BY,
    IMPORTS_OF,
    RAISE,
    TAKE_ALERTS,
    ALERT_SENT,
];

/// One database's scheduler: its store, its pool to read from, its connection and row. Where it is
/// used, `clock(conn)` is the database's time in microseconds, and `durable!(self, |tx| …)` a durable
/// transaction.
macro_rules! table {
    ($store:ty, $pool:ident, $connection:ty, $row:ty) => {
        fn fire_row(row: &$row, clock: i64) -> Result<$crate::FireRow, $crate::StoreError> {
            Ok($crate::FireRow {
                schedule: get(row, 0)?,
                slot: time(row, 1)?,
                by_hand: get::<i64>(row, 2)? != 0,
                state: word(row, 3, "a slot's state", $crate::FireState::parse)?,
                reason: get(row, 4)?,
                message: get(row, 5)?,
                run: opt_id(row, 6)?,
                attempt: get(row, 7)?,
                owner: get(row, 8)?,
                alive: get::<i64>(row, 9)? >= clock,
                started_at: opt_time(row, 10)?,
                ended_at: opt_time(row, 11)?,
            })
        }

        fn alert(row: &$row) -> Result<$crate::Alert, $crate::StoreError> {
            Ok($crate::Alert {
                key: get(row, 0)?,
                kind: word(row, 1, "an alert's kind", $crate::AlertKind::parse)?,
                schedule: get(row, 2)?,
                run: get(row, 3)?,
                message: get(row, 4)?,
                raised_at: time(row, 5)?,
            })
        }

        async fn is_at_work(
            conn: &mut $connection,
            schedule: &str,
        ) -> Result<bool, $crate::StoreError> {
            let now = clock(conn).await?;
            let alive: i64 = sqlx::query_scalar($crate::schedules::AT_WORK)
                .bind(schedule)
                .bind(now)
                .fetch_one(conn)
                .await?;
            Ok(alive > 0)
        }

        async fn skip(
            conn: &mut $connection,
            schedule: &str,
            slot: model::Timestamp,
            why: ($crate::SkipReason, Option<model::Timestamp>),
            now: model::Timestamp,
        ) -> Result<(), $crate::StoreError> {
            sqlx::query($crate::schedules::SKIP)
                .bind(schedule)
                .bind(slot.micros())
                .bind(why.0.as_str())
                .bind($crate::schedules::why(why.0, why.1))
                .bind(now.micros())
                .execute(conn)
                .await?;
            Ok(())
        }

        /// Begins a slot that nobody has begun; those left unfinished before it are lost.
        async fn start(
            conn: &mut $connection,
            fire: $crate::Fire,
            lease: std::time::Duration,
            now: model::Timestamp,
        ) -> Result<Option<$crate::Fire>, $crate::StoreError> {
            sqlx::query($crate::schedules::LOSE)
                .bind(&fire.schedule)
                .bind(now.micros())
                .execute(&mut *conn)
                .await?;
            let until = clock(conn).await?.saturating_add(micros(lease));
            let begun = sqlx::query($crate::schedules::START)
                .bind(&fire.schedule)
                .bind(fire.slot.micros())
                .bind(i64::from(fire.by_hand))
                .bind(&fire.owner)
                .bind(until)
                .bind(now.micros())
                .execute(conn)
                .await?;
            Ok((begun.rows_affected() > 0).then_some(fire))
        }

        async fn take(
            conn: &mut $connection,
            due: &$crate::DueSlots,
            owner: &$crate::Owner,
            lease: std::time::Duration,
            now: model::Timestamp,
        ) -> Result<$crate::Taken, $crate::StoreError> {
            use $crate::{Fire, SkipReason, Taken};
            let slots = || due.missed.iter().copied().chain(due.start);
            let Some(last) = slots().max() else { return Ok(Taken::Elsewhere) };
            let paused: Option<i64> = sqlx::query_scalar($crate::schedules::ADVANCE)
                .bind(&due.schedule)
                .bind(due.after.micros())
                .bind(last.micros())
                .fetch_optional(&mut *conn)
                .await?;
            let Some(paused) = paused else { return Ok(Taken::Elsewhere) };
            if paused != 0 {
                for slot in slots() {
                    skip(conn, &due.schedule, slot, (SkipReason::Paused, None), now).await?;
                }
                return Ok(Taken::Skipped(SkipReason::Paused));
            }
            for slot in &due.missed {
                skip(conn, &due.schedule, *slot, (SkipReason::Missed, due.start), now).await?;
            }
            let Some(slot) = due.start else { return Ok(Taken::Skipped(SkipReason::Missed)) };
            if !is_at_work(conn, &due.schedule).await? {
                let (schedule, owner) = (due.schedule.clone(), owner.0.clone());
                let fire = Fire { schedule, slot, by_hand: false, attempt: 1, owner };
                if let Some(fire) = start(conn, fire, lease, now).await? {
                    return Ok(Taken::Started(fire));
                }
                return Ok(Taken::Elsewhere);
            }
            skip(conn, &due.schedule, slot, (SkipReason::StillRunning, None), now).await?;
            Ok(Taken::Skipped(SkipReason::StillRunning))
        }

        async fn again(
            conn: &mut $connection,
            schedule: &str,
            owner: &$crate::Owner,
            lease: std::time::Duration,
            most: i64,
            now: model::Timestamp,
        ) -> Result<$crate::Left, $crate::StoreError> {
            use $crate::{FireState, Left};
            sqlx::query($crate::schedules::LOCK).bind(schedule).execute(&mut *conn).await?;
            let left: Option<$row> = sqlx::query($crate::schedules::LEFT)
                .bind(schedule)
                .fetch_optional(&mut *conn)
                .await?;
            let Some(left) = left else { return Ok(Left::Nothing) };
            let state = word(&left, 2, "a slot's state", FireState::parse)?;
            let (slot, attempt) = (time(&left, 0)?, get::<i64>(&left, 1)?);
            let left = match state {
                FireState::Stopped => true,
                FireState::Running => get::<i64>(&left, 3)? < clock(conn).await?,
                _ => false,
            };
            if !left || is_at_work(conn, schedule).await? {
                return Ok(Left::Nothing);
            }
            // Whoever stopped it asked for that: it is no sign that the job ends its process.
            if attempt >= most && state == FireState::Running {
                sqlx::query($crate::schedules::GIVE_UP)
                    .bind(schedule)
                    .bind(slot.micros())
                    .bind(now.micros())
                    .bind(format!("its process was gone {attempt} times"))
                    .execute(conn)
                    .await?;
                return Ok(Left::GivenUp(slot));
            }
            let until = clock(conn).await?.saturating_add(micros(lease));
            let attempt: i64 = sqlx::query_scalar($crate::schedules::AGAIN)
                .bind(schedule)
                .bind(slot.micros())
                .bind(&owner.0)
                .bind(until)
                .fetch_one(conn)
                .await?;
            let (schedule, owner) = (schedule.to_owned(), owner.0.clone());
            let fire = $crate::Fire { schedule, slot, by_hand: false, attempt, owner };
            Ok(Left::TakenUp(fire))
        }

        impl $store {
            async fn read_fires(
                &self,
                text: &'static str,
                schedule: &str,
                most: u32,
            ) -> Result<Vec<$crate::FireRow>, $crate::StoreError> {
                let mut conn = self.$pool.acquire().await?;
                let now = clock(&mut conn).await?;
                let rows = sqlx::query(text)
                    .bind(schedule)
                    .bind(i64::from(most))
                    .fetch_all(&mut *conn)
                    .await?;
                rows.iter().map(|row| fire_row(row, now)).collect()
            }
        }

        #[async_trait::async_trait]
        impl $crate::Schedules for $store {
            async fn know_schedules(
                &self,
                schedules: &[(String, String)],
                now: model::Timestamp,
            ) -> Result<Vec<$crate::ScheduleRow>, $crate::StoreError> {
                durable!(self, |tx| {
                    let mut rows = Vec::with_capacity(schedules.len());
                    for (name, line) in schedules {
                        let row: $row = sqlx::query($crate::schedules::KNOW)
                            .bind(name)
                            .bind(line)
                            .bind(now.micros())
                            .fetch_one(&mut *tx)
                            .await?;
                        rows.push($crate::ScheduleRow {
                            name: get(&row, 0)?,
                            line: get(&row, 1)?,
                            paused: get::<i64>(&row, 2)? != 0,
                            last_slot: time(&row, 3)?,
                        });
                    }
                    rows
                })
            }

            async fn pause_schedule(
                &self,
                name: &str,
                paused: bool,
            ) -> Result<bool, $crate::StoreError> {
                durable!(self, |tx| {
                    let done = sqlx::query($crate::schedules::PAUSE)
                        .bind(name)
                        .bind(i64::from(paused))
                        .execute(&mut *tx)
                        .await?;
                    done.rows_affected() > 0
                })
            }

            async fn take_slots(
                &self,
                due: &$crate::DueSlots,
                owner: &$crate::Owner,
                lease: std::time::Duration,
                now: model::Timestamp,
            ) -> Result<$crate::Taken, $crate::StoreError> {
                durable!(self, |tx| take(&mut tx, due, owner, lease, now).await?)
            }

            async fn start_by_hand(
                &self,
                schedule: &str,
                owner: &$crate::Owner,
                lease: std::time::Duration,
                now: model::Timestamp,
            ) -> Result<Option<$crate::Fire>, $crate::StoreError> {
                durable!(self, |tx| {
                    sqlx::query($crate::schedules::LOCK).bind(schedule).execute(&mut *tx).await?;
                    if is_at_work(&mut tx, schedule).await? {
                        None
                    } else {
                        let (schedule, owner) = (schedule.to_owned(), owner.0.clone());
                        let fire =
                            $crate::Fire { schedule, slot: now, by_hand: true, attempt: 1, owner };
                        start(&mut tx, fire, lease, now).await?
                    }
                })
            }

            async fn take_up_again(
                &self,
                schedule: &str,
                owner: &$crate::Owner,
                lease: std::time::Duration,
                most: i64,
                now: model::Timestamp,
            ) -> Result<$crate::Left, $crate::StoreError> {
                durable!(self, |tx| again(&mut tx, schedule, owner, lease, most, now).await?)
            }

            async fn hold_fire(
                &self,
                fire: &$crate::Fire,
                lease: std::time::Duration,
            ) -> Result<bool, $crate::StoreError> {
                durable!(self, |tx| {
                    let until = clock(&mut tx).await?.saturating_add(micros(lease));
                    let held = sqlx::query($crate::schedules::HOLD)
                        .bind(&fire.schedule)
                        .bind(fire.slot.micros())
                        .bind(&fire.owner)
                        .bind(fire.attempt)
                        .bind(until)
                        .execute(&mut *tx)
                        .await?;
                    held.rows_affected() > 0
                })
            }

            async fn end_fire(
                &self,
                fire: &$crate::Fire,
                end: &$crate::FireEnd,
                now: model::Timestamp,
            ) -> Result<bool, $crate::StoreError> {
                durable!(self, |tx| {
                    let ended = sqlx::query($crate::schedules::END)
                        .bind(&fire.schedule)
                        .bind(fire.slot.micros())
                        .bind(&fire.owner)
                        .bind(fire.attempt)
                        .bind(end.state.as_str())
                        .bind(end.reason.as_deref())
                        .bind(end.message.as_deref())
                        .bind(end.run.as_ref().map(model::RunId::as_str))
                        .bind(now.micros())
                        .execute(&mut *tx)
                        .await?;
                    ended.rows_affected() > 0
                })
            }

            async fn fires(
                &self,
                schedule: &str,
                most: u32,
            ) -> Result<Vec<$crate::FireRow>, $crate::StoreError> {
                self.read_fires($crate::schedules::FIRES, schedule, most).await
            }

            async fn last_good(
                &self,
                schedule: &str,
            ) -> Result<Option<$crate::FireRow>, $crate::StoreError> {
                let fires = self.read_fires($crate::schedules::LAST_GOOD, schedule, 1).await?;
                Ok(fires.into_iter().next())
            }

            async fn first_slot(
                &self,
                schedule: &str,
            ) -> Result<Option<model::Timestamp>, $crate::StoreError> {
                let first: Option<i64> = sqlx::query_scalar($crate::schedules::FIRST_SLOT)
                    .bind(schedule)
                    .fetch_one(&self.$pool)
                    .await?;
                Ok(first.map(model::Timestamp::from_micros))
            }

            async fn runs_caused_by(
                &self,
                cause: &str,
            ) -> Result<Vec<model::RunId>, $crate::StoreError> {
                let ids: Vec<String> = sqlx::query_scalar($crate::schedules::CAUSED_BY)
                    .bind(cause)
                    .fetch_all(&self.$pool)
                    .await?;
                ids.into_iter().map($crate::decode::as_id).collect()
            }

            async fn imports_of(
                &self,
                account: &model::AccountName,
                sha256: &str,
                most: u32,
            ) -> Result<Vec<model::RunId>, $crate::StoreError> {
                let ids: Vec<String> = sqlx::query_scalar($crate::schedules::IMPORTS_OF)
                    .bind(account.as_str())
                    .bind(sha256)
                    .bind(i64::from(most))
                    .fetch_all(&self.$pool)
                    .await?;
                ids.into_iter().map($crate::decode::as_id).collect()
            }

            async fn raise_alert(&self, alert: &$crate::Alert) -> Result<bool, $crate::StoreError> {
                durable!(self, |tx| {
                    let raised = sqlx::query($crate::schedules::RAISE)
                        .bind(&alert.key)
                        .bind(alert.kind.as_str())
                        .bind(&alert.schedule)
                        .bind(alert.run.as_deref())
                        .bind(&alert.message)
                        .bind(alert.raised_at.micros())
                        .execute(&mut *tx)
                        .await?;
                    raised.rows_affected() > 0
                })
            }

            async fn take_alerts(
                &self,
                most: u32,
                pause: std::time::Duration,
            ) -> Result<Vec<$crate::Alert>, $crate::StoreError> {
                durable!(self, |tx| {
                    let now = clock(&mut tx).await?;
                    let rows = sqlx::query($crate::schedules::TAKE_ALERTS)
                        .bind(now)
                        .bind(micros(pause))
                        .bind(i64::from(most))
                        .fetch_all(&mut *tx)
                        .await?;
                    let mut alerts =
                        rows.iter().map(alert).collect::<Result<Vec<_>, $crate::StoreError>>()?;
                    alerts.sort_by_key(|alert| alert.raised_at);
                    alerts
                })
            }

            async fn alert_sent(
                &self,
                key: &str,
                now: model::Timestamp,
            ) -> Result<(), $crate::StoreError> {
                durable!(self, |tx| {
                    sqlx::query($crate::schedules::ALERT_SENT)
                        .bind(key)
                        .bind(now.micros())
                        .execute(&mut *tx)
                        .await?;
                })
            }
        }
    };
}
pub(crate) use table;
