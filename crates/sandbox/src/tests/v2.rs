//! The v2 vendor's behaviour as the contract says.

mod data;
mod switches;

use super::*;
use crate::NewMethod;
use crate::v2::{Account, Config};
use sha2::{Digest, Sha512};

const MAIN: &str = "5a0db0c0000000000000000000000000000a11a1";
const KEY: &str = "sandbox-key-main";
const EMPTY: (&str, &str) = ("5a0db0c0000000000000000000000000000e3947", "sandbox-key-empty");

/// A sandbox and a client of its main merchant that signs.
struct Bench {
    running: Running,
    now: Arc<AtomicI64>,
}

fn authorization(token: &str, key: &str, now: i64, path: &str, body: &str) -> String {
    let digest = Sha512::digest(format!("{key}{now}{token}{path}{body}"));
    format!("WP3-v2.1 {token} {now} {}", hex::encode(digest))
}

impl Bench {
    async fn with(customers: usize, vendor: Config, faults: &str) -> Self {
        let (running, now) = start(customers, VendorConfig::V2(vendor), faults).await;
        Self { running, now }
    }

    async fn new() -> Self {
        Self::with(0, Config::default(), "").await
    }

    async fn raw(&self, method: &str, path: &str, authorization: &str, body: &str) -> Raw {
        let headers = [
            ("authorization", authorization),
            ("content-type", "application/json"),
            ("accept", "application/json"),
        ];
        send(self.running.addr(), method, path, &headers, body).await.unwrap()
    }

    async fn call_as(
        &self,
        (token, key): (&str, &str),
        method: &str,
        path: &str,
        body: &str,
    ) -> Raw {
        let signed = authorization(token, key, NOON, path, body);
        self.raw(method, path, &signed, body).await
    }

    async fn get(&self, path: &str) -> Raw {
        self.call_as((MAIN, KEY), "GET", path, "").await
    }

    async fn post(&self, path: &str, body: Value) -> Raw {
        self.call_as((MAIN, KEY), "POST", path, &body.to_string()).await
    }

    async fn delete(&self, path: &str) -> Raw {
        self.call_as((MAIN, KEY), "DELETE", path, "").await
    }

    /// Creates a customer and answers its uuid.
    async fn customer(&self, reference: &str) -> String {
        let made = self.post("/v2/customers", person(reference)).await;
        assert_eq!(made.status, 201, "{}", made.json());
        made.json()["uuid"].as_str().unwrap().to_owned()
    }

    /// The references in a list, in its order.
    async fn page(&self, query: &str) -> Vec<String> {
        let rows = self.get(&format!("/v2/customers{query}")).await.json()["data"].clone();
        let name = |r: &Value| r["merchant_customer_id"].as_str().unwrap().to_owned();
        rows.as_array().unwrap().iter().map(name).collect()
    }

    fn card(&self, uuid: &str) -> String {
        let card = NewMethod::card("VISA", "1111", 12, 2034);
        self.running.add_method(MAIN, uuid, card, false).unwrap()
    }
}

fn person(reference: &str) -> Value {
    json!({"merchant_customer_id": reference, "name": "Alma Begić", "email": "alma@example.com"})
}

fn find(reference: &str) -> String {
    let coded =
        percent_encoding::utf8_percent_encode(reference, percent_encoding::NON_ALPHANUMERIC);
    format!("/v2/merchants/customers/{coded}")
}

#[tokio::test]
async fn the_published_digests_are_taken() {
    let token = "7db11ea5d4a1af32421b564c79b946d1ead3daf0";
    let account = Account {
        authenticity_token: token.to_owned(),
        merchant_key: "qwert1234".to_owned(),
        customers: Some(1),
    };
    let bench = Bench::with(0, Config { accounts: vec![account], ..Config::default() }, "").await;
    let vectors = [
        (
            "POST",
            "/v2/payment/new",
            r#"{"example":"1"}"#,
            "bd120476c656a8ec3ce5d6a150f17061d03a8e280b0fbba278a73a15066830562f73ce5536882c9222e265f1ff6c2df629173375b549cba5a9275b08686f32ea",
            404,
        ),
        (
            "GET",
            "/v2/customers?limit=50&offset=0",
            "",
            "272106aca79b8d37967763c5f1bc456c776d7c5385de5acf1731d80b763ee178d9686acd82d7015262af5c93548b7ea18bc5df9e0521bbcc48231bc7e5819554",
            200,
        ),
        (
            "DELETE",
            "/v2/customers/abc",
            "",
            "50c87efde2f987a7319a9dde6e7bf6e2e2c371f9db60057d4b58aac2cb59657844bd4ea369d160e5841fb7fa7709f78f36c0c7dbb4f582af804581b3657c2338",
            404,
        ),
        (
            "POST",
            "/v2/customers",
            r#"{"email":"email@email.com","name":"name"}"#,
            "d12ffbee45ede271e72b60c244fbb695bd1b205b33273b7703fee14c93689e6f390577e0da838ee8306a033d97e65071d79731f2c886f16a09393c365ea7029a",
            201,
        ),
    ];
    for (method, path, body, digest, status) in vectors {
        let signed = format!("WP3-v2.1 {token} 1593457122 {digest}");
        let answer = bench.raw(method, path, &signed, body).await;
        assert_eq!(answer.status, status, "{method} {path}");
    }
}

