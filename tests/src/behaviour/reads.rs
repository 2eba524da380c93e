//! What an answer to a read means: made again where that can help, and never taken for an answer
//! that it is not.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use backend::{BackendError, CallCtx, Capabilities, ErrorKind, MethodListing, PageRequest};
use model::{Reference, RemoteCustomerId};

use super::mutant::{How, Mutant, finds};
use super::world::{World, ctx, timing};
use super::{Case, case};
use crate::providers::Opening;

/// One of a provider's reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Read {
    List,
    Methods,
    Get,
    Find,
    Probe,
}

impl Read {
    fn of(capabilities: &Capabilities) -> Vec<Self> {
        let can = [
            (Self::List, true),
            (Self::Methods, capabilities.methods == MethodListing::PerCustomer),
            (Self::Get, capabilities.get_customer),
            (Self::Find, finds(capabilities)),
            (Self::Probe, true),
        ];
        can.into_iter().filter(|(_, can)| *can).map(|(read, _)| read).collect()
    }

    /// The sandbox's name of its endpoint.
    const fn endpoint(self) -> &'static str {
        match self {
            Self::List | Self::Probe => "list_customers",
            Self::Methods => "list_methods",
            Self::Get => "get_customer",
            Self::Find => "find_customer",
        }
    }

    /// What is read of somebody, in one text.
    async fn make(
        self,
        w: &World,
        ctx: &CallCtx,
        (reference, id): &(Reference, RemoteCustomerId),
    ) -> Result<String, BackendError> {
        let page = PageRequest::first(100);
        Ok(match self {
            Self::List => format!("{:?}", w.list_customers(ctx, &page).await?.items),
            Self::Methods => format!("{:?}", w.list_methods(ctx, id, &page).await?.items),
            Self::Get => format!("{:?}", w.get_customer(ctx, id).await?),
            Self::Find => format!("{:?}", w.find_customer(ctx, reference).await?),
            Self::Probe => w.probe(ctx).await?.summary,
        })
    }
}

/// A fault that does not end, and what a read that meets it comes to.
struct Failing {
    name: &'static str,
    fault: &'static str,
    kind: ErrorKind,
    swallows: &'static [Mutant],
}

macro_rules! failing {
    ($name:literal, $fault:literal, $kind:ident) => {
        Failing {
            name: $name,
            fault: $fault,
            kind: ErrorKind::$kind,
            swallows: &[Mutant::new("taken_for_empty", How::Swallows(&[ErrorKind::$kind]))],
        }
    };
}

const FAILING: &[Failing] = &[
    failing!("500", "status(500)", Unavailable),
    failing!("503", "status(503)", Unavailable),
    failing!("502_of_a_gateway", "status(502,html)", Unavailable),
    failing!("no_answer", "drop_before", Unavailable),
    failing!("half_an_answer", "cut_body", Unavailable),
    failing!("an_answer_that_is_none", "garbage_body", Malformed),
    failing!("404_of_a_gateway", "status(404,html)", Malformed),
    failing!("200_of_a_gateway", "status(200,html)", Malformed),
    failing!("400", "status(400)", Invalid),
    failing!("401", "status(401)", Unauthenticated),
    failing!("403", "status(403)", Forbidden),
    failing!("429", "throttle", RateLimited),
];

/// Faults that a read gets over.
const PASSING: [&str; 8] = [
    "status(500)",
    "status(503)",
    "status(502,html)",
    "drop_before",
    "drop_after",
    "cut_body",
    "garbage_body",
    "throttle",
];

