//! The list of customers.

use std::collections::BTreeSet;

use anyhow::{Context as _, bail, ensure};
use backend::{Capabilities, ListOrder, MethodListing, PageRequest};
use model::RemoteCustomer;

use super::mutant::{self, By, How, Mutant};
use super::world::{World, ctx, timing};
use super::{Case, case, relay};
use crate::providers::Opening;

/// More than two pages of each size.
const MANY: usize = 230;

pub fn cases() -> Vec<Case> {
    vec![
        case!(
            everybody_is_listed_once,
            |_| true,
            MANY,
            &[
                Mutant::new("drops_a_row", How::Page(|_, page| drop(page.items.pop()))),
                Mutant::new(
                    "drops_a_row_unsaid",
                    How::Page(|_, page| {
                        page.received -= u64::from(page.items.pop().is_some());
                    })
                ),
                Mutant::new(
                    "repeats_a_row",
                    How::Page(|_, page| {
                        if let Some(last) = page.items.last().cloned()
                            && let Some(first) = page.items.first_mut()
                        {
                            *first = last;
                        }
                    })
                ),
                Mutant::new("ends_early", How::Page(mutant::ends)),
                Mutant::only(
                    "oldest_first",
                    newest_first,
                    How::Page(|_, page| page.items.reverse())
                ),
                Mutant::only(
                    "loses_the_total",
                    |c| c.customers_total,
                    How::Page(|_, page| {
                        page.total = page.total.map(|total| total + 1);
                    })
                ),
                Mutant::new("misreads", How::Customer(By::List, |one| one.profile.email = None)),
            ]
        ),
        case!(
            a_short_page_is_not_the_end,
            |_| true,
            40,
            &[
                Mutant::only(
                    "is_the_end",
                    |c| !c.customers_total,
                    How::Page(mutant::ends_where_short)
                ),
                Mutant::only(
                    "counts_what_was_shown",
                    |c| c.customers_total,
                    How::Page(|_, page| {
                        page.total = Some(page.received);
                    })
                ),
            ]
        ),
        case!(
            an_empty_page_is_the_end,
            |_| true,
            3,
            &[Mutant::new("never_ends", How::Page(mutant::never_ends)),]
        ),
        case!(
            an_unreadable_row_spoils_no_other,
            |_| true,
            3,
            &[
                Mutant::new(
                    "spoils_its_page",
                    How::Page(|_, page| {
                        if !page.unreadable.is_empty() {
                            page.items.clear();
                        }
                    })
                ),
                Mutant::new("says_nothing_of_it", How::Page(|_, page| page.unreadable.clear())),
                Mutant::new(
                    "makes_something_up",
                    How::Page(|_, page| {
                        if page.unreadable.pop().is_some() {
                            page.items.extend(page.items.first().cloned());
                        }
                    })
                ),
            ]
        ),
    ]
}

fn newest_first(capabilities: &Capabilities) -> bool {
    capabilities.customers_order == ListOrder::NewestFirst
}

/// Fails if one is there twice.
fn ids(listed: &[RemoteCustomer]) -> anyhow::Result<BTreeSet<&str>> {
    let ids: BTreeSet<&str> = listed.iter().map(|customer| customer.id.as_str()).collect();
    ensure!(ids.len() == listed.len(), "{} rows are {} customers", listed.len(), ids.len());
    Ok(ids)
}

async fn everybody_is_listed_once(w: &World) -> anyhow::Result<()> {
    let held = w.at.customers(w.account());
    for size in [w.capabilities.customers_page, 90, 7] {
        let listed = w.list(size).await?;
        let there: BTreeSet<&str> = held.iter().map(|customer| customer.id.as_str()).collect();
        ensure!(ids(&listed)? == there, "{} are listed of {}", listed.len(), there.len());
        for customer in &listed {
            let held = held.iter().find(|held| held.id == customer.id.as_str());
            let held = held.context("nobody has this id")?;
            ensure!(customer.reference == held.reference, "{customer:?} of {held:?}");
            ensure!(customer.profile.email == held.email, "{customer:?} of {held:?}");
            ensure!(customer.profile.full_name() == held.name, "{customer:?} of {held:?}");
        }
        if newest_first(&w.capabilities) {
            // Those that were made from the seed are numbered in the order of their making.
            let newest_first =
                listed.is_sorted_by(|newer, older| newer.reference > older.reference);
            ensure!(newest_first, "not the newest first");
        }
    }
    let total = w.list_customers(&ctx(), &PageRequest::first(1)).await?.total;
    let expected = w.capabilities.customers_total.then_some(u64::try_from(held.len())?);
    ensure!(total == expected, "a total of {total:?}");
    Ok(())
}