#[tokio::test]
async fn what_is_not_signed_is_refused() {
    let bench = Bench::with(1, Config::default(), "").await;
    let path = "/v2/customers?limit=5";
    let good = authorization(MAIN, KEY, NOON, path, "");
    assert_eq!(bench.raw("GET", path, &good, "").await.status, 200);
    let (digits, upper) = (good.rsplit(' ').next().unwrap(), good.to_uppercase());
    let bad = [
        authorization(MAIN, KEY, NOON, "/v2/customers", ""),
        authorization(MAIN, EMPTY.1, NOON, path, ""),
        authorization(EMPTY.0, KEY, NOON, path, ""),
        authorization("_empty", KEY, NOON, path, ""),
        authorization(MAIN, KEY, NOON * 1000, path, ""),
        good.replace("WP3-v2.1", "WP3-v2"),
        good.replacen(' ', "  ", 1),
        good.replace(digits, &digits.to_uppercase()),
        format!("{good} x"),
        upper,
        String::new(),
    ];
    for authorization in bad {
        let answer = bench.raw("GET", path, &authorization, "").await;
        assert_eq!(answer.status, 401, "{authorization}");
        assert_eq!(answer.json()["status"], "error");
    }
    // The body is signed as well.
    let (body, path) = (person("a").to_string(), "/v2/customers");
    let signed = authorization(MAIN, KEY, NOON, path, &body);
    assert_eq!(bench.raw("POST", path, &signed, &body.replace("Alma", "Olma")).await.status, 401);
    let headers = [("authorization", &*signed), ("content-type", "application/json")];
    let answer = send(bench.running.addr(), "POST", path, &headers, &body).await.unwrap();
    assert!(answer.status == 400 && answer.json()["message"].as_str().unwrap().contains("accept"));
    assert_eq!(bench.running.log()[0].account, MAIN);
}

#[tokio::test]
async fn the_token_selects_the_merchant() {
    let bench = Bench::with(3, Config::default(), "").await;
    let made = bench.call_as(EMPTY, "POST", "/v2/customers", &person("R-1").to_string()).await;
    assert_eq!(made.status, 201);
    assert!(bench.running.customer_by_reference(EMPTY.0, "R-1").is_some());
    assert_eq!(bench.get(&find("R-1")).await.status, 404);
    let sizes: Vec<_> = bench.running.accounts().iter().map(|a| a.customers).collect();
    assert_eq!(sizes, [3, 1]);
    let twice = Config::default().accounts[0].clone();
    let vendor = Config { accounts: vec![twice.clone(), twice], ..Config::default() };
    let config = SandboxConfig { vendor: VendorConfig::V2(vendor), ..SandboxConfig::default() };
    assert!(Sandbox::start(config).await.unwrap_err().to_string().contains("authenticity token"));
}

#[tokio::test]
async fn customers_are_created_got_and_found() {
    let bench = Bench::new().await;
    let reference = "O'Neil & Söhne/1 1";
    let uuid = bench.customer(reference).await;
    let found = bench.get(&find(reference)).await.json();
    assert_eq!(bench.get(&format!("/v2/customers/{uuid}")).await.json(), found);
    let expected = json!({
        "status": "approved", "uuid": uuid, "merchant_customer_id": reference,
        "description": null, "email": "alma@example.com", "name": "Alma Begić", "phone": null,
        "zip_code": null, "city": null, "address": null, "country": null, "metadata": {},
        "deleted": false, "created_at": "2027-01-15T08:00:00Z",
        "updated_at": "2027-01-15T08:00:00Z", "deleted_at": null,
    });
    assert_eq!(found, expected);
    assert_eq!(bench.get("/v2/customers/none").await.status, 404);
    assert_eq!(bench.get(&find("o'neil & söhne/1 1")).await.status, 404);
    // Nothing is required, not even our id.
    let made = bench.post("/v2/customers", json!({"name": "n"})).await.json();
    assert_eq!(made["merchant_customer_id"], Value::Null);
}

