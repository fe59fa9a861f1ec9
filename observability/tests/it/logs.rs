use actix_web::test::{TestRequest, call_service, init_service, read_body};
use actix_web::{App, HttpResponse, web};
use observability::http::observe;
use observability::testing::Capture;
use observability::{context, logs};
use tracing::{Instrument as _, info, info_span};

async fn order() -> HttpResponse {
    context::put("order_id", "o-42");
    context::put("trace_id", "forged");
    info!(level = "forged", amount = 3, "order created");
    async { info!("nested") }.instrument(info_span!("step")).await;
    observability::spawn(async { info!("spawned") }).await.unwrap();
    observability::spawn_blocking(|| ()).await.unwrap();
    HttpResponse::Created().finish()
}

#[actix_web::test]
async fn context_reaches_nested_spans_and_spawned_tasks_at_every_sampling_ratio() {
    for ratio in [0.0, 1.0] {
        let capture = Capture::with("info", ratio, &[]);
        let app = init_service(App::new().wrap(observe()).route("/orders", web::post().to(order))).await;
        read_body(call_service(&app, TestRequest::post().uri("/orders").to_request()).await).await;
        let lines = capture.lines();
        assert_eq!(lines.len(), 4);
        for line in &lines {
            assert_eq!(line["order_id"], "o-42", "{line}");
            assert_eq!(line["trace_id"], lines[0]["trace_id"]);
            assert_eq!(line["trace_id"].as_str().unwrap().len(), 32);
        }
    }
}

#[actix_web::test]
async fn keys_stand_in_their_order_and_reserved_ones_win() {
    let capture = Capture::start();
    let app = init_service(App::new().wrap(observe()).route("/orders", web::post().to(order))).await;
    read_body(call_service(&app, TestRequest::post().uri("/orders").to_request()).await).await;
    let line = &capture.lines()[0];
    let keys: Vec<_> = line.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(
        keys,
        [
            "timestamp",
            "level",
            "message",
            "service",
            "version",
            "env",
            "target",
            "request_id",
            "trace_id",
            "span_id",
            "field.level",
            "amount",
            "order_id"
        ]
    );
    assert_eq!(line["level"], "INFO");
}

#[actix_web::test]
async fn a_filter_that_is_changed_takes_effect_at_once_and_keeps_the_context() {
    let capture = Capture::with("warn", 1.0, &[]);
    info!("unseen");
    logs::set_filter("info,it::logs=debug").unwrap();
    tracing::debug!("seen");
    assert_eq!(logs::filter(), "it::logs=debug,info");
    assert!(logs::set_filter("it=loud").unwrap_err().contains("it=loud"));
    let messages: Vec<_> = capture.lines().iter().map(|line| line["message"].as_str().unwrap().to_owned()).collect();
    assert_eq!(messages, ["log filter changed", "seen"]);
}

#[actix_web::test]
async fn without_info_lines_errors_still_carry_the_ids_and_spans_are_still_sent() {
    let capture = Capture::with("error", 1.0, &[]);
    let handler = async || {
        tracing::error!("broken");
        HttpResponse::Ok().finish()
    };
    let app = init_service(App::new().wrap(observe()).route("/", web::get().to(handler))).await;
    read_body(call_service(&app, TestRequest::get().uri("/").to_request()).await).await;
    assert_eq!(capture.lines().len(), 1);
    assert_eq!(capture.lines()[0]["trace_id"].as_str().unwrap().len(), 32);
    assert_eq!(capture.spans().len(), 1);
}

#[test]
fn a_change_of_filter_or_sampling_is_told_whatever_the_filter_says() {
    for filter in ["info", "error", "off", "my_crate=debug"] {
        let capture = Capture::with("warn", 1.0, &[]);
        logs::set_filter(filter).unwrap();
        observability::traces::set_ratio(0.5).unwrap();
        let lines = capture.lines();
        assert_eq!(
            (lines[0]["message"].as_str(), lines[0]["filter"].as_str()),
            (Some("log filter changed"), Some(filter))
        );
        assert_eq!((lines[1]["message"].as_str(), lines[1]["ratio"].as_f64()), (Some("sampling changed"), Some(0.5)));
    }
}

#[test]
fn a_mistyped_level_is_refused_and_changes_nothing() {
    let capture = Capture::start();
    for mistyped in ["inof", "info,sqlx", "sqlx=debug,wran"] {
        assert!(logs::set_filter(mistyped).unwrap_err().contains("is no level"), "{mistyped}");
    }
    info!("still here");
    assert_eq!(capture.lines()[0]["message"], "still here");
}

#[test]
fn a_field_of_the_programs_own_that_begins_like_the_log_bridges_is_kept() {
    let capture = Capture::start();
    info!(log.retention = "7d", log.file = "bridge", "kept");
    let line = &capture.lines()[0];
    assert_eq!((line["log.retention"].as_str(), line.get("log.file")), (Some("7d"), None), "{line}");
}
