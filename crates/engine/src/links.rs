//! Links that a person states (rule 8): a whole file of them. Nothing is called at the provider.

use std::collections::HashMap;
use std::path::Path;

use model::{AccountName, Code, CustomerId, RemoteCustomerId};
use store::{LinkMove, LinkMoved, LinkRefused, LinkTo, Store};

use crate::file::{LinkFile, LinkRow, read_links};
use crate::{EngineError, FileError};

/// Customers linked in one transaction.
const BATCH: usize = 100;

/// What a file of links came to.
#[derive(Debug)]
pub enum Linked {
    /// Every customer of the file, in its order. In a dry run: what would become of it.
    Done(Vec<LinkMoved>),
    /// What is wrong with it, by line: nothing was done.
    Wrong(Vec<FileError>),
}

/// A customer of the file with all its rows.
struct OneCustomer {
    rows: Vec<LinkRow>,
    asked: LinkMove,
}

/// Links the customers of an account, and their payment methods, as a file says: all, or, if
/// anything of it is wrong, none. A second pass writes what the first one found to be possible.
///
/// # Errors
/// When the file or the store cannot be read, and when somebody changed what is in the store
/// between the two passes: what was linked until then stays, and the same file goes on from there.
pub async fn link_file(
    store: &dyn Store,
    account: &AccountName,
    path: &Path,
    dry: bool,
) -> Result<Linked, EngineError> {
    let LinkFile { rows, mut wrong } = read_links(path, account)?;
    let file = path.display().to_string();
    let customers = customers(&file, rows, &mut wrong);
    let mut found: Vec<LinkMoved> = Vec::with_capacity(customers.len());
    let mut claimed: HashMap<CustomerId, RemoteCustomerId> = HashMap::new();
    for batch in customers.chunks(BATCH) {
        let moves = batch.iter().map(|one| one.asked.clone()).collect();
        let answers = store.move_links(account, moves, true).await?;
        for (one, answer) in batch.iter().zip(answers) {
            let judged = answer.and_then(|moved| judge(account, one, moved, &mut claimed));
            match judged {
                Ok(moved) => found.push(moved),
                Err(refused) => wrong.push(at_line(&file, one, &refused)),
            }
        }
    }
    if !wrong.is_empty() {
        wrong.sort_by_key(|wrong| wrong.line);
        return Ok(Linked::Wrong(wrong));
    }
    if dry {
        return Ok(Linked::Done(found));
    }
    let mut done = Vec::with_capacity(customers.len());
    for batch in customers.chunks(BATCH) {
        let moves = batch.iter().map(|one| one.asked.clone()).collect();
        for answer in store.move_links(account, moves, false).await? {
            done.push(answer?);
        }
    }
    Ok(Linked::Done(done))
}

/// The customers of the file, in its order.
fn customers(file: &str, rows: Vec<LinkRow>, wrong: &mut Vec<FileError>) -> Vec<OneCustomer> {
    let mut places: HashMap<RemoteCustomerId, usize> = HashMap::new();
    let mut customers: Vec<OneCustomer> = Vec::new();
    for row in rows {
        let place = places.get(&row.remote_customer).copied();
        let Some(one) = place.and_then(|place| customers.get_mut(place)) else {
            let to = match (&row.customer, &row.reference) {
                (Some(customer), _) => LinkTo::Customer(customer.clone()),
                (None, Some(reference)) => LinkTo::Reference(reference.clone()),
                // The reader lets no such row through.
                (None, None) => continue,
            };
            places.insert(row.remote_customer.clone(), customers.len());
            let methods = row.method.clone().into_iter().collect();
            let asked = LinkMove { remote_customer: row.remote_customer.clone(), to, methods };
            customers.push(OneCustomer { rows: vec![row], asked });
            continue;
        };
        let mut conflict = |column: &str, message: &str| {
            wrong.push(FileError {
                code: Code::ConflictingRows,
                file: file.to_owned(),
                line: Some(row.line),
                column: Some(column.to_owned()),
                message: message.to_owned(),
                hint: "one customer is linked to one of ours, one payment method to one".to_owned(),
            });
        };
        let first = one.rows.first();
        if first.is_some_and(|f| (&f.customer, &f.reference) != (&row.customer, &row.reference)) {
            let column = if row.customer.is_some() { "customer_id" } else { "reference" };
            conflict(column, "an earlier row links this customer elsewhere");
        }
        if let Some((remote, method)) = row.method.clone() {
            let repeats = |(r, m): &(_, _)| *r == remote || *m == method;
            if one.asked.methods.iter().any(repeats) {
                conflict("method_id", "an earlier row has one of these two payment methods");
            } else {
                one.asked.methods.push((remote, method));
            }
        }
        one.rows.push(row);
    }
    customers
}

/// What the store cannot see: that the id and the reference are of one customer, and that two
/// customers of the file go to the same one.
fn judge(
    account: &AccountName,
    one: &OneCustomer,
    moved: LinkMoved,
    claimed: &mut HashMap<CustomerId, RemoteCustomerId>,
) -> Result<LinkMoved, LinkRefused> {
    let stated = one.rows.iter().find_map(|row| row.reference.as_ref());
    if stated.is_some_and(|stated| moved.reference.as_deref() != Some(stated.as_str())) {
        return Err(LinkRefused::OtherReference { customer: moved.after });
    }
    let before = claimed.insert(moved.after.clone(), moved.remote_customer.clone());
    match before.filter(|before| *before != moved.remote_customer) {
        None => Ok(moved),
        Some(by) => Err(LinkRefused::Taken { account: account.clone(), customer: moved.after, by }),
    }
}

/// A refusal, with the line and the column that asked for what is refused.
fn at_line(file: &str, one: &OneCustomer, refused: &LinkRefused) -> FileError {
    let first = one.rows.first();
    let target =
        if first.is_some_and(|row| row.customer.is_some()) { "customer_id" } else { "reference" };
    let of_method = |fits: &dyn Fn(&LinkRow) -> bool| one.rows.iter().find(|row| fits(row));
    let (column, row) = match refused {
        LinkRefused::NoSuchRemote { .. } | LinkRefused::NotLive { .. } => {
            ("remote_customer_id", first)
        }
        LinkRefused::NoSuchCustomer { .. } | LinkRefused::Taken { .. } => (target, first),
        LinkRefused::OtherReference { .. } => ("reference", first),
        LinkRefused::NoSuchRemoteMethod { method, .. } => {
            let fits = |row: &LinkRow| row.method.as_ref().is_some_and(|m| m.0 == *method);
            ("remote_method_id", of_method(&fits))
        }
        LinkRefused::NoSuchMethod { method, .. }
        | LinkRefused::OtherKind { method }
        | LinkRefused::MethodTaken { method, .. } => {
            let fits = |row: &LinkRow| row.method.as_ref().is_some_and(|m| m.1 == *method);
            ("method_id", of_method(&fits))
        }
    };
    FileError {
        code: refused.code(),
        file: file.to_owned(),
        line: row.or(first).map(|row| row.line),
        column: Some(column.to_owned()),
        message: refused.to_string(),
        hint: refused.hint(),
    }
}