pub fn cases() -> Vec<Case> {
    let mut all: Vec<Case> = FAILING
        .iter()
        .map(|failing| Case {
            name: format!("a_read_answered_{}", failing.name),
            applies: |_| true,
            customers: 3,
            run: Arc::new(move |w| Box::pin(a_read_answered(w, failing))),
            mutants: failing.swallows,
        })
        .collect();
    all.push(case!(a_read_is_made_again, |_| true, 3, &[Mutant::new("once_only", How::Hurries),]));
    all.push(case!(
        a_retry_waits_as_asked,
        |_| true,
        3,
        &[Mutant::new("once_only", How::Hurries),]
    ));
    all.push(case!(
        not_there_is_said_by_the_provider_alone,
        |c| c.get_customer,
        3,
        &[
            Mutant::new("believes_a_gateway", How::Swallows(&[ErrorKind::Malformed])),
            Mutant::new("believes_nobody", How::FailsOnNobody),
        ]
    ));
    all.push(case!(
        a_probe_knows_right_from_wrong,
        |_| true,
        3,
        &[Mutant::new(
            "is_always_right",
            How::Swallows(&[ErrorKind::Unauthenticated, ErrorKind::Forbidden,])
        ),]
    ));
    all
}

async fn a_read_answered(w: &World, failing: &Failing) -> anyhow::Result<()> {
    let somebody = w.somebody()?;
    for read in Read::of(&w.capabilities) {
        w.faults(&format!("{}={}", read.endpoint(), failing.fault))?;
        let error = read.make(w, &ctx(), &somebody).await.err();
        let error = error.with_context(|| format!("{read:?} is answered"))?;
        ensure!(error.kind == failing.kind, "{read:?}: {error:?}");
        let is_account_fault =
            matches!(failing.kind, ErrorKind::Unauthenticated | ErrorKind::Forbidden);
        ensure!(error.is_account_fault() == is_account_fault, "{read:?}: {error:?}");
        w.all_fired()?;
    }
    Ok(())
}

async fn a_read_is_made_again(w: &World) -> anyhow::Result<()> {
    let somebody = w.somebody()?;
    for read in Read::of(&w.capabilities) {
        let expected = read.make(w, &ctx(), &somebody).await?;
        for fault in PASSING {
            w.faults(&format!("{}:1={fault}", read.endpoint()))?;
            let answer = read.make(w, &ctx(), &somebody).await;
            let answer = answer.with_context(|| format!("{read:?} after {fault}"))?;
            ensure!(answer == expected, "{read:?} after {fault}: {answer}, not {expected}");
            w.all_fired()?;
        }
    }
    Ok(())
}

async fn a_retry_waits_as_asked(w: &World) -> anyhow::Result<()> {
    let somebody = w.somebody()?;
    w.faults("list_customers:1=throttle(1)")?;
    let began = tokio::time::Instant::now();
    Read::List.make(w, &ctx(), &somebody).await?;
    ensure!(began.elapsed() >= Duration::from_secs(1), "after {:?}", began.elapsed());
    w.all_fired()
}

async fn not_there_is_said_by_the_provider_alone(w: &World) -> anyhow::Result<()> {
    let (_, id) = w.somebody()?;
    w.faults("get_customer:1=status(404)")?;
    let got = w.get_customer(&ctx(), &id).await?;
    ensure!(got.is_none(), "got: {got:?}");
    w.all_fired()?;
    w.faults("get_customer=status(404,html)")?;
    let got = w.get_customer(&ctx(), &id).await;
    let kind = super::world::kind_of(&got);
    ensure!(kind == Some(ErrorKind::Malformed), "got: {got:?}");
    w.all_fired()
}

async fn a_probe_knows_right_from_wrong(w: &World) -> anyhow::Result<()> {
    for merchant in [w.provider.seeded(), w.provider.empty()] {
        let opened = w.open(&Opening::of(merchant), timing())?;
        let probe = opened.backend.probe(&ctx()).await?;
        ensure!(!probe.summary.is_empty(), "it says nothing");
    }
    let opening = Opening { secret: Some(w.provider.wrong_secret()), ..Opening::of(w.account()) };
    let error = w.open(&opening, timing())?.backend.probe(&ctx()).await.err();
    let error = error.context("it is content with a wrong secret")?;
    ensure!(error.is_account_fault(), "{error:?}");
    let text = format!("{error} {error:?}");
    ensure!(!text.contains(w.provider.wrong_secret()), "{text}");
    Ok(())
}