#[tokio::test]
async fn fields_that_cannot_be_are_refused() {
    let bench = Bench::new().await;
    let long = |n: usize| Value::from("ž".repeat(n));
    let limits = [
        ("merchant_customer_id", 1, 100),
        ("description", 1, 200),
        ("email", 1, 200),
        ("name", 1, 50),
        ("phone", 1, 30),
        ("zip_code", 1, 9),
        ("city", 3, 30),
        ("address", 3, 100),
    ];
    for (name, least, most) in limits {
        for (length, status) in [(least - 1, 400), (least, 201), (most, 201), (most + 1, 400)] {
            let answer = bench.post("/v2/customers", json!({name: long(length)})).await;
            assert_eq!(answer.status, status, "{name} of {length}");
        }
    }
    let wrong = [
        json!({"country": "BIH"}),
        json!({"country": "ba"}),
        json!({"name": null}),
        json!({"name": 5}),
        json!({"surname": "x"}),
        json!({"metadata": "x"}),
        json!({"metadata": {"a": {"b": 1}}}),
        json!({"description": "4242 4242 4242 4242"}),
        json!([]),
    ];
    for body in wrong {
        let answer = bench.post("/v2/customers", body.clone()).await;
        assert_eq!(
            (answer.status, &answer.json()["status"]),
            (400, &json!("invalid-request")),
            "{body}"
        );
    }
    assert_eq!(bench.call_as((MAIN, KEY), "POST", "/v2/customers", "{").await.status, 400);
    let created = bench.running.counters().endpoints["create_customer"].by_status["201"];
    assert_eq!(bench.running.accounts()[0].customers, usize::try_from(created).unwrap());
}

#[tokio::test]
async fn an_update_is_partial_and_merges_metadata() {
    let bench = Bench::new().await;
    let uuid = bench.customer("a").await;
    let path = format!("/v2/customers/{uuid}");
    bench.now.fetch_add(60, Ordering::SeqCst);
    let body = json!({"city": "Tuzla", "country": "BA", "metadata": {"x": "1", "y": 2, "z": null}});
    let updated = bench.post(&path, body.clone()).await;
    assert_eq!(updated.status, 200);
    let updated = updated.json();
    assert_eq!((&updated["name"], &updated["city"]), (&json!("Alma Begić"), &json!("Tuzla")));
    assert_eq!(updated["metadata"], json!({"x": "1", "y": 2}));
    assert_eq!(updated["updated_at"], "2027-01-15T08:01:00Z");
    // The same once more changes nothing; another change moves the time also within one second.
    assert_eq!(bench.post(&path, body).await.json(), updated);
    let again = bench.post(&path, json!({"metadata": {"x": null, "w": "3"}})).await.json();
    assert_eq!(again["metadata"], json!({"y": 2, "w": "3"}));
    assert_eq!(again["updated_at"], "2027-01-15T08:01:01Z");
    let view = bench.running.customer(MAIN, &uuid).unwrap();
    let fields: Vec<_> = view.fields.iter().map(|(k, v)| format!("{k}={v}")).collect();
    assert_eq!(fields, ["city=Tuzla", "country=BA", "metadata.w=3", "metadata.y=2"]);
    bench.customer("b").await;
    let taken = bench.post(&path, json!({"merchant_customer_id": "b"})).await;
    assert_eq!((taken.status, &taken.json()["status"]), (400, &json!("invalid-request")));
    assert_eq!(bench.post(&path, json!({"merchant_customer_id": "c"})).await.status, 200);
    assert_eq!(bench.get(&find("c")).await.json()["uuid"], *uuid);
    assert_eq!(bench.post("/v2/customers/none", json!({})).await.status, 404);
}

