//! Every variable: its default, a good value, a bad one; the four layers; settings that contradict
//! each other.

use std::fs;

use sqlx::{ConnectOptions as _, PgPool};

use crate::support::program::run;

const URL: (&str, &str) = ("DATABASE_URL", "postgres://user:hunter2@localhost/orders");

/// Variable, default as shown, a good value, bad values.
const VARIABLES: &[(&str, &str, &str, &[&str])] = &[
    ("LISTEN", "127.0.0.1:8080", "0.0.0.0:80", &["8080", "localhost:8080", "1.2.3.4:99999"]),
    ("ADMIN_LISTEN", "127.0.0.1:9091", "[::1]:9000", &["9091"]),
    ("DATABASE_MAX_CONNECTIONS", "10", "50", &["0", "1001", "ten", "-1"]),
    ("DATABASE_ACQUIRE_TIMEOUT", "2s", "500ms", &["0s", "2", "soon"]),
    ("MIGRATE", "false", "true", &["perhaps", "1"]),
    ("REQUEST_TIMEOUT", "5s", "4s 500ms", &["0s", "5", ""]),
    ("BODY_LIMIT", "262144", "1024", &["0", "256KiB", "-1"]),
    ("PAYMENTS_URL", "http://127.0.0.1:8085", "https://pay.example/", &["pay.example", "ftp://pay.example"]),
    ("PAYMENTS_TIMEOUT", "1s", "2s", &["0s", "1"]),
    ("PAYMENTS_RETRY", "10s", "1m", &["0s", "soon"]),
    ("PAYMENTS_LISTEN", "127.0.0.1:8085", "0.0.0.0:8085", &["8085"]),
    ("AUTH", "off", "off", &["on", "basic"]),
    ("AUTH_ISSUER", "", "https://login.example/", &[]),
    ("AUTH_AUDIENCE", "", "orders", &[]),
    ("RATE_LIMIT", "1000", "0", &["-1", "many"]),
    ("CONCURRENCY_LIMIT", "256", "1", &["0", "many"]),
    (
        "CORS_ORIGINS",
        "",
        "https://shop.example,http://localhost:3000",
        &[
            "*",
            "shop.example",
            "https://shop.example/",
            "https://Shop.example",
            "https://a.example,https://b.example:443",
        ],
    ),
    ("CONNECTION_LIMIT", "768", "1", &["0", "many"]),
    ("FAULTS", "off", "on", &["perhaps"]),
    ("PUBLIC_URL_RELAY", "", "https://inbox.example/", &["inbox.example"]),
    ("PUBLIC_URL_GRAFANA", "", "http://127.0.0.1:3000/", &["3000"]),
    ("PUBLIC_URL_PROMETHEUS", "", "http://127.0.0.1:9090/", &["9090"]),
    ("PUBLIC_URL_JAEGER", "", "http://127.0.0.1:16686/", &["ftp://jaeger"]),
    ("DRAIN_DELAY", "0s", "5s", &["5", "-5s"]),
    ("SHUTDOWN_TIMEOUT", "6s", "1m", &["0s", "6"]),
    ("LOG_FORMAT", "json", "text", &["xml"]),
    ("RUST_LOG", "info", "info,sqlx=debug", &["info=loud", "a=b=c"]),
    ("LOG_DIR", "", "logs", &["/dev/null", "/dev/null/logs"]),
    ("LOG_MAX_BYTES", "1073741824", "1048576", &["0", "1GiB"]),
    (
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "",
        "http://localhost:4318",
        &["collector", "localhost:4318", "grpc://localhost:4317"],
    ),
    ("OTEL_TRACES_SAMPLER_ARG", "1", "0.1", &["2", "-0.1", "all"]),
    ("DEPLOYMENT_ENVIRONMENT", "local", "staging", &[]),
    ("OTEL_RESOURCE_ATTRIBUTES", "", "service.version=1.2.3", &[]),
    ("MEMORY_LIMIT", "", "67108864", &["64M"]),
];

