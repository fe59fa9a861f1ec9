//! A local server that answers as Prometheus and Alertmanager do.
use std::sync::{Arc, Mutex};

use actix_web::{App, HttpResponse, HttpServer, web};
use serde_json::{Value, json};

/// Answers as Prometheus and Alertmanager do, path by path; 503 where nothing is set.
#[derive(Clone, Default)]
pub(crate) struct Monitoring {
    answers: Arc<Mutex<Vec<(&'static str, Value)>>>,
    pub(crate) url: String,
}

impl Monitoring {
    pub(crate) fn start() -> Self {
        let mut monitoring = Self::default();
        let shared = web::Data::new(monitoring.clone());
        let server = HttpServer::new(move || App::new().app_data(shared.clone()).default_service(web::to(answer)));
        let server = server.workers(1).disable_signals().bind("127.0.0.1:0").unwrap();
        monitoring.url = format!("http://{}", server.addrs()[0]);
        observability::spawn(server.run());
        monitoring
    }

    pub(crate) fn set(&self, path: &'static str, answer: Value) {
        let mut answers = self.answers.lock().unwrap();
        answers.retain(|(known, _)| *known != path);
        answers.push((path, answer));
    }

    pub(crate) fn die(&self) {
        self.answers.lock().unwrap().clear();
    }

    /// Both live, and these alerts fire.
    pub(crate) fn fires(&self, labels: &[Value]) {
        let alerts: Vec<Value> = labels.iter().map(|labels| json!({ "labels": labels, "state": "firing" })).collect();
        let rule = json!({ "name": "DatabaseDown", "lastEvaluation": chrono::Utc::now(), "alerts": alerts });
        self.set("/api/v1/rules", json!({ "data": { "groups": [{ "interval": 60, "rules": [rule] }] } }));
        self.set("/api/v1/status/runtimeinfo", json!({ "data": { "startTime": "2026-11-20T00:00:00Z" } }));
        self.set("/api/v2/status", json!({ "uptime": "2026-11-20T00:00:00Z" }));
    }
}

async fn answer(monitoring: web::Data<Monitoring>, request: actix_web::HttpRequest) -> HttpResponse {
    let answers = monitoring.answers.lock().unwrap();
    answers
        .iter()
        .find(|(path, _)| *path == request.path())
        .map_or_else(|| HttpResponse::ServiceUnavailable().finish(), |(_, answer)| HttpResponse::Ok().json(answer))
}
