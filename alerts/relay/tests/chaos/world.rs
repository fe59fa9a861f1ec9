//! Everything at once: what is broken, who tells it, who hears it, and what befalls them.
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use actix_web::{App, HttpServer, web};
use serde_json::Value;
use sqlx::{Connection as _, SqliteConnection};

use super::chat::{Chat, OK, Reply};
use super::model::History;
use super::programs::{self, Program, free_port};
use super::proxy::Proxy;
use super::support::{Relay, Setup, client};
use super::{Kind, Settings};

/// For each fault whether it is there. More than a storm uses up.
type Faults = Arc<Mutex<Vec<bool>>>;

pub(crate) struct World {
    pub(crate) kind: Kind,
    faults: Faults,
    begun: usize,
    mended: Vec<Option<Instant>>,
    prometheus: Program,
    pub(crate) alertmanager: Program,
    pub(crate) setup: Setup,
    pub(crate) relay: Option<Relay>,
    pub(crate) relay_back_at: Option<Instant>,
    pub(crate) chat: Chat,
    pub(crate) proxy: Proxy,
    pub(crate) kills: Vec<Instant>,
    /// A disk that can be filled, and until when it is.
    disk: Option<PathBuf>,
    full_until: Option<Instant>,
}

impl World {
    pub(crate) async fn start(settings: &Settings, kind: Kind) -> Self {
        let chat = Chat::start(&[OK]).await;
        let mut setup = Setup::slack(&chat.url);
        let folder = setup.folder.path().to_owned();
        let disk = folder.join("data");
        std::fs::create_dir(&disk).unwrap();
        let mounted = settings.may_mount == "yes" && mount(&disk);
        let faults: Faults = Arc::new(Mutex::new(vec![false; 60 + 30 * usize_of(settings.minutes)]));
        let (target, alertmanager_port, relay_port) = (expose(&faults), free_port(), free_port());
        let count = faults.lock().unwrap().len();
        let mut prometheus =
            programs::prometheus(&settings.programs.join("prometheus"), &folder, count, &target, alertmanager_port);
        let relay_url = format!("http://127.0.0.1:{relay_port}");
        let proxy = Proxy::start(relay_url, kind == Kind::Broken, settings.seed);
        let receiver = match kind {
            Kind::Alone => programs::chat_receiver(&chat.url),
            _ => programs::relay_receiver(&proxy.url),
        };
        let program = settings.programs.join("alertmanager");
        let mut alertmanager = programs::alertmanager(&program, &folder, alertmanager_port, &receiver);
        setup.set("RELAY_LISTEN", &format!("127.0.0.1:{relay_port}"));
        if kind == Kind::Honest {
            setup.set("PROMETHEUS_URL", &prometheus.url);
            setup.set("ALERTMANAGER_URL", &alertmanager.url);
        }
        alertmanager.start();
        alertmanager.ready().await;
        prometheus.start();
        // Ready is too early: it looks for what to scrape some seconds later.
        super::support::until("Prometheus to look", async || ask(&prometheus, "fault").await.first().map(|_| ())).await;
        let relay = if kind == Kind::Alone { None } else { Some(setup.start().await) };
        Self {
            kind,
            faults,
            begun: 0,
            mended: Vec::new(),
            prometheus,
            alertmanager,
            setup,
            relay,
            relay_back_at: None,
            chat,
            proxy,
            kills: Vec::new(),
            disk: mounted.then_some(disk),
            full_until: None,
        }
    }

    pub(crate) fn begin(&mut self) {
        if let Some(fault) = self.faults.lock().unwrap().get_mut(self.begun) {
            *fault = true;
            self.begun += 1;
            self.mended.push(None);
        }
    }

    pub(crate) fn end(&mut self, dice: &mut fastrand::Rng) {
        let open: Vec<usize> = (0..self.begun).filter(|fault| self.mended[*fault].is_none()).collect();
        if let Some(fault) = dice.choice(open) {
            self.mend(fault);
        }
    }

    /// Something happens: a fault ends, or begins when there is none.
    pub(crate) fn stir(&mut self) {
        match (0..self.begun).find(|fault| self.mended[*fault].is_none()) {
            Some(fault) => self.mend(fault),
            None => self.begin(),
        }
    }

    fn mend(&mut self, fault: usize) {
        // Marked first: nobody can see it mended earlier.
        self.mended[fault] = Some(Instant::now());
        self.faults.lock().unwrap()[fault] = false;
    }

    /// A fault that is there for some seconds.
    pub(crate) async fn fault(&mut self, seconds: u64) {
        self.begin();
        self.pass(seconds).await;
        self.mend(self.begun - 1);
        self.pass(2).await;
    }

    pub(crate) async fn pass(&mut self, seconds: u64) {
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(seconds) {
            tokio::time::sleep(Duration::from_millis(100)).await;
            self.tick().await;
        }
    }

    /// Whatever is to come back comes back.
    pub(crate) async fn tick(&mut self) {
        let due = |at: Option<Instant>| at.is_some_and(|at| at <= Instant::now());
        self.prometheus.tick();
        self.alertmanager.tick();
        if due(self.full_until) {
            self.empty_disk();
        }
        if due(self.relay_back_at) {
            self.relay_back_at = None;
            // With a full disk it would not start.
            self.empty_disk();
            self.relay = Some(self.setup.start().await);
        }
    }

