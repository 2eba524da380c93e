//! `pull`: what is read, once each, in whatever shape it comes.

use std::sync::Arc;

use anyhow::ensure;
use sandbox::proxy_token::{Config, Envelope, IdField, MethodShape, NextLink, Shape};
use sandbox::{FaultPlan, Sandbox, SandboxConfig, VendorConfig};

use super::World;
use crate::env::TestDb;

type Result = anyhow::Result<()>;

fn methods_of(world: &World) -> u64 {
    world.provider.customers("pa_main").iter().map(|c| c.methods.len() as u64).sum()
}

pub async fn reads_everything_once(db: Arc<TestDb>) -> Result {
    let world = World::new(db, 250, "").await?;
    let methods = methods_of(&world);
    let ran = world.onfile.run(&["pull", "gov", "--json"]).await?.expect(0)?;
    ensure!(ran.count("/customers/seen")? == 250, "{ran:?}");
    ensure!(ran.count("/customers/created")? == 250, "{ran:?}");
    ensure!(ran.count("/methods/created")? == methods, "{ran:?}");
    ensure!(ran.json()?.pointer("/coverage/complete") == Some(&true.into()), "{ran:?}");
    let again = world.onfile.run(&["pull", "gov", "--json"]).await?.expect(0)?;
    ensure!(again.count("/customers/unchanged")? == 250, "{again:?}");
    ensure!(again.count("/methods/unchanged")? == methods, "{again:?}");
    ensure!(again.count("/calls/changing")? == 0, "{again:?}");
    Ok(())
}

pub async fn reads_every_shape(db: Arc<TestDb>) -> Result {
    let world = World::new(db, 0, "").await?;
    let shapes = [
        Shape {
            customers: Envelope::Bare,
            methods: Envelope::Bare,
            id_field: IdField::Uid,
            method: MethodShape::Nested,
            next_link: NextLink::Absent,
            ..Shape::default()
        },
        Shape {
            customers: Envelope::Value,
            methods: Envelope::PaymentMethods,
            id_field: IdField::CustomerUid,
            method: MethodShape::Flat,
            next_link: NextLink::SameOrigin,
            ..Shape::default()
        },
        Shape {
            customers: Envelope::Items,
            methods: Envelope::Data,
            id_field: IdField::Id,
            method: MethodShape::Flat,
            is_default: false,
            ..Shape::default()
        },
    ];
    for (place, shape) in shapes.into_iter().enumerate() {
        let provider = Sandbox::start(SandboxConfig {
            customers: 120,
            vendor: VendorConfig::ProxyToken(Config { shape, ..Config::default() }),
            ..SandboxConfig::default()
        })
        .await?;
        let name = format!("shape{place}");
        let config = format!(
            "[store]\nurl = \"{}\"\nencryption_key = {{ env = \"ONFILE_KEY\" }}\n\n\
             [accounts.{name}]\nkind = \"proxy-token\"\nbase_url = \"{}\"\n\
             payment_account_uid = \"pa_main\"\nbearer = {{ env = \"BEARER\" }}\n\
             rate = {{ per_second = 2000, burst = 50, in_flight = 8 }}\n",
            world.db.url(),
            provider.base_url()
        );
        world.file("onfile.toml", &config)?;
        let onfile = world.onfile.clone().with_env("BEARER", "sandbox-bearer");
        let ran = onfile.run(&["pull", &name, "--json"]).await?.expect(0)?;
        let methods: u64 =
            provider.customers("pa_main").iter().map(|c| c.methods.len() as u64).sum();
        ensure!(ran.count("/customers/created")? == 120, "{name}: {ran:?}");
        ensure!(ran.count("/methods/created")? == methods, "{name}: {ran:?}");
        provider.stop().await;
    }
    Ok(())
}

pub async fn a_short_page_is_not_the_end(db: Arc<TestDb>) -> Result {
    let world = World::new(db, 600, "list_customers:2=short_page").await?;
    let ran = world.onfile.run(&["pull", "gov", "--json"]).await?.expect(0)?;
    ensure!(ran.count("/customers/seen")? == 600, "{ran:?}");
    ensure!(ran.count("/customers/created")? == 600, "{ran:?}");
    world.all_fired()
}

pub async fn after_an_import_is_unchanged(db: Arc<TestDb>) -> Result {
    let world = World::new(db, 0, "").await?;
    world.onfile.run(&["import", "gov", "sample.csv", "--json"]).await?.expect(0)?;
    let ran = world.onfile.run(&["pull", "gov", "--json"]).await?.expect(0)?;
    ensure!(ran.count("/customers/seen")? == 16, "{ran:?}");
    ensure!(ran.count("/customers/created")? == 0, "{ran:?}");
    ensure!(ran.count("/customers/unchanged")? == 16, "{ran:?}");
    ensure!(ran.count("/methods/created")? == 0, "{ran:?}");
    Ok(())
}

pub async fn of_an_empty_wrong_account_fails(db: Arc<TestDb>) -> Result {
    let world = World::new(db, 50, "").await?;
    world.onfile.run(&["pull", "gov", "--json"]).await?.expect(0)?;
    world.provider.put_faults(FaultPlan::parse("any:every1=empty_account")?)?;
    let ran = world.onfile.run(&["pull", "gov"]).await?.expect(1)?;
    ensure!(ran.stderr.contains("error[wrong_account]"), "{ran:?}");
    world.all_fired()?;
    // Another merchant in the configuration is refused before any call.
    world.provider.clear_faults();
    world.provider.clear_log();
    let config = std::fs::read_to_string(world.db.folder().join("onfile.toml"))?;
    world.file("onfile.toml", &config.replace("\"pa_main\"", "\"pa_empty\""))?;
    let ran = world.onfile.run(&["pull", "gov"]).await?.expect(4)?;
    ensure!(ran.stderr.contains("merchant"), "{ran:?}");
    ensure!(world.provider.log().is_empty());
    Ok(())
}
