//! What stands between Alertmanager and the relay: it repeats and reorders, or, when it is to be caught, lies.
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use actix_web::http::StatusCode;
use actix_web::{App, HttpResponse, HttpServer, web};

use super::support::{TOKEN, client};

/// An old notification that comes again is at most this old: the network does not keep them for longer.
const OLDEST: Duration = Duration::from_secs(5);

#[derive(Clone)]
pub(crate) struct Proxy {
    pub(crate) url: String,
    relay: Arc<String>,
    /// Answers before anything is stored.
    lies: bool,
    state: Arc<Mutex<State>>,
}

struct State {
    dice: fastrand::Rng,
    recent: Vec<(Instant, web::Bytes)>,
    under_way: usize,
}

impl Proxy {
    pub(crate) fn start(relay: String, lies: bool, seed: u64) -> Self {
        let state = State { dice: fastrand::Rng::with_seed(seed), recent: Vec::new(), under_way: 0 };
        let mut proxy = Self { url: String::new(), relay: relay.into(), lies, state: Arc::new(Mutex::new(state)) };
        let shared = web::Data::new(proxy.clone());
        let server = HttpServer::new(move || App::new().app_data(shared.clone()).default_service(web::to(pass)));
        let server = server.workers(1).disable_signals().bind("127.0.0.1:0").unwrap();
        proxy.url = format!("http://{}", server.addrs()[0]);
        observability::spawn(server.run());
        proxy
    }

    pub(crate) fn under_way(&self) -> usize {
        self.state.lock().unwrap().under_way
    }

    async fn post(&self, body: web::Bytes) -> StatusCode {
        let request = client().post(format!("{}/v1/alertmanager", self.relay)).bearer_auth(TOKEN).body(body);
        self.state.lock().unwrap().under_way += 1;
        let answer = request.timeout(Duration::from_secs(3)).send().await;
        self.state.lock().unwrap().under_way -= 1;
        answer.map_or(StatusCode::BAD_GATEWAY, |answer| StatusCode::from_u16(answer.status().as_u16()).unwrap())
    }

    /// Once in a while, something that came a moment ago comes again.
    fn again(&self) -> Option<(Duration, web::Bytes)> {
        let mut state = self.state.lock().unwrap();
        state.recent.retain(|(at, _)| at.elapsed() < OLDEST);
        let most = state.recent.len() * 4 + 1;
        let (pick, wait) = (state.dice.usize(0..most), state.dice.u64(0..1000));
        state.recent.get(pick).map(|(_, body)| (Duration::from_millis(wait), body.clone()))
    }
}

async fn pass(proxy: web::Data<Proxy>, body: web::Bytes) -> HttpResponse {
    if proxy.lies {
        observability::spawn(async move { proxy.post(body).await });
        return HttpResponse::Ok().finish();
    }
    let status = proxy.post(body.clone()).await;
    if status.is_success() {
        proxy.state.lock().unwrap().recent.push((Instant::now(), body));
    }
    if let Some((wait, body)) = proxy.again() {
        observability::spawn(async move {
            tokio::time::sleep(wait).await;
            proxy.post(body).await;
        });
    }
    HttpResponse::build(status).finish()
}
