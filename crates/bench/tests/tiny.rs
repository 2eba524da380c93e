//! Every row at a size that says nothing about speed: it runs through and leaves nothing behind.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::Value;

fn bench(args: &[&str]) -> String {
    let ran = Command::new(env!("CARGO_BIN_EXE_bench")).args(args).output().expect("it starts");
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    String::from_utf8(ran.stdout).expect("text")
}

#[test]
fn every_row_runs_through_at_a_tiny_size() {
    let folder = tempfile::tempdir().expect("a folder");
    let (dir, json) = (folder.path().join("dir"), folder.path().join("bench.json"));
    std::fs::create_dir(&dir).expect("a folder");
    let (dir_text, json_text) = (dir.display().to_string(), json.display().to_string());
    let sizes = ["--scale", "0.0002", "--pairs", "1"];
    let page = bench(&[&sizes[..], &["--dir", &dir_text, "--json", &json_text]].concat());

    let document = std::fs::read_to_string(&json).expect("the JSON is written");
    let document: Value = serde_json::from_str(&document).expect("one document");
    let lines = document["lines"].as_array().expect("lines");
    for line in lines {
        // A row that cannot be measured here says why; PostgreSQL may not be installed.
        let measured = line["onfile"]["median"].as_f64().is_some_and(|median| median > 0.0);
        let explained = line["size"] == "missing" && line["notes"][0].is_string();
        assert!(measured || (explained && line["row"] == "pull-postgres"), "{line}");
    }
    let rows: BTreeSet<&str> = lines.iter().filter_map(|line| line["row"].as_str()).collect();
    let list = bench(&["--list"]);
    let listed = list.lines().filter_map(|line| line.split(' ').next());
    assert_eq!(rows, listed.filter(|row| *row != "dlt").collect());
    assert!(rows.iter().all(|row| page.contains(&format!("| {row} "))), "{page}");

    let left: Vec<_> = std::fs::read_dir(&dir).expect("the folder is there").collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn what_is_not_installed_is_said() {
    let ran = Command::new(env!("CARGO_BIN_EXE_bench"))
        .args(["--only", "dlt", "--only", "import-dry-run", "--scale", "0.0002", "--pairs", "1"])
        .env("PATH", "/nonexistent")
        .output()
        .expect("it starts");
    let page = String::from_utf8_lossy(&ran.stdout);
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    for note in
        ["- dlt, missing: no python3 in the PATH", "120 customers: the peer is our own loop"]
    {
        assert!(page.contains(note), "{note} in {page}");
    }
}
