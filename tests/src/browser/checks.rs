//! What must be true of every report's page, however it is looked at.

use std::path::Path;

use anyhow::Context as _;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use super::chromium::Tab;

type Result<T = ()> = anyhow::Result<T>;

/// Narrow, middle, wide: in pixels.
const WIDTHS: [u32; 5] = [360, 650, 768, 1440, 1600];
const PAGE: &str = include_str!("page.js");
const BACKGROUND: &str = "getComputedStyle(document.body).backgroundColor";

/// What is wrong with a page, one line each.
pub async fn wrong_with(tab: &mut Tab, file: &Path) -> Result<Vec<String>> {
    let mut wrong = Vec::new();
    let mut backgrounds = Vec::new();
    tab.open(file).await?;
    for scheme in ["light", "dark"] {
        for width in WIDTHS {
            tab.look(scheme, width).await?;
            let seen: Vec<String> = serde_json::from_value(tab.value(PAGE).await?)?;
            wrong.extend(seen.into_iter().map(|line| format!("{scheme} {width}: {line}")));
        }
        backgrounds.push(tab.value(BACKGROUND).await?);
    }
    if backgrounds.first() == backgrounds.last() {
        wrong.push(format!("schemes: {:?} in both", backgrounds.first()));
    }
    wrong.extend(on_paper(tab).await?);
    wrong.extend(noise(tab, file));
    Ok(wrong)
}

/// Requests but the file's own, what is said to the console, and what the policy held back.
fn noise(tab: &Tab, file: &Path) -> Vec<String> {
    let mut wrong = Vec::new();
    let own = format!("file://{}", file.display());
    let asked: Vec<_> = tab.said(&["Network.requestWillBeSent"]);
    let asked: Vec<_> = asked.iter().filter_map(|event| event["request"]["url"].as_str()).collect();
    if asked != [own.as_str()] {
        wrong.push(format!("requests: {asked:?}"));
    }
    let loud = [
        "Runtime.consoleAPICalled",
        "Runtime.exceptionThrown",
        "Log.entryAdded",
        "Audits.issueAdded",
        "Page.javascriptDialogOpening",
    ];
    wrong.extend(tab.said(&loud).iter().map(|event| format!("console: {event}")));
    wrong
}

/// What is wrong with it when it is printed, from a dark screen.
async fn on_paper(tab: &mut Tab) -> Result<Vec<String>> {
    let mut wrong = Vec::new();
    let paper = json!({ "media": "print", "features": [
        { "name": "prefers-color-scheme", "value": "dark" }] });
    tab.call("Emulation.setEmulatedMedia", paper).await?;
    let background = tab.value(BACKGROUND).await?;
    if background != "rgb(255, 255, 255)" {
        wrong.push(format!("paper: its background is {background}"));
    }
    let printed = tab.call("Page.printToPDF", json!({ "printBackground": true })).await?;
    let pdf = BASE64_STANDARD.decode(printed["data"].as_str().context("no PDF")?)?;
    let pages = pdf.windows(11).filter(|part| part == b"/Type /Page").count();
    // `/Pages` is one of them.
    if !pdf.starts_with(b"%PDF") || pages < 2 {
        wrong.push(format!("paper: {} pages in {} bytes", pages.saturating_sub(1), pdf.len()));
    }
    tab.call("Emulation.setEmulatedMedia", json!({ "media": "" })).await?;
    Ok(wrong)
}

/// The text of the first element of a selector.
pub async fn text(tab: &mut Tab, selector: &str) -> Result<String> {
    let selector = Value::from(selector);
    let found = tab.value(&format!("document.querySelector({selector})?.textContent")).await?;
    Ok(found.as_str().with_context(|| format!("there is no {selector}"))?.trim().to_owned())
}
