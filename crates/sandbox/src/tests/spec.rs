//! The text forms of a fault plan.

use crate::{Fault, FaultPlan, Kind, On, Rule};

fn parse(text: &str) -> FaultPlan {
    let plan = FaultPlan::parse(text).unwrap();
    plan.check(Kind::ProxyToken).unwrap();
    plan
}

fn error(text: &str) -> String {
    match FaultPlan::parse(text).and_then(|plan| plan.check(Kind::ProxyToken)) {
        Ok(()) => panic!("`{text}` was taken"),
        Err(e) => e.to_string(),
    }
}

#[test]
fn the_short_form_says_what_the_data_say() {
    let plan = parse(
        "bulk_import:2=drop_after, list_customers:3=status(500,retry_after=4,html),\
         slow@any:5%=delay_ms(20)*3, GET get_customer:every10=throttle(1),\
         create_customer[a=1,b:2]:2..4=late_execution_ms(5), DELETE=garbage_body",
    );
    let [bulk, list, slow, every, range, delete] = plan.rules.as_slice() else {
        panic!("{plan:?}")
    };
    let written = "bulk_import:2=drop_after";
    assert_eq!(*bulk, Rule::nth("bulk_import", 2, Fault::DropAfter).named(written));
    assert_eq!(list.fault, Fault::Status { code: 500, retry_after: Some(4), html: true });
    assert_eq!(
        (slow.id.as_deref(), slow.times, slow.on.probability),
        (Some("slow"), Some(3), Some(0.05))
    );
    assert_eq!(slow.on.endpoint, None);
    assert_eq!((every.on.method.as_deref(), every.on.every), (Some("GET"), Some(10)));
    let on = On {
        endpoint: Some("create_customer".into()),
        reference: Some("a=1,b:2".into()),
        nth: Some(2),
        ..On::default()
    };
    assert_eq!((&range.on, range.times), (&on, Some(3)));
    assert_eq!(delete.on.method.as_deref(), Some("DELETE"));
    let json = serde_json::to_string(&plan).unwrap();
    assert_eq!(parse(&json), plan);
    assert_eq!(parse("  "), FaultPlan::default());
    let bare = r#"[{"on": {"endpoint": "token"}, "do": {"throttle": {}}}]"#;
    assert_eq!(parse(bare).rules, [Rule::each("token", Fault::Throttle { retry_after: None })]);
}

#[test]
fn errors_say_what_was_expected() {
    for (text, said) in [
        ("bulk_import:2=drop_aftr", "unknown fault `drop_aftr`; expected one of drop_before, "),
        ("bulk_import", "expected `=` and a fault, as in"),
        ("bulk_impart=drop_after", "unknown endpoint `bulk_impart`; expected one of token, "),
        ("token:x=drop_after", "expected after `:` a call's number (`2`), a range"),
        ("token=status", "expected a status code and perhaps options, as in `status(503,"),
        ("token=status(5000)", "expected a status code from 200 to 599, found 5000"),
        ("token=status(500", "expected `)`"),
        ("token=delay_ms", "expected milliseconds, as in `delay_ms(200)`"),
        ("token=drop_after(3)", "takes nothing in brackets"),
        ("token=missing_index", "cannot happen to `token`; expected bulk_import"),
        ("token:0=drop_after", "counted from 1"),
        ("token:4..2=drop_after", "expected a range that rises"),
        ("token:200%=drop_after", "expected a `probability` above 0"),
        ("token=drop_after*x", "expected a number of times after `*`, found `x`"),
        ("=drop_after", "expected an endpoint's name"),
        ("token=drop_after,,", "empty rule between two commas"),
        ("create_customer[a=drop_after", "expected `]` after the reference"),
        ("token=drop_after,token=drop_after", "another rule has the same id"),
        ("{\"rules\": 3}", "no valid JSON plan"),
        ("[{\"on\": {\"nth\": 1}, \"do\": \"explode\"}]", "rule 1: unknown variant `explode`"),
        ("[{\"on\": {\"n\": 1}, \"do\": \"drop_after\"}]", "rule 1: unknown field `n`"),
        ("[{\"on\": {\"nth\": 1, \"every\": 2}, \"do\": \"drop_after\"}]", "at most one of `nth`"),
    ] {
        let message = error(text);
        assert!(message.contains(said), "`{text}` says: {message}");
    }
}

#[test]
fn every_fault_has_its_name_in_the_short_form() {
    for name in Fault::NAMES {
        let with = match *name {
            "status" | "status_after" => format!("{name}(500)"),
            "delay_ms" | "delay_after_ms" | "late_execution_ms" => format!("{name}(1)"),
            _ => (*name).to_owned(),
        };
        let plan = parse(&format!("any={with}"));
        assert_eq!(plan.rules.first().map(|r| r.fault.name()), Some(*name));
    }
}