#[tokio::test]
async fn a_deleted_customer_is_a_tombstone() {
    let bench = Bench::new().await;
    let uuid = bench.customer("a").await;
    bench.customer("b").await;
    bench.card(&uuid);
    let path = format!("/v2/customers/{uuid}");
    let expected = json!({"status": "approved", "uuid": uuid, "deleted": true});
    assert_eq!(bench.delete(&path).await.json(), expected);
    assert_eq!(bench.delete(&path).await.json(), expected);
    for path in [path.clone(), find("a")] {
        let shown = bench.get(&path).await.json();
        assert_eq!((&shown["deleted"], &shown["status"]), (&json!(true), &json!("approved")));
        assert_eq!(shown["deleted_at"], "2027-01-15T08:00:00Z");
    }
    assert_eq!(bench.page("").await, ["b"]);
    assert_eq!(bench.post("/v2/customers", person("a")).await.status, 400);
    assert_eq!(bench.post(&path, json!({"name": "x"})).await.status, 400);
    assert_eq!(bench.get(&format!("{path}/payment-methods")).await.json()["data"], json!([]));
    let left = bench.running.customer_by_reference(MAIN, "a").unwrap();
    assert!(left.deleted && left.methods.is_empty());
    let size = &bench.running.accounts()[0];
    assert_eq!((size.customers, size.methods), (1, 0));
    assert_eq!(bench.delete("/v2/customers/none").await.status, 404);
}

#[tokio::test]
async fn the_list_is_newest_first_and_ends_with_an_empty_page() {
    let bench = Bench::with(230, Config::default(), "").await;
    let first = bench.page("").await;
    assert_eq!((first.len(), &*first[0], &*first[49]), (50, "C-000230", "C-000181"));
    assert_eq!(bench.page("?limit=500").await.len(), 100);
    assert_eq!(bench.page("?limit=7&offset=3").await[0], "C-000227");
    assert_eq!(bench.page("?limit=100&offset=200").await.last().unwrap(), "C-000001");
    assert!(bench.page("?limit=100&offset=230").await.is_empty());
    for query in ["?limit=0", "?limit=x", "?page=2"] {
        assert_eq!(bench.get(&format!("/v2/customers{query}")).await.status, 400, "{query}");
    }
    bench.customer("new").await;
    assert_eq!(bench.page("?limit=1").await, ["new"]);
}

#[tokio::test]
async fn methods_are_listed_and_only_that() {
    let bench = Bench::new().await;
    let uuid = bench.customer("a").await;
    let id = bench.card(&uuid);
    let mut amex = NewMethod::card("amex", "0005", 2, 2024);
    amex.token = Some("t0ken".to_owned());
    bench.running.add_method(MAIN, &uuid, amex, false).unwrap();
    let path = format!("/v2/customers/{uuid}/payment-methods");
    let answer = bench.get(&path).await.json();
    let (first, second) = (&answer["data"][0], &answer["data"][1]);
    let token = first["token"].as_str().unwrap();
    let expected = json!({
        "status": "approved", "id": id, "masked_pan": "411111******1111",
        "expiration_date": "2034-12-31", "keep_until": "2032-01-14",
        "created_at": "2027-01-15T08:00:00Z", "updated_at": "2027-01-15T08:00:00Z",
        "customer_uuid": uuid, "token": token, "expired": false,
    });
    assert_eq!((first, &answer["status"], token.len()), (&expected, &json!("approved"), 64));
    assert_eq!(
        (&second["masked_pan"], &second["token"]),
        (&json!("378282*****0005"), &json!("t0ken"))
    );
    assert_eq!(
        (&second["expiration_date"], &second["expired"]),
        (&json!("2024-02-29"), &json!(true))
    );
    let one = bench.get(&format!("{path}?limit=1&offset=1")).await.json();
    assert_eq!(one["data"], json!([second]));
    assert_eq!(bench.get(&format!("{path}?limit=9&offset=2")).await.json()["data"], json!([]));
    // The token is never shown at the door.
    let dump = serde_json::to_string(&bench.running.customers(MAIN)).unwrap();
    assert!(!dump.contains(token) && dump.contains("token_sha256"));
    for (method, path) in [("POST", path.clone()), ("DELETE", format!("{path}/{id}"))] {
        assert_eq!(bench.call_as((MAIN, KEY), method, &path, "").await.status, 404);
    }
    assert_eq!(bench.running.counters().calls("unknown"), 2);
    assert_eq!(bench.running.customer(MAIN, &uuid).unwrap().methods.len(), 2);
}
