//! A new version of the service: a bad one, and a good one whose database fails afterwards.

use std::time::Duration;

use futures_util::future::BoxFuture;

use super::{
    db_down,
    runner::{Back, Fault, Injury, Scene, Surroundings, Window, Within, requests},
};

/// Fails a part of its requests from its start on.
pub(super) const REGRESSION: Fault = Fault {
    back: Back::Service,
    surroundings: Surroundings { own_containers: true, ..Surroundings::SHORT },
    rollback: true,
    shows: r#""version":"0.2.0""#,
    judge: requests::end,
    ..Fault::new(
        "deploy_regression",
        "deploy_regression",
        "DeployRegression",
        &Regression,
        // The start takes some seconds, and the ratio of a minute is over its limit as soon as errors are seen.
        Window { range: 60, fill: 15, lasting: 15, keep: 60, steps: 5 + Window::PAGE },
    )
};

/// The deployment is good, and not to blame.
pub(super) const DATABASE: Fault = Fault {
    name: "deploy_then_db_down",
    injury: &ThenDatabase,
    // The promise of a killed database, after a start.
    within: Within::Promised(Duration::from_secs(8), Duration::from_secs(30)),
    surroundings: Surroundings { own_containers: true, ..Surroundings::SHORT },
    judge: requests::end,
    ..db_down::DOWN
};

const VERSION: &str = "0.2.0";

#[derive(Debug)]
struct Regression;

impl Injury for Regression {
    fn inflict<'a>(&'a self, scene: &'a Scene) -> BoxFuture<'a, anyhow::Result<String>> {
        Box::pin(async move {
            scene.stack().deploy(VERSION).await?;
            scene.stack().service_admin(&["fault", "errors", "--rate", "0.3", "--for", "10m"]).await?;
            Ok(format!("version {VERSION} is deployed, and fails 30 % of its requests"))
        })
    }

    fn remedy(&self) -> String {
        "the version before is deployed".to_owned()
    }

    fn repair<'a>(&'a self, scene: &'a Scene) -> BoxFuture<'a, anyhow::Result<()>> {
        Box::pin(scene.stack().deploy(""))
    }
}

#[derive(Debug)]
struct ThenDatabase;

impl Injury for ThenDatabase {
    fn inflict<'a>(&'a self, scene: &'a Scene) -> BoxFuture<'a, anyhow::Result<String>> {
        Box::pin(async move {
            scene.stack().deploy(VERSION).await?;
            scene.stack().kill("postgres").await?;
            Ok(format!("version {VERSION} is deployed, and then postgres killed"))
        })
    }

    fn remedy(&self) -> String {
        "postgres is started, and the version before deployed".to_owned()
    }

    fn repair<'a>(&'a self, scene: &'a Scene) -> BoxFuture<'a, anyhow::Result<()>> {
        Box::pin(async move {
            scene.stack().start("postgres").await?;
            scene.stack().deploy("").await
        })
    }
}