async fn a_short_page_is_not_the_end(w: &World) -> anyhow::Result<()> {
    w.faults("list_customers:1=short_page,list_customers:3=short_page")?;
    let listed = w.list(8).await?;
    let listed = ids(&listed)?.len();
    let held = w.at.customers(w.account()).len();
    // Where pages are numbered and the total is known, what a page lacked is known to lack.
    ensure!(w.capabilities.customers_total || listed == held, "{listed} are listed of {held}");
    w.all_fired()?;
    w.faults("list_customers:1=short_page")?;
    let first = w.list_customers(&ctx(), &PageRequest::first(8)).await?;
    let total = w.capabilities.customers_total.then_some(u64::try_from(held)?);
    ensure!(first.total == total && first.received < 8, "{} of {:?}", first.received, first.total);
    ensure!(first.next.is_some(), "a short page is the end");
    w.all_fired()
}

async fn an_empty_page_is_the_end(w: &World) -> anyhow::Result<()> {
    let empty = w.open(&Opening::of(w.provider.empty()), timing())?;
    let first = empty.backend.list_customers(&ctx(), &PageRequest::first(100)).await?;
    ensure!(first.received == 0 && first.items.is_empty(), "{first:?}");
    ensure!(first.next.is_none(), "{first:?}");
    let total = w.capabilities.customers_total.then_some(0);
    ensure!(first.total == total, "{first:?}");
    // Nobody there is nobody of another account either.
    ensure!(!w.list(100).await?.is_empty(), "the other account is empty, too");
    Ok(())
}

async fn an_unreadable_row_spoils_no_other(w: &World) -> anyhow::Result<()> {
    let (_, customer) = w.somebody()?;
    let all = w.at.customers(w.account()).len();
    let there = async |id: &str| {
        let base_url = Some(relay::breaking(id, w.at.addr()).await?);
        w.open(&Opening { base_url, ..Opening::of(w.account()) }, timing())
    };
    let broken = there(customer.as_str()).await?;
    let listed = broken.backend.list_customers(&ctx(), &PageRequest::first(100)).await?;
    let readable = listed.items.iter().all(|one| one.id != customer);
    let (items, unreadable) = (listed.items.len(), listed.unreadable.len());
    ensure!(readable && items + 1 == all && unreadable == 1, "{items} and {unreadable} of {all}");
    ensure!(listed.received == u64::try_from(all)?, "{} are received", listed.received);
    ids(&listed.items)?;
    let (method, _) = (w.saved(&customer)?, w.saved(&customer)?);
    let broken = there(method.as_str()).await?;
    if w.capabilities.methods == MethodListing::Inline {
        // Who cannot be shown with all of its payment methods is not shown: one would seem removed.
        let listed = broken.backend.list_customers(&ctx(), &PageRequest::first(100)).await?;
        let [unreadable] = listed.unreadable.as_slice() else { bail!("{:?}", listed.unreadable) };
        ensure!(unreadable.id.as_deref() == Some(customer.as_str()), "{unreadable:?}");
        ensure!(listed.items.len() + 1 == all, "{} of {all}", listed.items.len());
        return Ok(());
    }
    let page = PageRequest::first(100);
    let listed = broken.backend.list_methods(&ctx(), &customer, &page).await?;
    let (items, unreadable) = (listed.items.len(), listed.unreadable.len());
    ensure!(items == 1 && unreadable == 1 && listed.received == 2, "{items} and {unreadable}");
    Ok(())
}