fn output(arguments: &[&str], environment: &[(&str, &str)]) -> (Option<i32>, String, String) {
    let output = run(arguments, environment);
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// The line of `service config` for a variable.
fn shown(config: &str, variable: &str) -> String {
    let line = config.lines().find(|line| line.starts_with(&format!("{variable}=")));
    line.unwrap_or_else(|| panic!("{variable} is not in\n{config}")).split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn every_variable_has_a_default_takes_good_values_and_refuses_bad_ones() {
    let (_, defaults, _) = output(&["config"], &[URL]);
    for (variable, default, good, bad) in VARIABLES {
        let origin = if default.is_empty() { "not set" } else { "default" };
        assert_eq!(shown(&defaults, variable), format!("{variable}={default} # {origin}"));

        let (code, _, message) = output(&["check", "--offline"], &[URL, (variable, good)]);
        assert_eq!(code, Some(0), "{message}");
        let (_, config, _) = output(&["config"], &[URL, (variable, good)]);
        assert_eq!(shown(&config, variable), format!("{variable}={good} # environment"));

        for bad in bad.iter().filter(|bad| !bad.is_empty()) {
            let (code, _, message) = output(&["check", "--offline"], &[URL, (variable, bad)]);
            assert_ne!(code, Some(0), "{variable}={bad}");
            assert!(message.contains(variable), "{variable}={bad}: {message}");
            assert_eq!(message.lines().count(), 1, "{message}");
        }
        let (code, _, message) = output(&["check", "--offline"], &[URL, (variable, "")]);
        assert_eq!(code, Some(0), "an empty {variable} counts as not set: {message}");
    }
}

#[test]
fn the_table_above_lists_every_variable() {
    let (_, config, _) = output(&["config"], &[]);
    let mut shown: Vec<_> = config.lines().map(|line| line.split('=').next().unwrap()).collect();
    let mut listed: Vec<_> = VARIABLES.iter().map(|(variable, ..)| *variable).collect();
    listed.extend(["DATABASE_MIGRATE_URL", "DATABASE_MIGRATE_URL_FILE"]);
    listed.extend(["DATABASE_URL", "DATABASE_URL_FILE", "CONFIG_FILE", "AUTH_SECRET_FILE", "AUTH_JWKS_URL"]);
    shown.sort_unstable();
    listed.sort_unstable();
    assert_eq!(shown, listed);
}

#[test]
fn settings_that_contradict_each_other_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("url");
    fs::write(&file, "postgres://localhost/orders\n").unwrap();
    let file = file.to_str().unwrap();
    let secret = folder.path().join("secret");
    fs::write(&secret, "0123456789abcdef0123456789abcdef").unwrap();
    let secret = secret.to_str().unwrap();
    let keys = "https://login.example/keys";
    for (environment, names) in [
        (vec![URL, ("DEPLOYMENT_ENVIRONMENT", "production")], ["AUTH", "DEPLOYMENT_ENVIRONMENT"]),
        (
            vec![
                URL,
                ("FAULTS", "on"),
                ("DEPLOYMENT_ENVIRONMENT", "production"),
                ("AUTH", "hs256"),
                ("AUTH_SECRET_FILE", secret),
            ],
            ["FAULTS", "DEPLOYMENT_ENVIRONMENT"],
        ),
        (vec![URL, ("AUTH_SECRET_FILE", secret)], ["AUTH", "AUTH_SECRET_FILE"]),
        (vec![URL, ("AUTH", "hs256")], ["AUTH", "AUTH_SECRET_FILE"]),
        (vec![URL, ("AUTH", "hs256"), ("AUTH_SECRET_FILE", file)], ["AUTH_SECRET_FILE", "32 bytes"]),
        (
            vec![URL, ("AUTH", "hs256"), ("AUTH_SECRET_FILE", secret), ("AUTH_JWKS_URL", keys)],
            ["AUTH_JWKS_URL", "AUTH"],
        ),
        (vec![URL, ("AUTH", "jwks")], ["AUTH", "AUTH_JWKS_URL"]),
        (vec![URL, ("DATABASE_URL_FILE", file)], ["DATABASE_URL", "DATABASE_URL_FILE"]),
        (
            vec![URL, ("DATABASE_MIGRATE_URL", URL.1), ("DATABASE_MIGRATE_URL_FILE", file)],
            ["DATABASE_MIGRATE_URL", "both"],
        ),
        (vec![URL, ("LISTEN", "127.0.0.1:9091")], ["LISTEN", "ADMIN_LISTEN"]),
        (vec![URL, ("DATABASE_ACQUIRE_TIMEOUT", "5s")], ["DATABASE_ACQUIRE_TIMEOUT", "REQUEST_TIMEOUT"]),
        (vec![URL, ("PAYMENTS_TIMEOUT", "3s")], ["PAYMENTS_TIMEOUT", "REQUEST_TIMEOUT"]),
        (vec![URL, ("PAYMENTS_RETRY", "1s")], ["PAYMENTS_RETRY", "REQUEST_TIMEOUT"]),
        (vec![URL, ("SHUTDOWN_TIMEOUT", "1s")], ["SHUTDOWN_TIMEOUT", "REQUEST_TIMEOUT"]),
        (
            vec![URL, ("OTEL_RESOURCE_ATTRIBUTES", "service.version=1, deployment.environment.name=production")],
            ["OTEL_RESOURCE_ATTRIBUTES", "DEPLOYMENT_ENVIRONMENT"],
        ),
    ] {
        for command in ["check", "serve", "migrate"] {
            let (code, _, message) = output(&[command], &environment);
            assert_eq!(code, Some(1), "{message}");
            assert!(names.iter().all(|name| message.contains(name)), "{message}");
            assert_eq!(message.lines().count(), 1, "{message}");
        }
    }
}

#[test]
fn callers_show_who_they_are_with_a_secret_or_with_keys_from_a_url() {
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret");
    fs::write(&secret, "0123456789abcdef0123456789abcdef").unwrap();
    let secret = [("AUTH", "hs256"), ("AUTH_SECRET_FILE", secret.to_str().unwrap())];
    let keys = |url| [("AUTH", "jwks"), ("AUTH_JWKS_URL", url)];
    for (auth, code) in [(secret, 0), (keys("https://login.example/keys"), 0), (keys("login.example/keys"), 2)] {
        let (found, _, message) = output(&["check", "--offline"], &[&[URL], auth.as_slice()].concat());
        assert_eq!(found, Some(code), "{message}");
        assert_eq!(message.contains("AUTH_JWKS_URL"), code != 0, "{message}");
    }
}

#[test]
fn a_debug_build_does_not_start_in_production_whatever_that_is_called() {
    for (name, production) in [("production", true), ("Prod", true), ("eu-live", true), ("preprod", false)] {
        let url = ("AUTH_JWKS_URL", "https://login.example/keys");
        let environment = [URL, ("DEPLOYMENT_ENVIRONMENT", name), ("AUTH", "jwks"), url];
        let (code, _, message) = output(&["check", "--offline"], &environment);
        assert_eq!(code, Some(i32::from(production)), "{name}: {message}");
        assert_eq!(message.contains("debug build"), production, "{message}");
    }
}

#[sqlx::test]
async fn the_example_environments_are_good_with_nothing_but_their_secret(pool: PgPool) {
    let url = pool.connect_options().to_url_lossy().to_string();
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("database_url");
    fs::write(&secret, url).unwrap();
    let secret = ("DATABASE_URL_FILE", secret.to_str().unwrap());
    for name in ["staging", "production"] {
        let file = format!("{}/environments/{name}.env", env!("CARGO_MANIFEST_DIR"));
        let text = fs::read_to_string(&file).unwrap();
        assert!(text.contains(&format!("DEPLOYMENT_ENVIRONMENT={name}\n")), "{name}");
        // A debug build, as these tests may be, has no business where the real customers are.
        let elsewhere = ("DEPLOYMENT_ENVIRONMENT", "preprod");
        let environment = [("CONFIG_FILE", file.as_str()), secret, elsewhere];
        let (code, stdout, message) = output(&["check"], &environment[..if name == "staging" { 2 } else { 3 }]);
        assert_eq!((code, message.as_str()), (Some(0), ""), "{name}");
        assert!(stdout.contains("its schema is current"), "{stdout}");
        if name == "production" && cfg!(debug_assertions) {
            assert!(output(&["check"], &environment[..2]).2.contains("debug build"));
        }
    }
}

#[sqlx::test(migrations = false)]
async fn check_says_what_is_wrong_with_the_database(pool: PgPool) {
    let url = pool.connect_options().to_url_lossy().to_string();
    let check = |more: &[(&str, &str)]| output(&["check"], &[&[("DATABASE_URL", url.as_str())], more].concat());
    let (code, _, message) = check(&[]);
    assert_eq!(code, Some(1));
    assert!(message.contains("lacks 3 migrations: run `service migrate`"), "{message}");
    assert!(check(&[("MIGRATE", "true")]).1.contains("3 migrations are applied at start"));
    let (code, _, message) = check(&[("MIGRATE", "true"), ("DATABASE_MIGRATE_URL", "postgres://nobody@127.0.0.1:1/x")]);
    assert!(code == Some(1) && message.contains("DATABASE_MIGRATE_URL"), "{message}");

    sqlx::migrate!().run(&pool).await.unwrap();
    assert_eq!(check(&[]).0, Some(0));
    let ahead = "insert into _sqlx_migrations (version, description, success, checksum, execution_time)
                 values (9999, 'later', true, '', 0)";
    sqlx::query(ahead).execute(&pool).await.unwrap();
    assert!(check(&[]).1.contains("ahead by 1 migrations"));
    sqlx::query("update _sqlx_migrations set checksum = 'x' where version = 1").execute(&pool).await.unwrap();
    assert!(check(&[]).2.contains("migration 1 has changed"), "{}", check(&[]).2);

    let (code, _, message) = output(&["check"], &[("DATABASE_URL", "postgres://nobody@127.0.0.1:1/x")]);
    assert_eq!(code, Some(1));
    assert!(message.contains("the database cannot be used"), "{message}");
    assert_eq!(message.lines().count(), 1, "{message}");
}

#[test]
fn a_bare_start_says_that_the_database_is_missing() {
    let (code, stdout, message) = output(&[], &[]);
    assert_eq!((code, stdout.as_str()), (Some(1), ""));
    assert!(message.starts_with("error: DATABASE_URL is not set: give one such as"), "{message}");
    assert_eq!(message.lines().count(), 1, "{message}");
}

#[test]
fn a_wrong_database_url_is_refused_without_being_shown() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("url");
    fs::write(&file, "hunter2").unwrap();
    for (variable, value) in [
        ("DATABASE_URL", "mysql://user:hunter2@localhost/orders"),
        ("DATABASE_URL", "postgres://user:hunter2@localhost:port/orders"),
        ("DATABASE_URL_FILE", file.to_str().unwrap()),
        ("DATABASE_URL_FILE", "/nowhere/hunter2"),
    ] {
        let (code, _, message) = output(&["check", "--offline"], &[(variable, value)]);
        assert_eq!(code, Some(1));
        assert!(message.starts_with(&format!("error: {variable}")), "{message}");
        assert_eq!(message.contains("hunter2"), value == "/nowhere/hunter2", "{message}");
    }
}

