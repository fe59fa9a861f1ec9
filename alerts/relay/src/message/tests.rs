//! What people read, word by word.
use super::*;

fn incident() -> Incident {
    Incident {
        id: 1,
        code: "K7QF".into(),
        alertname: "DatabaseDown".into(),
        failure_type: "db_down".into(),
        service: "orders".into(),
        env: "local".into(),
        severity: "critical".into(),
        summary: "orders (local) has lost its database".into(),
        impact: "Every request that needs the database fails with 503.".into(),
        description: String::new(),
        expression: "max by (service, env) (db_up) == 0".into(),
        labels: "{}".into(),
        started_at: 1_795_183_331_000,
        received_at: 1_795_183_332_000,
        resolved_at: None,
        resolved_received_at: None,
        query: r#"{service_name="orders"}"#.into(),
        dashboard: "database/1".into(),
        chain_from: 0,
        steps: 1,
        acked_at: None,
        acked_by: String::new(),
        reopened_at: None,
        flapping_since: None,
        summary_at: None,
        quiet_since: None,
        lost_at: None,
    }
}

fn due(incident: &Incident, subject: Subject, attempts: u32) -> Due {
    Due {
        since: incident.started_at,
        until: incident.resolved_at,
        incident: incident.clone(),
        subject,
        attempts,
        step: 1,
        plain: false,
        times: 3,
        observers: None,
        handle: None,
        head: 1,
        closing: None,
    }
}

fn links() -> Links {
    let url = |text| reqwest::Url::parse(text).ok();
    Links {
        relay: url("https://relay.example.com"),
        grafana: url("https://grafana.example.com/g"),
        prometheus: url("http://127.0.0.1:9090"),
        jaeger: url("https://jaeger.example.com/ui"),
        loki: true,
    }
}

/// Without what the runbook says, which has its own test.
fn said(incident: &Incident, subject: Subject, attempts: u32, links: &Links) -> String {
    let mut message = Message::new(&due(incident, subject, attempts), links);
    message.first_step = message.first_step.map(|_| "Run `docker compose ps postgres`.".into());
    message.links.retain(|link| link.name != "Runbook");
    message.plain(str::to_owned)
}

#[test]
fn a_firing_message_says_everything_in_order() {
    let mut message = Message::new(&due(&incident(), Subject::Firing, 0), &links());
    message.first_step = Some("Run `docker compose ps postgres`.".into());
    message.links.retain(|link| link.name != "Runbook");
    insta::assert_snapshot!(message.plain(str::to_owned));
}

#[test]
fn a_resolved_message_adds_the_duration() {
    let incident = Incident { resolved_at: Some(1_795_183_540_000), ..incident() };
    insta::assert_snapshot!(said(&incident, Subject::Resolved, 0, &Links { grafana: None, ..links() }));
}

#[test]
fn an_outage_during_a_chat_outage_is_told_as_a_whole() {
    let incident = Incident { resolved_at: Some(1_795_183_540_000), ..incident() };
    insta::assert_snapshot!(said(&incident, Subject::Outage, 7, &Links::default()));
}

#[test]
fn every_other_message_has_a_headline_of_its_own() {
    let mut incident = Incident { acked_by: "Ann".into(), ..incident() };
    let mut headlines = String::new();
    for subject in [Subject::Escalated, Subject::Flapping, Subject::Summary, Subject::LostSight, Subject::Acknowledged]
    {
        if subject == Subject::Acknowledged {
            incident.acked_at = Some(1_795_183_400_000);
        }
        let mut due = due(&incident, subject, 0);
        due.observers = Some("PostgresDown: the exporter cannot reach it either".into());
        let message = Message::new(&due, &Links::default());
        let said = message.said(str::to_owned).replace(message.first_step.as_deref().unwrap_or("-"), "…");
        headlines = [headlines, message.headline(&message.what), said].join("\n");
    }
    insta::assert_snapshot!(headlines);
}

#[test]
fn an_empty_public_url_leaves_its_link_out() {
    assert!(Message::new(&due(&incident(), Subject::Firing, 0), &Links::default()).links.is_empty());
}

#[test]
fn an_alert_without_texts_still_has_a_name() {
    let incident = Incident { summary: " ".into(), impact: String::new(), ..incident() };
    let message = Message::new(&due(&incident, Subject::Firing, 0), &Links::default());
    assert_eq!(message.what, "DatabaseDown");
    assert!(message.paragraphs(str::to_owned).iter().all(|(label, _)| *label != "What users notice"));
}

#[test]
fn long_texts_give_way_before_a_link_does() {
    let long = "界".repeat(700);
    let incident = Incident { summary: long.clone(), impact: long.clone(), ..incident() };
    let mut due = due(&incident, Subject::Firing, 0);
    due.observers = Some(long);
    let message = Message::new(&due, &links());
    assert!(message.links.len() > 3);
    let text = message.plain_within("@all ", 4096, char::len_utf8, neutral);
    assert!(text.len() <= 4096, "{}", text.len());
    for link in &message.links {
        assert!(text.contains(link.url.as_str()), "{} in {text}", link.name);
    }
    // Too little for any of it: cut, but never longer than asked.
    assert!(message.plain_within("@all ", 100, char::len_utf8, neutral).len() <= 100);
}

#[test]
fn traces_are_searched_for_what_the_fault_leaves_in_them() {
    let search = |failure_type: &str| {
        let incident = Incident { failure_type: failure_type.into(), ..incident() };
        let message = Message::new(&due(&incident, Subject::Firing, 0), &links());
        message.links.iter().find(|link| link.name.ends_with("traces")).map(|link| (link.name, link.url.to_string()))
    };
    let (name, url) = search("panic").unwrap();
    assert!(name == "Failing traces" && url.contains("error") && !url.contains("minDuration"), "{name} {url}");
    let (name, url) = search("latency").unwrap();
    assert!(name == "Slow traces" && url.contains("minDuration=500ms") && !url.contains("error"), "{name} {url}");
    assert_eq!(search("service_down"), None);
}

#[test]
fn what_has_no_lines_in_loki_is_told_with_the_command_that_shows_them() {
    let description = "loki:3100 is gone. Its own words: docker compose logs loki".to_owned();
    let said = |query: &str, subject: Subject| {
        let incident = Incident { description: description.clone(), query: query.into(), ..incident() };
        Message::new(&due(&incident, subject, 0), &links()).plain(str::to_owned)
    };
    let told = said("", Subject::Firing);
    assert!(told.contains("\nIts own words: docker compose logs loki\n"), "{told}");
    assert!(!said("", Subject::Resolved).contains("Its own words"));
    assert!(!said("{service_name=\"orders\"}", Subject::Firing).contains("Its own words"));
}