    pub(crate) fn change_weather(&self, dice: &mut fastrand::Rng) {
        let all = [
            OK,
            OK,
            OK,
            super::chat::DOWN,
            Reply::Hang,
            Reply::Cut,
            Reply::Slow(Duration::from_millis(1500), "ok"),
            Reply::Say(200, "", r#"{"errcode":130101}"#),
            Reply::Say(429, "retry-after: 1\r\n", "slow down"),
        ];
        self.chat.reply(dice.choice(all).unwrap());
    }

    pub(crate) async fn deliveries(&self) -> i64 {
        self.ask("SELECT coalesce(max(id), 0) FROM deliveries").await
    }

    async fn ask(&self, query: &'static str) -> i64 {
        let Ok(mut store) = SqliteConnection::connect(&self.setup.store()).await else { return 0 };
        sqlx::query_scalar(query).fetch_one(&mut store).await.unwrap_or_default()
    }

    pub(crate) fn restart_alertmanager(&mut self, back_after: u64) {
        if self.kind == Kind::Alone {
            self.kills.push(Instant::now());
        }
        self.alertmanager.kill(Duration::from_millis(back_after));
    }

    pub(crate) fn stop_prometheus(&mut self, back_after: u64) {
        self.prometheus.kill(Duration::from_millis(back_after));
    }

    pub(crate) fn fill_disk(&mut self, millis: u64) {
        let Some(disk) = self.disk.as_ref().filter(|_| self.relay.is_some()) else { return };
        if let Ok(mut file) = std::fs::File::create(disk.join("filler")) {
            while std::io::Write::write_all(&mut file, &[0; 4096]).is_ok() {}
        }
        self.full_until = Some(Instant::now() + Duration::from_millis(millis));
    }

    fn empty_disk(&mut self) {
        if let (Some(disk), Some(_)) = (&self.disk, self.full_until.take()) {
            std::fs::remove_file(disk.join("filler")).unwrap();
        }
    }

    /// The storm is over: waits until nothing moves any more.
    pub(crate) async fn calm(&mut self, settings: &Settings) {
        for fault in 0..self.begun {
            if self.mended[fault].is_none() {
                self.mend(fault);
            }
        }
        self.chat.reply(OK);
        self.empty_disk();
        self.prometheus.start();
        self.alertmanager.start();
        if self.relay.is_none() && self.kind != Kind::Alone {
            self.relay = Some(self.setup.start().await);
        }
        let (over, start) = (chrono::Utc::now().timestamp_millis(), Instant::now());
        let patience = Duration::from_secs(if self.kind == Kind::Honest { 150 } else { 30 });
        while start.elapsed() < patience {
            tokio::time::sleep(Duration::from_millis(500)).await;
            let checked = self.ask("SELECT checked_at FROM memory").await;
            let pending = "SELECT (SELECT count(*) FROM deliveries WHERE state = 'pending')
                + (SELECT count(*) FROM incidents WHERE resolved_at IS NULL)";
            if self.kind == Kind::Honest && checked > over && self.ask(pending).await == 0 {
                return;
            }
        }
    }

    /// What the relay has said of late, for who has to find out what went wrong.
    pub(crate) fn last_words(&self) -> String {
        let output = self.relay.as_ref().map(Relay::output).unwrap_or_default();
        let lines: Vec<&str> = output.lines().rev().take(30).collect();
        lines.join("\n")
    }

    pub(crate) async fn history(&self) -> History {
        let query = r#"group by (alertname) (count_over_time(ALERTS{alertstate="firing"}[1d]))"#;
        let series = ask(&self.prometheus, query).await;
        let number = |series: &Value| series["metric"]["alertname"].as_str()?.strip_prefix('E')?.parse().ok();
        History {
            episodes: series.iter().filter_map(number).collect(),
            mended: self.mended.clone(),
            kills: self.kills.clone(),
            posts: self.chat.posts(),
        }
    }
}

/// What Prometheus answers; nothing when it does not.
async fn ask(prometheus: &Program, query: &str) -> Vec<Value> {
    let url = reqwest::Url::parse_with_params(&format!("{}/api/v1/query", prometheus.url), &[("query", query)]);
    let Ok(answer) = client().get(url.unwrap()).send().await else { return Vec::new() };
    let answer: Value = answer.json().await.unwrap_or_default();
    answer["data"]["result"].as_array().cloned().unwrap_or_default()
}

/// Until it is so, but not for long: the weather may keep it from happening.
pub(crate) async fn wait(condition: impl AsyncFn() -> bool) {
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(3) && !condition().await {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// A server that Prometheus scrapes; returns its address.
fn expose(faults: &Faults) -> String {
    let faults = web::Data::new(Arc::clone(faults));
    let server = HttpServer::new(move || App::new().app_data(faults.clone()).default_service(web::to(report)));
    let server = server.workers(1).disable_signals().bind("127.0.0.1:0").unwrap();
    let address = server.addrs()[0].to_string();
    observability::spawn(server.run());
    address
}

async fn report(faults: web::Data<Arc<Mutex<Vec<bool>>>>) -> String {
    let faults = faults.lock().unwrap();
    let lines =
        faults.iter().enumerate().map(|(number, there)| format!("fault{{number=\"{number}\"}} {}\n", u8::from(*there)));
    lines.collect()
}

fn mount(folder: &Path) -> bool {
    Command::new("mount").args(["-t", "tmpfs", "-o", "size=16m", "tmpfs"]).arg(folder).status().unwrap().success()
}

fn usize_of(minutes: f64) -> usize {
    usize::try_from(Duration::from_secs_f64(minutes * 60.0).as_secs() / 60 + 1).unwrap()
}