#[test]
fn a_flag_wins_over_the_environment_the_environment_over_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("settings");
    fs::write(&file, "LISTEN=127.0.0.1:1001\nADMIN_LISTEN=127.0.0.1:1002\n BODY_LIMIT = '1003'\n").unwrap();
    let environment = [
        URL,
        ("CONFIG_FILE", file.to_str().unwrap()),
        ("LISTEN", "127.0.0.1:2001"),
        ("ADMIN_LISTEN", "127.0.0.1:2002"),
    ];
    let (code, config, message) = output(&["--listen", "127.0.0.1:3001", "config"], &environment);
    assert_eq!(code, Some(0), "{message}");
    assert_eq!(shown(&config, "LISTEN"), "LISTEN=127.0.0.1:3001 # flag");
    assert_eq!(shown(&config, "ADMIN_LISTEN"), "ADMIN_LISTEN=127.0.0.1:2002 # environment");
    assert_eq!(shown(&config, "BODY_LIMIT"), "BODY_LIMIT=1003 # file");
    assert_eq!(shown(&config, "DATABASE_URL"), "DATABASE_URL=******** # environment");
    assert!(!config.contains("hunter2"), "{config}");
}

#[test]
fn what_the_environment_says_in_one_of_two_ways_wins_over_what_the_file_says_in_the_other() {
    let folder = tempfile::tempdir().unwrap();
    let (file, url) = (folder.path().join("settings"), folder.path().join("url"));
    fs::write(&url, URL.1).unwrap();
    let url = url.to_str().unwrap();
    for (filed, environment, shown_as) in [
        (format!("DATABASE_URL_FILE={url}"), URL, "DATABASE_URL=******** # environment".to_owned()),
        (
            format!("DATABASE_URL={}", URL.1),
            ("DATABASE_URL_FILE", url),
            format!("DATABASE_URL_FILE={url} # environment"),
        ),
    ] {
        fs::write(&file, filed).unwrap();
        let environment = [("CONFIG_FILE", file.to_str().unwrap()), environment];
        assert_eq!(output(&["check", "--offline"], &environment).0, Some(0));
        assert_eq!(shown(&output(&["config"], &environment).1, environment[1].0), shown_as);
    }
}

#[test]
fn a_bad_file_stops_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("settings");
    let path = file.to_str().unwrap();
    for (text, part) in [
        ("LISTENING=127.0.0.1:1001", "LISTENING"),
        ("CONFIG_FILE=other", "CONFIG_FILE"),
        ("REQUEST_TIMEOUT=soon", "REQUEST_TIMEOUT"),
        ("# a comment\n\nDATABASE_URL: hunter2", "line 3"),
    ] {
        fs::write(&file, text).unwrap();
        let (code, _, message) = output(&["config"], &[("CONFIG_FILE", path)]);
        assert_eq!(code, Some(2), "{text}");
        assert!(message.contains(part) && !message.contains("hunter2"), "{message}");
        assert_eq!(message.lines().count(), 1, "{message}");
    }
    let (code, _, message) = output(&["config"], &[("CONFIG_FILE", "/nowhere/settings")]);
    assert_eq!(code, Some(2));
    assert!(message.contains("CONFIG_FILE") && message.contains("/nowhere/settings"), "{message}");
}

#[test]
fn the_template_is_a_file_that_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("settings");
    let (_, template, _) = output(&["config", "--template"], &[]);
    // As if every line had been uncommented.
    let lines = template.lines().filter_map(|line| line.strip_prefix("# ")).filter(|line| {
        line.split_once('=').is_some_and(|(name, _)| name.bytes().all(|b| b.is_ascii_uppercase() || b == b'_'))
    });
    let text = lines.collect::<Vec<_>>().join("\n");
    assert_eq!(text.lines().count(), VARIABLES.len() + 6, "{template}");
    fs::write(&file, text).unwrap();
    let (code, config, message) = output(&["config"], &[("CONFIG_FILE", file.to_str().unwrap())]);
    assert_eq!(code, Some(0), "{message}");
    for (variable, default, ..) in VARIABLES {
        assert!(shown(&config, variable).starts_with(&format!("{variable}={default} #")), "{config}");
    }
}
